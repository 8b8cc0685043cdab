package gomod

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/module"
	"golang.org/x/tools/txtar"

	"github.com/mergefest/mergefest/graph"
)

// TestParse reads the cases of testdata/parse: a project, and "want" with what it needs or the
// error.
func TestParse(t *testing.T) {
	files, err := filepath.Glob("testdata/parse/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			fsys := fstest.MapFS{}
			want := ""
			for _, f := range a.Files {
				if f.Name == "want" {
					want = string(f.Data)
				} else {
					fsys[f.Name] = &fstest.MapFile{Data: f.Data}
				}
			}
			if got := describe(Parse(fsys)); got != want {
				if os.Getenv("UPDATE") != "" {
					a.Files[len(a.Files)-1].Data = []byte(got)
					os.WriteFile(file, txtar.Format(a), 0o644)
				}
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func describe(p *Project, err error) string {
	if err != nil {
		var list Errors
		if !errors.As(err, &list) {
			return "untyped: " + err.Error() + "\n"
		}
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, m := range p.Mains {
		b.WriteString("main " + m.Dir + " " + m.Path + " " + m.Go + " " + m.Toolchain + "\n")
	}
	for _, m := range p.Zips {
		b.WriteString("zip " + m.String() + "\n")
	}
	for _, m := range p.Mods {
		b.WriteString("mod " + m.String() + "\n")
	}
	return b.String()
}

func TestProxies(t *testing.T) {
	sum := "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	m := module.Version{Path: "example.com/Mod", Version: "v1.0.0"}
	sums, err := ParseSum("go.sum", []byte(m.Path+" v1.0.0 "+sum+"\n"+m.Path+" v1.0.0/go.mod "+sum+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		proxy, noproxy, urls, err, auth string
		any                             []bool
	}{
		{proxy: "https://proxy.example.com", urls: "https://proxy.example.com/example.com/!mod/@v/v1.0.0.zip"},
		{proxy: "https://a.example.com/x/,https://b.example.com|direct,https://never.example.com", urls: "https://a.example.com/x/example.com/!mod/@v/v1.0.0.zip https://b.example.com/example.com/!mod/@v/v1.0.0.zip", any: []bool{false, true}},
		{proxy: "https://user:pass@proxy.example.com:8443/p", urls: "https://proxy.example.com:8443/p/example.com/!mod/@v/v1.0.0.zip", auth: "goproxy.proxy.example.com:8443"},
		{proxy: "https://a.example.com,https://user:pass@b.example.com", urls: "https://a.example.com/example.com/!mod/@v/v1.0.0.zip https://b.example.com/example.com/!mod/@v/v1.0.0.zip", auth: "goproxy.b.example.com b.example.com"},
		{proxy: "https://user:pass@a.example.com,https://user2:pass@b.example.com", err: "GOPROXY has credentials for several proxies"},
		{proxy: "http://user:pass@a.example.com", err: "refusing to pass credentials to insecure URL"},
		{proxy: "direct", err: "example.com/Mod@v1.0.0: GOPROXY=direct asks for a download from version control"},
		{proxy: "off", err: "example.com/Mod@v1.0.0: module lookup disabled by GOPROXY=off"},
		{proxy: "", err: "contains no entries"},
		{proxy: "file:///tmp/x", err: `GOPROXY of scheme "file" is not supported`},
		{proxy: "proxy.example.com", err: "has no scheme"},
		{proxy: "https://user:pa%ss@proxy.example.com", err: `GOPROXY has an invalid URL "https://proxy.example.com"`},
		{proxy: "https://proxy.example.com", noproxy: "other.example.com,example.com/*", err: "GOPRIVATE or GONOPROXY asks for a direct download"},
		{proxy: "https://proxy.example.com", noproxy: "none", urls: "https://proxy.example.com/example.com/!mod/@v/v1.0.0.zip"},
	} {
		f := NewFetcher(Env{GOPROXY: c.proxy, GONOPROXY: c.noproxy}, sums)
		n, err := f.Module(m)
		if c.err != "" {
			var pe *ProxyError
			if !errors.As(err, &pe) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: got error %v, want %q", c.proxy, err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "pa") && strings.Contains(err.Error(), "user") {
				t.Errorf("%q: the error shows a credential: %v", c.proxy, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.proxy, err)
			continue
		}
		item := n[0].Action.(*graph.Fetch).Items[0]
		if got := strings.Join(item.URLs, " "); got != c.urls || strings.TrimSpace(item.Auth+" "+item.AuthHost) != c.auth || !slices.Equal(item.AnyFailure, c.any) {
			t.Errorf("%q: got %s, secret %q", c.proxy, got, item.Auth)
		}
		if name, _, _ := strings.Cut(c.auth, " "); name != "" && string(f.Secrets()[name]) != "Basic dXNlcjpwYXNz" {
			t.Errorf("%q: the secret is %q", c.proxy, f.Secrets()[name])
		}
		if _, err := graph.New(n, nil); err != nil {
			t.Errorf("%q: %v", c.proxy, err)
		}
	}
}

func TestMissingSum(t *testing.T) {
	f := NewFetcher(Env{GOPROXY: "https://proxy.example.com"}, &Sums{})
	_, err := f.Module(module.Version{Path: "example.com/a", Version: "v1.0.0"})
	var e *Error
	if !errors.As(err, &e) || err.Error() != "go.sum: missing go.sum entry for example.com/a@v1.0.0; to add it: go mod download example.com/a" {
		t.Errorf("got %v", err)
	}
}

func FuzzParseSum(f *testing.F) {
	f.Add([]byte("example.com/a v1.0.0 h1:x\n"))
	f.Add([]byte("example.com/a v1.0.0/go.mod h1:x\n\n<<<<<<< HEAD\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSum("go.sum", data)
		var list Errors
		if err != nil && !errors.As(err, &list) {
			t.Fatalf("untyped error %v", err)
		}
		if err == nil {
			for _, m := range modules(s.zip) {
				if _, err := Dir(m); err != nil {
					t.Fatalf("%v was accepted, but %v", m, err)
				}
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("module example.com/a\n\ngo 1.20\n\nrequire example.com/b v1.0.0\n"), []byte("example.com/b v1.0.0 h1:x\n"), []byte("use ./a\n"))
	f.Fuzz(func(t *testing.T, mod, sum, work []byte) {
		fsys := fstest.MapFS{"go.mod": {Data: mod}, "go.sum": {Data: sum}}
		describe(Parse(fsys))
		fsys["go.work"] = &fstest.MapFile{Data: work}
		describe(Parse(fsys))
	})
}
