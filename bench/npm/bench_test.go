// Tests of what the comparison rests on: the edits, the made-up packages, and that differences of
// trees are seen.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"
)

func testRegistry(t *testing.T) (r *registry, hits *int) {
	t.Helper()
	hits = new(int)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		*hits++
		if req.URL.Path != "/@s/real/-/real-2.0.0.tgz" {
			http.NotFound(w, req)
			return
		}
		io.WriteString(w, "tarball")
	}))
	t.Cleanup(up.Close)
	r, err := serveRegistry(t.TempDir(), up.URL+"/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, hits
}

func get(t *testing.T, url string) (int, []byte) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, data
}

func TestAppAndRegistry(t *testing.T) {
	r, hits := testRegistry(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"package.json":      `{"name":"x","dependencies":{"alias":"npm:@s/real@2.0.0"}}`,
		"package-lock.json": `{"lockfileVersion":2,"packages":{"":{"name":"x"},"node_modules/alias":{"name":"@s/real","version":"2.0.0"},"node_modules/w":{"link":true,"resolved":"w"}}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := readApp(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.urls) != 1 || a.urls[0] != r.url+"/@s/real/-/real-2.0.0.tgz" || a.packages != 1 {
		t.Fatalf("addresses %q of %d packages", a.urls, a.packages)
	}
	if err := r.fill(context.Background(), a.urls); err != nil {
		t.Fatal(err)
	}
	if code, data := get(t, a.urls[0]); code != 200 || string(data) != "tarball" || *hits != 1 {
		t.Errorf("status %d, %q, %d downloads", code, data, *hits)
	}
	if code, _ := get(t, r.url+"/none/-/none-1.0.0.tgz"); code != http.StatusBadGateway {
		t.Errorf("a missing tarball has the status %d", code)
	}

	for _, s := range []state{{leaf: 7, extra: madeUp + "extra1"}, {leaf: 8}} {
		if err := a.write(dir, s, r); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
		if err != nil {
			t.Fatal(err)
		}
		var lock struct {
			Packages map[string]struct{ Version, Resolved, Integrity string }
		}
		if err := json.Unmarshal(data, &lock); err != nil {
			t.Fatal(err)
		}
		if _, ok := lock.Packages["node_modules/"+madeUp+"extra1"]; ok != (s.extra != "") {
			t.Errorf("%v: the lockfile has the extra package: %v", s, ok)
		}
		leaf := lock.Packages["node_modules/"+madeUp+"leaf"]
		code, tarball := get(t, leaf.Resolved)
		if code != 200 || integrity(tarball) != leaf.Integrity {
			t.Errorf("%v: status %d; the tarball's integrity is %s, the lockfile has %s", s, code, integrity(tarball), leaf.Integrity)
		}
	}
}

func TestTreeDifferencesAreSeen(t *testing.T) {
	tree := t.TempDir()
	lib := filepath.Join(tree, madeUp+"leaf", "lib")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"m0.js", "m1.js", "m2.js"} {
		if err := os.WriteFile(filepath.Join(lib, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list := func() []byte {
		out, err := listTree(tree)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	last := list()
	for _, change := range []struct {
		name string
		do   func() error
	}{
		{"damage", func() error { return damage(tree) }},
		{"mode", func() error { return os.Chmod(filepath.Join(lib, "m2.js"), 0o755) }},
		{"link", func() error { return os.Symlink("m2.js", filepath.Join(lib, "link.js")) }},
	} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		now := list()
		if bytes.Equal(now, last) {
			t.Errorf("%s: not seen", change.name)
		}
		last = now
	}
}

func TestPNPMLock(t *testing.T) {
	var top map[string]any
	if err := yaml.Unmarshal([]byte("lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a:\n        specifier: ^1\n        version: 1.0.0\npackages:\n  a@1.0.0: {}\nsnapshots:\n  a@1.0.0: {}\n"), &top); err != nil {
		t.Fatal(err)
	}
	lock := pnpmLock(top)
	for range 2 { // the first state must not be left in the second one
		for _, s := range []state{{leaf: 3, extra: madeUp + "extra1"}, {leaf: 4}} {
			got, err := lock.in(s)
			if err != nil {
				t.Fatal(err)
			}
			data, err := yaml.Marshal(map[string]any(got))
			if err != nil {
				t.Fatal(err)
			}
			var back struct {
				Importers map[string]struct {
					Dependencies map[string]struct{ Specifier, Version string }
				}
				Packages map[string]struct {
					Resolution struct{ Integrity string }
				}
				Snapshots map[string]any
			}
			if err := yaml.Unmarshal(data, &back); err != nil {
				t.Fatal(err)
			}
			deps := back.Importers["."].Dependencies
			if len(deps) != len(s.versions())+1 || len(back.Packages) != len(deps) || len(back.Snapshots) != len(deps) || deps["a"].Version != "1.0.0" {
				t.Errorf("%v:\n%s", s, data)
			}
			for name, v := range s.versions() {
				if deps[name].Version != v || back.Packages[name+"@"+v].Resolution.Integrity == "" {
					t.Errorf("%v: %s@%s isn't there:\n%s", s, name, v, data)
				}
			}
		}
	}
}
