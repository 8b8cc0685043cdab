package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/llbgen"
)

// tree makes empty files below a new directory.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		p := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func relative(t *testing.T, dir string, found []string) []string {
	t.Helper()
	var out []string
	for _, f := range found {
		r, err := filepath.Rel(dir, f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestFindProjects(t *testing.T) {
	dir := tree(t, "go/go.mod", "go/cmd/x/main.go", "go/docs/readme", "web/package-lock.json", "web/src/a.js",
		"web/node_modules/x/package-lock.json", "tools/a/npm-shrinkwrap.json", "tools/b/go.mod", ".hidden/go.mod", "testdata/go.mod",
		"both/go.mod", "both/package-lock.json", "both/cmd/x/main.go")
	for _, c := range []struct {
		sub, patterns string
		goes, npms    []string
	}{
		{".", "./...", []string{"both", "go", "tools/b"}, []string{"both", "tools/a", "web"}},
		{"both", ".", nil, []string{"both"}},
		{"both", "./...", []string{"both"}, []string{"both"}},
		{".", ".", nil, nil},
		{"go", "./...", []string{"go"}, nil},
		{"go", ".", []string{"go"}, nil},
		{"go/cmd/x", "", []string{"go/cmd/x"}, nil},
		{"go/docs", ".", nil, nil},
		{"go/docs", "./...", []string{"go/docs"}, nil},
		{"go", "example.com/some/path", []string{"go"}, nil},
		{"web", "", nil, []string{"web"}},
		{".", "./web ./tools/...", []string{"tools/b"}, []string{"web", "tools/a"}},
	} {
		o := Options{Dir: filepath.Join(dir, c.sub), Patterns: strings.Fields(c.patterns)}
		goes, err := findGo(o)
		if err != nil || !slices.Equal(relative(t, dir, goes), c.goes) {
			t.Errorf("Go in %s %s: %q, %v; want %q", c.sub, c.patterns, goes, err, c.goes)
		}
		npms, err := findNPM(o)
		if err != nil || !slices.Equal(relative(t, dir, npms), c.npms) {
			t.Errorf("npm in %s %s: %q, %v; want %q", c.sub, c.patterns, npms, err, c.npms)
		}
	}
}

func TestNothingToBuild(t *testing.T) {
	dir := tree(t, "readme")
	var nothing *NothingError
	if _, err := Plan(context.Background(), Options{Dir: dir}); !errors.As(err, &nothing) {
		t.Errorf("error = %v", err)
	}
	if _, err := Plan(context.Background(), Options{Dir: filepath.Join(dir, "readme")}); err == nil {
		t.Error("a file was taken for a project")
	}
	if nothing.GoFiles || strings.Contains(nothing.Error(), "go mod init") {
		t.Errorf("Go files in a directory without any: %v", nothing)
	}
	dir = tree(t, "main.go")
	if _, err := Plan(context.Background(), Options{Dir: dir}); !errors.As(err, &nothing) || !nothing.GoFiles || !strings.Contains(err.Error(), "go mod init") {
		t.Errorf("error = %v", err)
	}
}

// TestFindGoInOddDirectories: names of directories are no patterns.
func TestFindGoInOddDirectories(t *testing.T) {
	dir := tree(t, "a[b-c]*?/go.mod", "a[b-c]*?/main.go", "a[b-c]*?/docs/readme")
	odd := filepath.Join(dir, "a[b-c]*?")
	for _, o := range []Options{{Dir: odd}, {Dir: odd, Patterns: []string{"."}}, {Dir: filepath.Join(odd, "docs"), Patterns: []string{".."}}} {
		if dirs, err := findGo(o); err != nil || !slices.Equal(dirs, []string{o.Dir}) {
			t.Errorf("%+v: found %q, %v", o, dirs, err)
		}
	}
	if dirs, err := findGo(Options{Dir: odd, Patterns: []string{"./docs"}}); err != nil || len(dirs) > 0 {
		t.Errorf("a directory without Go files: found %q, %v", dirs, err)
	}
}

func localNode(name, root string) graph.Node {
	return graph.Node{ID: graph.ID{Ecosystem: "t", Kind: "local", Package: name}, Action: &graph.Local{Root: root, Files: []graph.LocalFile{{Path: "f"}}}}
}

func TestJoinKeepsLocalDirectoriesApart(t *testing.T) {
	a, b := localNode("a", ""), localNode("b", "")
	shared := graph.Node{ID: graph.ID{Ecosystem: "t", Kind: "write", Package: "w"}, Action: &graph.Write{Files: []action.File{{Path: "x", Text: "x"}}}}
	p, err := join("/p", []*part{
		{nodes: []graph.Node{a, shared}, roots: []graph.Root{{Name: "a", From: a.ID}, {Name: "w", From: shared.ID}}, locals: map[string]string{"": "/p/one"}},
		{nodes: []graph.Node{b, shared}, roots: []graph.Root{{Name: "b", From: b.ID}}, locals: map[string]string{"": "/p/two"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[graph.ID]string{a.ID: "/p/one", b.ID: "/p/two"} {
		n, _ := p.Graph.Node(id)
		if got := p.Locals[n.Action.(*graph.Local).Root]; got != want {
			t.Errorf("%s takes files from %q, want %q (%v)", id, got, want, p.Locals)
		}
	}
	if p.Graph.Len() != 3 {
		t.Errorf("%d nodes, want 3: what both parts have is there once", p.Graph.Len())
	}
}

func TestPlatformsGetDirectories(t *testing.T) {
	one := []graph.Root{{Name: "x", Platform: "linux/amd64", Dest: "bin/x"}}
	if got := byPlatform(one); got[0].Dest != "bin/x" {
		t.Errorf("one platform: %q", got[0].Dest)
	}
	got := byPlatform(append(one, graph.Root{Name: "x", Platform: "linux/arm/v7", Dest: "bin/x"}, graph.Root{Name: "docs", Dest: "docs"}))
	if got[0].Dest != "linux_amd64/bin/x" || got[1].Dest != "linux_arm_v7/bin/x" || got[2].Dest != "docs" {
		t.Errorf("several platforms: %v", got)
	}
}

func TestSecretsOfAGraphFile(t *testing.T) {
	dir := t.TempDir()
	text := `{"version":1,"nodes":[{"id":"t/fetch/f","fetch":{"items":[{"name":"f","urls":["https://files.example.com/f"],"integrity":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],"auth":"token","dests":["f"]}]}}],"roots":[{"name":"f","from":"t/fetch/f"}]}`
	if err := os.WriteFile(filepath.Join(dir, "g.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: dir, GraphFile: "g.json", Env: []string{"PATH=/bin"}}
	if _, err := Plan(context.Background(), o); err == nil || !strings.Contains(err.Error(), "MERGEFEST_SECRET_token") {
		t.Errorf("a missing secret: %v", err)
	}
	o.Env = append(o.Env, "MERGEFEST_SECRET_token=Bearer x")
	p, err := Plan(context.Background(), o)
	if err != nil || string(p.Secrets["token"]) != "Bearer x" {
		t.Errorf("plan %v, %v", p, err)
	}
}

func TestNetworkSettings(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte("-----BEGIN"), 0o644); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SSL_CERT_FILE": ca, "HTTPS_PROXY": "http://proxy.example.com:3128", "UNRELATED": "x"}
	getenv := func(name string) string { return env[name] }
	document := func(here bool) (string, error) {
		secrets, err := networkSecrets(getenv, here)
		return string(secrets[llbgen.NetworkSecret]), err
	}
	got, err := document(false)
	if err != nil || got != `{"ca":"-----BEGIN","env":{"HTTPS_PROXY":"http://proxy.example.com:3128"}}` {
		t.Errorf("%s, %v", got, err)
	}
	got, err = document(true)
	want := fmt.Sprintf(`{"caFile":%q,"caDigest":"%x","env":{"HTTPS_PROXY":"http://proxy.example.com:3128"}}`, ca, sha256.Sum256([]byte("-----BEGIN")))
	if err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	env["SSL_CERT_FILE"] = ca + ".missing"
	if _, err := document(false); err == nil || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Errorf("a missing bundle: %v", err)
	}
}

// TestNetworkSecrets: runs with a network get the variables that there are, and a bundle that has what
// NODE_EXTRA_CA_CERTS adds.
func TestNetworkSecrets(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"no_proxy": "localhost"}
	for name, text := range map[string]string{"SSL_CERT_FILE": "bundle", "NODE_EXTRA_CA_CERTS": "extra"} {
		env[name] = filepath.Join(dir, text)
		if err := os.WriteFile(env[name], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	getenv := func(name string) string { return env[name] }
	check := func(ca string) {
		t.Helper()
		got, err := networkSecrets(getenv, false)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"mergefest.net": fmt.Sprintf(`{"ca":%q,"env":{"no_proxy":"localhost"}}`, ca), "mergefest.ca": ca, "mergefest.ca.path": graph.AuthoritiesFile,
			"mergefest.env.SSL_CERT_FILE": graph.AuthoritiesFile, "mergefest.env.no_proxy": "localhost",
		}
		for name, v := range got {
			if want[name] != string(v) {
				t.Errorf("%s = %q, want %q", name, v, want[name])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d secrets, want %d", len(got), len(want))
		}
	}
	check("bundle\nextra")
	here, err := networkSecrets(getenv, true)
	if doc := string(here["mergefest.net"]); err != nil || !strings.HasPrefix(doc, `{"ca":"extra","caFile":`) || string(here["mergefest.ca"]) != "bundle\nextra" {
		t.Errorf("here: %s, %v", doc, err)
	}
	env["NODE_EXTRA_CA_CERTS"] = env["SSL_CERT_FILE"]
	check("bundle")
	env["NODE_EXTRA_CA_CERTS"] = filepath.Join(dir, "missing")
	check("bundle")
	if err := os.WriteFile(env["SSL_CERT_FILE"], make([]byte, maxSecret+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := networkSecrets(getenv, true); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a large bundle: %v", err)
	}
}

func TestLLBDirectoryIsClaimed(t *testing.T) {
	dir := tree(t, "files/precious")
	var usage *UsageError
	if err := claim(dir); !errors.As(err, &usage) {
		t.Errorf("a directory with files of somebody's: %v", err)
	}
	fresh := filepath.Join(t.TempDir(), "new")
	for range 2 {
		if err := claim(fresh); err != nil {
			t.Errorf("a directory of its own: %v", err)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"a/b=c": "a/b=c", "l b": "'l b'", "it's": `'it'\''s'`} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}
