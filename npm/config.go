package npm

// npm's configuration, as far as it changes a tree or where packages come from.

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// ConfigFile is one .npmrc.
type ConfigFile struct {
	Name string // for messages
	Data []byte
}

// ConfigInput is what NewConfig reads: the levels of npm's configuration, from the strongest.
type ConfigInput struct {
	// Env is the environment as os.Environ gives it. Variables "npm_config_…" are settings, and
	// all may be used as ${NAME} in files.
	Env []string
	// Project, User and Global are the three .npmrc files; nil where there is none.
	Project, User, Global *ConfigFile
	// DefaultRegistry tells the registry that npm itself uses where nothing is configured, "" if
	// nobody knows. It is called only if that matters; nil is like "". No registry is built in.
	DefaultRegistry func() string
}

// Config is npm's effective configuration. The zero value has no settings.
// It holds credentials: print only what its methods return.
type Config struct {
	values          map[string]setting
	project         map[string]setting // what the project's own file says
	env             map[string]string
	defaultRegistry func() string
}

// NewConfig joins the levels.
func NewConfig(in ConfigInput) (*Config, error) {
	c := &Config{values: map[string]setting{}, env: map[string]string{}, defaultRegistry: in.DefaultRegistry}
	if c.defaultRegistry == nil {
		c.defaultRegistry = func() string { return "" }
	}
	for _, kv := range in.Env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			c.env[k] = v
		}
	}
	for _, f := range []*ConfigFile{in.Global, in.User, in.Project} {
		if f == nil {
			continue
		}
		values := parseNpmrc(f.Name, f.Data, c.env)
		for key, s := range values {
			c.values[key] = s
		}
		if f == in.Project {
			c.project = values
		}
	}
	for _, k := range sortedKeys(c.env) {
		if len(k) <= len("npm_config_") || !strings.EqualFold(k[:len("npm_config_")], "npm_config_") || c.env[k] == "" {
			continue
		}
		key := k[len("npm_config_"):]
		if !strings.HasPrefix(key, "//") {
			key = strings.ToLower(key[:1] + strings.ReplaceAll(key[1:], "_", "-"))
		}
		v, unset := expandEnv(c.env[k], c.env)
		c.values[key] = setting{value: v, source: "environment variable " + k, unset: unset}
	}
	for _, key := range []string{"_auth", "_authToken", "_password", "username"} {
		if s, ok := c.values[key]; ok && strings.HasPrefix(key, "_") {
			return nil, &Error{Reason: BadConfig, Msg: fmt.Sprintf("%s: %s must belong to a registry", s.source, key),
				Advice: fmt.Sprintf("write //HOST/:%s=…", key)}
		}
	}
	return c, nil
}

func (c *Config) get(key string) (setting, bool) {
	if c == nil {
		return setting{}, false
	}
	s, ok := c.values[key]
	return s, ok
}

// is reports whether a switch is on.
func (c *Config) is(key string) bool {
	s, ok := c.get(key)
	return ok && s.on()
}

// on reads a switch as npm does: one without a value is on, a number unless it is 0, and any other word
// but these.
func (s setting) on() bool {
	if s.value == "" {
		return true
	}
	if n, err := strconv.ParseFloat(strings.TrimSpace(s.value), 64); err == nil {
		return n != 0
	}
	return s.value != "false" && s.value != "null" && s.value != "undefined"
}

// list is a setting that may be given several times: "key[]=value" in files, between blank lines in the
// environment.
func (c *Config) list(key string) []string {
	s, ok := c.get(key)
	if !ok {
		return nil
	}
	if s.list != nil {
		return s.list
	}
	var out []string
	for v := range strings.SplitSeq(s.value, "\n\n") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// omit is what npm's omit, include and their older names come to. Lists of a caller, if not nil, replace
// the configuration's, as flags do; what is to be included wins.
func (c *Config) omit(omit, include []string) (omitSet, error) {
	o := omitSet{}
	for _, list := range [][]string{omit, include} {
		for _, n := range list {
			if !o.set(n, true) {
				return o, fmt.Errorf("omit %q: want dev, optional or peer", n)
			}
		}
	}
	o = omitSet{}
	if omit == nil && c != nil {
		if omit = c.list("omit"); omit == nil && c.env["NODE_ENV"] == "production" {
			omit = []string{"dev"}
		}
	}
	if include == nil {
		include = c.list("include")
	}
	for _, n := range omit {
		o.set(n, true)
	}
	include = slices.Clone(include)
	only, _ := c.get("only")
	production, isSet := c.get("production")
	switch {
	case only.value == "prod" || only.value == "production" || isSet && production.on():
		o.dev = true
	case isSet:
		include = append(include, "dev")
	}
	if s, ok := c.get("optional"); ok && !s.on() {
		o.optional = true
	} else if ok {
		include = append(include, "optional")
	}
	if s, _ := c.get("also"); strings.HasPrefix(s.value, "dev") || c.is("dev") {
		include = append(include, "dev")
	}
	for _, n := range include {
		o.set(n, false)
	}
	return o, nil
}

func (o *omitSet) set(name string, v bool) bool {
	switch name {
	case "dev":
		o.dev = v
	case "optional":
		o.optional = v
	case "peer":
		o.peer = v
	default:
		return false
	}
	return true
}

// registry is the URL, with a final slash, that serves the package; "" if nobody says.
func (c *Config) registry(name string) (string, error) {
	raw := ""
	if scope, _, ok := strings.Cut(name, "/"); ok && strings.HasPrefix(name, "@") {
		if s, ok := c.get(scope + ":registry"); ok {
			raw = s.value
		}
	}
	if raw == "" {
		if s, ok := c.get("registry"); ok {
			raw = s.value
		} else if c != nil {
			raw = c.defaultRegistry()
		}
	}
	if raw == "" {
		return "", nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", &Error{Reason: BadConfig, Msg: fmt.Sprintf("the registry %q is not an http or https URL", redact(raw)),
			Advice: "correct it in .npmrc"}
	}
	if u.User != nil {
		return "", &Error{Reason: CredentialsInURL, Msg: fmt.Sprintf("the registry %s has a user name or a password in its URL", redact(raw)),
			Advice: fmt.Sprintf("set //%s/:_auth=… or //%s/:_authToken=… in .npmrc instead", u.Host, u.Host)}
	}
	return strings.TrimRight(raw, "/") + "/", nil
}

// authorization is the value of the Authorization header for a URL and a key that names it; both
// are empty if there is none.
func (c *Config) authorization(rawURL, registry string) (key, value string, err error) {
	key, value, err = c.authAt(rawURL)
	if value == "" && err == nil && registry != "" && sameHost(rawURL, registry) {
		return c.authAt(registry)
	}
	return key, value, err
}

// authAt looks for the settings of the longest path that covers the URL, as npm does.
func (c *Config) authAt(rawURL string) (key, value string, err error) {
	u, err := url.Parse(rawURL)
	if err != nil || c == nil {
		return "", "", nil
	}
	for key = "//" + u.Host + u.Path; len(key) > 2; key = shorten(key) {
		if s, ok := c.get(key + ":_authToken"); ok && s.value != "" {
			return key, "Bearer " + s.value, s.usable()
		}
		if s, ok := c.get(key + ":_auth"); ok && s.value != "" {
			return key, "Basic " + s.value, s.usable()
		}
		user, ok1 := c.get(key + ":username")
		pass, ok2 := c.get(key + ":_password")
		if ok1 && ok2 {
			secret, err := base64.StdEncoding.DecodeString(pass.value)
			if err != nil {
				return key, "", &Error{Reason: BadConfig, Msg: pass.source + ": _password must be base64"}
			}
			if err := pass.usable(); err != nil {
				return key, "", err
			}
			return key, "Basic " + base64.StdEncoding.EncodeToString([]byte(user.value+":"+string(secret))), nil
		}
		if s, ok := c.get(key + ":certfile"); ok {
			return key, "", &Error{Reason: BadConfig, Msg: s.source + ": client certificates for a registry are not supported",
				Advice: "use a token"}
		}
	}
	return "", "", nil
}

// shorten takes the last element, or the last slash, off a key.
func shorten(key string) string {
	if strings.HasSuffix(key, "/") {
		return strings.TrimSuffix(key, "/")
	}
	return key[:strings.LastIndex(key, "/")+1]
}

func (s setting) usable() error {
	if s.unset == "" {
		return nil
	}
	return &Error{Reason: BadConfig, Msg: fmt.Sprintf("%s: the environment variable %s is not set", s.source, s.unset),
		Advice: "set it, or write ${" + s.unset + "?} if it may be empty"}
}

func sameHost(a, b string) bool {
	u, err := url.Parse(a)
	if err != nil {
		return false
	}
	v, err := url.Parse(b)
	return err == nil && u.Host == v.Host
}

// redact takes a password out of a URL.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(unreadable)"
	}
	return u.Redacted()
}

// unsupported refuses settings that would change the tree in ways that aren't there.
func (c *Config) unsupported() error {
	for _, bad := range []struct {
		key    string
		refuse func(setting) bool
		advice string
	}{
		{"install-strategy", func(s setting) bool { return s.value == "linked" }, "use the default strategy, hoisted"},
		{"workspaces", func(s setting) bool { return !s.on() }, "take it out: the tree has all workspaces"},
		{"workspace", func(s setting) bool { return s.value != "" || s.list != nil }, "take it out: the tree has all workspaces"},
		{"global", setting.on, "take it out: a project is built"},
	} {
		if s, ok := c.get(bad.key); ok && bad.refuse(s) {
			return &Error{Reason: BadConfig, Msg: fmt.Sprintf("%s: %s=%s is not supported", s.source, bad.key, s.value), Advice: bad.advice}
		}
	}
	return nil
}

// platform is the one for which optional packages are chosen: os, cpu and libc may be set.
func (c *Config) platform(p Platform) Platform {
	for key, field := range map[string]*string{"os": &p.OS, "cpu": &p.CPU, "libc": &p.Libc} {
		if s, ok := c.get(key); ok && s.value != "" && s.value != "null" && s.value != "false" {
			*field = s.value
		}
	}
	return p
}

// notForScripts are settings of the project that scripts don't see: what names places on this machine,
// and what mergefest does by itself.
var notForScripts = map[string]bool{
	"cache": true, "prefix": true, "userconfig": true, "globalconfig": true, "email": true, "username": true, "password": true,
	"ca": true, "cafile": true, "cert": true, "key": true, "certfile": true, "keyfile": true, "proxy": true, "https-proxy": true, "noproxy": true,
	"script-shell": true, "node-options": true, "local-prefix": true,
}

// scriptEnv are the settings of the project's .npmrc that scripts see as npm_config_… variables. Those of
// the user and of the machine don't count: results would depend on who makes them.
func (c *Config) scriptEnv() []string {
	if c == nil {
		return nil
	}
	var out []string
	for _, key := range sortedKeys(c.project) {
		s := c.project[key]
		if strings.ContainsAny(key[:min(1, len(key))], "/@_") || key == "" || strings.Contains(key, ":") || notForScripts[key] || s.unset != "" {
			continue
		}
		value := s.value
		if s.list != nil {
			value = strings.Join(s.list, "\n\n")
		}
		if u, err := url.Parse(value); err == nil && u.User != nil {
			continue
		}
		out = append(out, "npm_config_"+strings.ReplaceAll(key, "-", "_")+"="+value)
	}
	if s, ok := c.project["node-options"]; ok && s.unset == "" {
		out = append(out, "NODE_OPTIONS="+s.value)
	}
	return out
}

// shell is what runs scripts; empty is sh.
func (c *Config) shell() string {
	if c == nil {
		return ""
	}
	return c.project["script-shell"].value
}
