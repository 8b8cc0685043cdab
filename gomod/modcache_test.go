// The module cache that a project's graph makes is one that the go command works with.
package gomod

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
	"golang.org/x/tools/txtar"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/internal/helper/fetch"
)

// published is a module version that a test's proxy serves.
type published struct {
	m        module.Version
	zip, mod []byte
}

// publish zips the files below "<module>@<version>/" of an archive.
func publish(t testing.TB, a *txtar.Archive) []published {
	t.Helper()
	dirs := map[string]string{}
	for _, f := range a.Files {
		name, rel, ok := cutModule(f.Name)
		if !ok {
			continue
		}
		if dirs[name] == "" {
			dirs[name] = t.TempDir()
		}
		write(t, filepath.Join(dirs[name], rel), f.Data)
	}
	var out []published
	for name, dir := range dirs {
		path, version, _ := strings.Cut(name, "@")
		m := module.Version{Path: path, Version: version}
		var zip bytes.Buffer
		if err := modzip.CreateFromDir(&zip, m, dir); err != nil {
			t.Fatal(err)
		}
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			mod = []byte("module " + path + "\n")
		}
		out = append(out, published{m, zip.Bytes(), mod})
	}
	return out
}

func cutModule(name string) (mod, rel string, ok bool) {
	at := strings.IndexByte(name, '@')
	if at < 0 {
		return "", "", false
	}
	slash := strings.IndexByte(name[at:], '/')
	if slash < 0 {
		return "", "", false
	}
	return name[:at+slash], name[at+slash+1:], true
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, data, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// serve is a module proxy; it counts requests for what it doesn't have.
func serve(t testing.TB, mods []published) *httptest.Server {
	t.Helper()
	files := map[string][]byte{}
	for _, p := range mods {
		path, err := module.EscapePath(p.m.Path)
		if err != nil {
			t.Fatal(err)
		}
		base := "/" + path + "/@v/" + p.m.Version
		files[base+".zip"], files[base+".mod"] = p.zip, p.mod
		files[base+".info"] = []byte(`{"Version":"` + p.m.Version + `"}`)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	t.Cleanup(s.Close)
	return s
}

func goCommand(dir string, env []string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestModcacheServesTheGoCommand(t *testing.T) {
	a, err := txtar.ParseFile("testdata/modcache.txtar")
	if err != nil {
		t.Fatal(err)
	}
	project := t.TempDir()
	for _, f := range a.Files {
		if _, _, ok := cutModule(f.Name); !ok {
			write(t, filepath.Join(project, f.Name), f.Data)
		}
	}
	server := serve(t, publish(t, a))
	base := []string{"GONOSUMDB=*", "GOSUMDB=off", "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local", "CGO_ENABLED=0"}

	// The go command writes go.sum, with a cache of its own.
	first := t.TempDir()
	t.Cleanup(func() { goCommand(project, []string{"GOMODCACHE=" + first}, "clean", "-modcache") })
	if out, err := goCommand(project, append(base, "GOPROXY="+server.URL, "GOMODCACHE="+first), "mod", "tidy"); err != nil {
		t.Fatalf("go mod tidy: %v\n%s", err, out)
	}

	p, err := Parse(os.DirFS(project))
	if err != nil {
		t.Fatal(err)
	}
	g, _, err := p.Graph(Env{GOPROXY: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	fetchAll(t, g, cache)
	for _, args := range [][]string{{"build", "-o", filepath.Join(t.TempDir(), "x"), "."}, {"list", "-m", "all"}, {"vet", "."}} {
		if out, err := goCommand(project, append(base, "GOPROXY=off", "GOMODCACHE="+cache), args...); err != nil {
			t.Errorf("go %s: %v\n%s", args[0], err, out)
		}
	}

	// The extracted files are the go command's.
	err = filepath.WalkDir(first, func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(first, name)
		if err != nil || d.IsDir() || strings.HasPrefix(rel, "cache/") {
			return err
		}
		want, err1 := os.ReadFile(name)
		got, err2 := os.ReadFile(filepath.Join(cache, rel))
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs", rel)
		}
		a, _ := os.Stat(name)
		b, _ := os.Stat(filepath.Join(cache, rel))
		if a.Mode() != b.Mode() {
			t.Errorf("%s has mode %v, want %v", rel, b.Mode(), a.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// fetchAll carries out all fetch nodes into one directory, as their merge would be.
func fetchAll(t *testing.T, g *graph.Graph, dir string) {
	t.Helper()
	f, err := fetch.New(fetch.Settings{}, fetch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, id := range g.Topo() {
		n, _ := g.Node(id)
		a, ok := n.Action.(*graph.Fetch)
		if !ok {
			continue
		}
		out := t.TempDir()
		if err := f.Do(t.Context(), &a.Fetch, fetch.Env{OutDir: out}); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if msg, err := exec.Command("cp", "-a", out+"/.", dir).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v\n%s", err, msg)
		}
	}
}

// A zip that isn't that of go.sum is refused.
func TestWrongZip(t *testing.T) {
	a := txtar.Parse([]byte("-- example.com/a@v1.0.0/go.mod --\nmodule example.com/a\n-- example.com/a@v1.0.0/a.go --\npackage a\n"))
	mods := publish(t, a)
	server := serve(t, mods)
	sums, err := ParseSum("go.sum", []byte("example.com/a v1.0.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nexample.com/a v1.0.0/go.mod h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := NewFetcher(Env{GOPROXY: server.URL}, sums).Module(mods[0].m)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fetch.New(fetch.Settings{}, fetch.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Do(t.Context(), &n[0].Action.(*graph.Fetch).Fetch, fetch.Env{OutDir: t.TempDir()}); err == nil {
		t.Error("a wrong zip was accepted")
	}
}
