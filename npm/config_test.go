package npm

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestNpmrcValues holds what npm's own parser makes of each line (npm 11).
func TestNpmrcValues(t *testing.T) {
	env := map[string]string{"NAME": "value", "EMPTY": ""}
	tests := []struct{ line, key, want string }{
		{"a=b", "a", "b"},
		{"  a  =  b  ", "a", "b"},
		{"a", "a", "true"},
		{"a=", "a", ""},
		{"a = \"b ; c\"", "a", "b ; c"},
		{"a = 'b'", "a", "b"},
		{"a = b ; c", "a", "b"},
		{"a = b\\;c # d", "a", "b;c"},
		{"a = b=c", "a", "b=c"},
		{"a=${NAME}/x", "a", "value/x"},
		{"a=${UNSET}", "a", "${UNSET}"},
		{"a=${UNSET?}", "a", ""},
		{"a=${EMPTY}", "a", ""},
		{"${NAME}=b", "value", "b"},
		{"//registry.example.com/:_authToken=x", "//registry.example.com/:_authToken", "x"},
		{"[section]\na=b", "a", ""},
		{"a=1\r\na=2", "a", "2"},
	}
	for _, tt := range tests {
		if got := parseNpmrc(".npmrc", []byte(tt.line), env)[tt.key].value; got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.line, got, tt.want)
		}
	}
}

func TestConfigLevels(t *testing.T) {
	file := func(name, text string) *ConfigFile { return &ConfigFile{Name: name, Data: []byte(text)} }
	c, err := NewConfig(ConfigInput{
		Env:     []string{"npm_config_a=env", "NPM_CONFIG_LEGACY_PEER_DEPS=true", "npm_config_//registry.example.com/:_authToken=t"},
		Project: file("p", "a=project\nb=project"), User: file("u", "b=user\nc=user"), Global: file("g", "c=global\nd=global"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"a": "env", "b": "project", "c": "user", "d": "global"} {
		if s, _ := c.get(key); s.value != want {
			t.Errorf("%s is %q, want %q", key, s.value, want)
		}
	}
	if !c.is("legacy-peer-deps") {
		t.Error("a variable in upper case isn't seen")
	}
	if _, value, err := c.authorization("https://registry.example.com/a/-/a-1.0.0.tgz", ""); value != "Bearer t" || err != nil {
		t.Errorf("got %q, %v", value, err)
	}
	if _, value, _ := c.authorization("https://other.example.com/a.tgz", "https://other.example.com/"); value != "" {
		t.Errorf("another host gets the credential %q", value)
	}
}

// TestHostConfig reads files where npm looks for them, and asks an npm for what only it knows.
func TestHostConfig(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("app/.npmrc", "who=project\n", 0o644)
	write("home/.npmrc", "who=user\nuser=1\n", 0o644)
	write("node/etc/npmrc", "global=1\n", 0o644)
	write("node/bin/node", "#!/bin/sh\n", 0o755)
	write("node/bin/npm", "#!/bin/sh\necho asked >>"+dir+"/asked\necho https://default.example.com/\n", 0o755)
	h := Host{Env: []string{"HOME=" + dir + "/home", "PATH=" + dir + "/node/bin:/usr/bin:/bin"}, CacheDir: filepath.Join(dir, "cache")}
	for range 2 {
		c, err := h.Config(t.Context(), filepath.Join(dir, "app"))
		if err != nil {
			t.Fatal(err)
		}
		if who, _ := c.get("who"); who.value != "project" || !strings.HasSuffix(who.source, "/app/.npmrc:1") {
			t.Errorf("got %+v", who)
		}
		if _, ok := c.get("user"); !ok {
			t.Error("the user's file isn't read")
		}
		if _, ok := c.get("global"); !ok {
			t.Error("the global file isn't read")
		}
		if r, err := c.registry("a"); r != "https://default.example.com/" || err != nil {
			t.Errorf("got %q, %v", r, err)
		}
	}
	if asked, err := os.ReadFile(filepath.Join(dir, "asked")); err != nil || strings.Count(string(asked), "\n") != 1 {
		t.Errorf("npm was asked %q (%v), want once", asked, err)
	}
}

func TestRegistryFacts(t *testing.T) {
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := requests.Add(1)
		switch {
		case r.Header.Get("Authorization") != "Bearer t":
			w.WriteHeader(http.StatusUnauthorized)
		case n == 1:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.EscapedPath() == "/npm/@s%2Fa":
			fmt.Fprint(w, `{"versions":{"1.0.0":{"name":"@s/a","bin":{"a":"a.js"}},"2.0.0":{}}}`)
		case r.URL.Path == "/npm/half":
			fmt.Fprint(w, `{"versions":{`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer srv.Close()
	f := &RegistryFacts{}
	q := ManifestQuery{Name: "@s/a", Version: "1.0.0", Registry: srv.URL + "/npm/", Authorization: "Bearer t"}
	for range 2 {
		data, err := f.Manifest(t.Context(), q)
		if err != nil || !strings.Contains(string(data), "a.js") {
			t.Fatalf("got %s, %v", data, err)
		}
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests, want one that failed and one that didn't", n)
	}
	for _, bad := range []ManifestQuery{
		{Name: "@s/a", Version: "9.9.9", Registry: q.Registry, Authorization: q.Authorization},
		{Name: "none", Version: "1.0.0", Registry: q.Registry, Authorization: q.Authorization},
		{Name: "half", Version: "1.0.0", Registry: q.Registry, Authorization: q.Authorization},
		{Name: "b", Version: "1.0.0", Registry: q.Registry},
	} {
		if _, err := f.Manifest(t.Context(), bad); err == nil || strings.Contains(err.Error(), "Bearer") {
			t.Errorf("%s@%s: got %v", bad.Name, bad.Version, err)
		}
	}
	_, err := f.Manifest(t.Context(), ManifestQuery{Name: "a", Version: "1.0.0"})
	var e *Error
	if !errors.As(err, &e) || e.Reason != NoRegistry {
		t.Errorf("without a registry: %v", err)
	}
}

// TestSecretNames: credentials of registries whose keys look alike have names of their own.
func TestSecretNames(t *testing.T) {
	seen := map[string]string{}
	for _, key := range []string{"//host.example.com/", "//host.example.com/a-b/", "//host.example.com/a/b/", "//host.example.com/a_b/", "//host.example.com:81/a/b/"} {
		name := secretName(key)
		if other, ok := seen[name]; ok {
			t.Errorf("%s and %s are both %s", key, other, name)
		}
		seen[name] = key
	}
	if secretName("//h/a/") != secretName("//h/a") {
		t.Error("a final slash tells names apart")
	}
}
