package npm

// Where a package's tarball is, and what it is checked against.

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/mergefest/mergefest/graph"
)

// source is a download, a file or directory of the project, or a commit.
type source struct {
	urls       []string
	file       string // a tarball, relative to the app
	dir        string // a directory to be packed, relative to the app
	git        *graph.Git
	gitPath    string       // of the package in the repository
	prepare    *preparation // nil if npm's preparation is refused
	integrity  []string
	unverified bool
	auth       string // the name of the secret; "" without one
}

// sources finds out where packages come from.
type sources struct {
	cfg             *Config
	fallback        string // the registry that the lockfile's URLs show, where none is configured
	allowUnverified bool
	allowFlag       string            // how a user allows it: " (--flag)", or empty
	old             bool              // the lockfile has version 1
	secrets         map[string]string // what each secret's name stands for
}

// newSources looks at the whole lockfile: its URLs say which registry it was made with.
func newSources(cfg *Config, l *lockfile, allowUnverified bool) *sources {
	s := &sources{cfg: cfg, allowUnverified: allowUnverified, old: l.old, secrets: map[string]string{}}
	count := map[string]int{}
	for _, loc := range sortedKeys(l.entries) {
		e := l.entries[loc]
		name := str(e, "name")
		if name == "" {
			name = nameOf(loc)
		}
		if base := registryOf(name, str(e, "resolved")); base != "" && !strings.HasPrefix(name, "@") {
			count[base]++
		}
	}
	for _, base := range sortedKeys(count) {
		if count[base] > count[s.fallback] {
			s.fallback = base
		}
	}
	return s
}

// registryOf is the registry that a tarball's URL of the usual form belongs to, or "".
func registryOf(name, resolved string) string {
	if !strings.HasPrefix(resolved, "https://") && !strings.HasPrefix(resolved, "http://") {
		return ""
	}
	base, _, ok := strings.Cut(resolved, "/"+name+"/-/")
	if !ok {
		return ""
	}
	return base + "/"
}

// find says where n's tarball is. problems go to *Error without a position.
func (s *sources) find(n *node) (source, *Error) {
	var out source
	switch k := parseSpec(n.resolved, ""); {
	case n.resolved == "":
		u, err := s.fromRegistry(n)
		if err != nil {
			return out, err
		}
		out.urls = []string{u}
	case k.kind == specRemote:
		urls, err := s.replaceHost(n.packageName(), n.resolved)
		if err != nil {
			return out, err
		}
		out.urls = urls
	case k.kind == specFile && s.old:
		return out, oldSource(LocalPackage, n, "is a tarball of the project")
	case k.kind == specFile:
		out.file = k.value
		return out, s.integrity(n, &out)
	case k.kind == specDirectory:
		out.dir, out.unverified = k.value, true // the project's own
		return out, nil
	case k.kind == specGit:
		return out, s.gitSource(n, &out)
	default:
		return out, &Error{Reason: Malformed, Package: n.id(), Msg: "comes from " + redact(n.resolved) + ", which is no place that is known",
			Advice: "remove its entry and run npm install"}
	}
	if err := s.credentials(n, &out); err != nil {
		return out, err
	}
	return out, s.integrity(n, &out)
}

func (s *sources) fromRegistry(n *node) (string, *Error) {
	name, version := n.packageName(), n.version()
	if version == "" {
		return "", &Error{Reason: Malformed, Package: n.loc, Msg: "the lockfile has neither a version nor a URL for it",
			Advice: "remove the lockfile and run npm install"}
	}
	base, err := s.cfg.registry(name)
	if err != nil {
		return "", asError(err)
	}
	if base == "" {
		base = s.fallback
	}
	if base == "" {
		return "", &Error{Reason: NoRegistry, Package: n.id(), Msg: "the lockfile has no URL for it, and no registry is configured",
			Advice: "set registry=https://… in .npmrc or the environment variable npm_config_registry"}
	}
	file := path.Base(name) + "-" + version + ".tgz"
	return base + name + "/-/" + strings.ReplaceAll(file, "+", "%2B"), nil
}

// hostModes are values of replace-registry-host without a dot that aren't the default's name.
var hostModes = [...]string{"always", "never", "localhost"}

// replaceHost applies npm's replace-registry-host: a lockfile made with the default registry is
// used with whichever is configured.
func (s *sources) replaceHost(name, resolved string) ([]string, *Error) {
	u, err := url.Parse(resolved)
	if err != nil || u.Host == "" {
		return nil, &Error{Reason: Malformed, Package: name, Msg: fmt.Sprintf("%q is not a URL", redact(resolved))}
	}
	if u.User != nil {
		return nil, &Error{Reason: CredentialsInURL, Package: name, Msg: "its URL in the lockfile has a user name or a password: " + u.Redacted(),
			Advice: "take it out of the URL and put it into .npmrc, as //" + u.Host + "/:_authToken or :_auth"}
	}
	if own, err := s.cfg.registry(name); err == nil && own != "" && sameHost(own, resolved) {
		return []string{resolved}, nil // where its scope is configured to be
	}
	if _, ok := s.cfg.get("registry"); !ok {
		return []string{resolved}, nil // it is what npm uses by default that replaces itself
	}
	base, err := s.cfg.registry("")
	if err != nil {
		return nil, asError(err)
	}
	if sameHost(base, resolved) {
		return []string{resolved}, nil
	}
	mode := "" // the default registry, for which npm has a name of one word
	if v, ok := s.cfg.get("replace-registry-host"); ok && (strings.ContainsAny(v.value, ".:") || contains(hostModes[:], v.value)) {
		mode = v.value
	}
	if base == "" || mode == "never" {
		return []string{resolved}, nil
	}
	switch {
	case mode == "always" || mode == u.Hostname():
		return []string{swapHost(u, base)}, nil
	case mode != "":
		if m, err := url.Parse(mode); err != nil || m.Hostname() != u.Hostname() {
			return []string{resolved}, nil
		}
		return []string{swapHost(u, base)}, nil
	}
	if def := s.cfg.defaultRegistry(); def != "" {
		if sameHost(def, resolved) {
			return []string{swapHost(u, base)}, nil
		}
		return []string{resolved}, nil
	}
	// Nobody told which registry is npm's default one. The one that most URLs of the lockfile show
	// is taken for it: if the file isn't at the configured registry, it is where the lockfile
	// says, and the integrity holds for both.
	if s.fallback != "" && strings.HasPrefix(resolved, s.fallback) {
		return []string{swapHost(u, base), resolved}, nil
	}
	return []string{resolved}, nil
}

// swapHost moves a URL to the registry at base.
func swapHost(u *url.URL, base string) string {
	to, err := url.Parse(base)
	if err != nil {
		return u.String()
	}
	out := *u
	out.Scheme, out.Host, out.User = to.Scheme, to.Host, nil
	prefix := strings.TrimSuffix(to.Path, "/")
	if prefix != "" && !strings.HasPrefix(out.Path+"/", prefix+"/") {
		out.Path, out.RawPath = prefix+out.Path, ""
	}
	return out.String()
}

// credentials names the secret for the URLs. A secret goes to one host only, so with a secret
// there is one URL.
func (s *sources) credentials(n *node, out *source) *Error {
	registry, err := s.cfg.registry(n.packageName())
	if err != nil {
		return asError(err)
	}
	for i, raw := range out.urls {
		key, value, err := s.cfg.authorization(raw, registry)
		if err != nil {
			return asError(err)
		}
		if value != "" {
			out.urls = out.urls[i : i+1]
			out.auth = secretName(key)
			s.secrets[out.auth] = value
			return nil
		}
	}
	return nil
}

// secretName is a name for the credential of a registry, the same on every machine. Part of a digest tells
// keys apart that are the same but for what a name can't have.
func secretName(key string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, strings.Trim(key, "/"))
	sum := sha256.Sum256([]byte(strings.Trim(key, "/")))
	return "npm-auth-" + clean + "-" + hex.EncodeToString(sum[:4])
}

// digestSize maps the algorithms of integrities to the number of bytes of a digest.
var digestSize = map[string]int{"sha512": 64, "sha384": 48, "sha256": 32, "sha1": 20}

func (s *sources) integrity(n *node, out *source) *Error {
	for _, field := range strings.Fields(n.integrity) {
		field, _, _ = strings.Cut(field, "?") // options of the SRI format, which nothing uses
		alg, digest, _ := strings.Cut(field, "-")
		sum, err := base64.StdEncoding.DecodeString(digest)
		if err != nil || digestSize[alg] == 0 || len(sum) != digestSize[alg] {
			continue
		}
		out.integrity = append(out.integrity, field)
	}
	switch {
	case len(out.integrity) > 0:
		return nil
	case s.allowUnverified, out.file != "" && strings.TrimSpace(n.integrity) == "":
		out.unverified = true // nothing can come between the project and its own file
		return nil
	case strings.TrimSpace(n.integrity) == "":
		return &Error{Reason: MissingIntegrity, Package: n.id(), Msg: "the lockfile has no integrity for it, so a download couldn't be checked",
			Advice: "remove the entry and run npm install, or allow packages without integrity" + s.allowFlag}
	}
	return &Error{Reason: WeakIntegrity, Package: n.id(), Msg: fmt.Sprintf("no usable digest in the integrity %q", n.integrity),
		Advice: "sha512, sha384, sha256 and sha1 in base64 are known; remove the entry and run npm install"}
}

// asError makes any error one of this package's.
func asError(err error) *Error {
	if e, ok := err.(*Error); ok {
		return e
	}
	return &Error{Reason: BadConfig, Msg: err.Error()}
}
