package npm

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the wanted outputs of testdata/plan again")

// TestPlans reads one project from each file of testdata/plan. "options" has a JSON object with
// fields of caseOptions; "want" has the plan in short, or "error" the errors.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/plan/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d cases: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { testPlan(t, file) })
	}
}

// caseOptions are what a case can set.
type caseOptions struct {
	Omit     []string
	Platform Platform
	Env      []string
	Default  string // the default registry
	Unsafe   bool   // AllowMissingIntegrity
	Dir      string
	Scripts  ScriptPolicy
	Runtime  bool
	Node     string // the version of the runtime
	Run      Run
	Exclude  []string
	Facts    map[string]json.RawMessage // "name@version" to a manifest
}

type factsMap map[string]json.RawMessage

func (f factsMap) Manifest(_ context.Context, q ManifestQuery) ([]byte, error) {
	if m, ok := f[q.Name+"@"+q.Version]; ok {
		return m, nil
	}
	if _, ok := f[q.Name+"@gone"]; ok {
		return nil, &NotFoundError{Name: q.Name, Version: q.Version}
	}
	return nil, fmt.Errorf("not known")
}

func (f factsMap) Versions(_ context.Context, q ManifestQuery) ([]string, error) {
	if _, ok := f[q.Name+"@none"]; ok {
		return nil, nil
	}
	var out []string
	for _, id := range sortedKeys(f) {
		if v, ok := strings.CutPrefix(id, q.Name+"@"); ok {
			out = append(out, v)
		}
	}
	if out == nil {
		return nil, fmt.Errorf("not known")
	}
	return out, nil
}

func testPlan(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var co caseOptions
	for _, f := range ar.Files {
		if f.Name == "options" {
			if err := json.Unmarshal(f.Data, &co); err != nil {
				t.Fatal(err)
			}
		}
	}
	fsys, err := txtar.FS(ar)
	if err != nil {
		t.Fatal(err)
	}
	got, kind := planText(fsys, co)
	for i, f := range ar.Files {
		if f.Name != "want" && f.Name != "error" {
			continue
		}
		if *update {
			ar.Files[i] = txtar.File{Name: kind, Data: []byte(got)}
			if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		if f.Name != kind || string(f.Data) != got {
			t.Errorf("got %s:\n%s\nwant %s:\n%s", kind, got, f.Name, f.Data)
		}
		return
	}
	t.Fatal("the case has neither want nor error")
}

// planText plans and describes the result.
func planText(fsys fs.FS, co caseOptions) (text, kind string) {
	in := ConfigInput{Env: co.Env, DefaultRegistry: func() string { return co.Default }}
	if data, err := fs.ReadFile(fsys, ".npmrc"); err == nil {
		in.Project = &ConfigFile{Name: ".npmrc", Data: data}
	}
	cfg, err := NewConfig(in)
	if err != nil {
		return err.Error() + "\n", "error"
	}
	if co.Platform == (Platform{}) {
		co.Platform = Platform{OS: "linux", CPU: "x64", Libc: "glibc"}
	}
	o := Options{Dir: co.Dir, Platform: co.Platform, Config: cfg, Omit: co.Omit, AllowMissingIntegrity: co.Unsafe, MissingIntegrityFlag: "--npm-allow-missing-integrity", Scripts: co.Scripts, Run: co.Run, Exclude: co.Exclude}
	o.Run.WorkspaceFlag, o.Run.OutputsFlag = "--npm-workspace", "--npm-outputs"
	if co.Runtime {
		o.Runtime = &Runtime{Platform: "linux/amd64", Version: co.Node, Node: graph.Node{ID: graph.ID{Ecosystem: "npm", Kind: "runtime", Package: "node"},
			Action: &graph.Image{Ref: "registry.example.com/node:20"}}}
	}
	if co.Facts != nil {
		o.Facts = factsMap(co.Facts)
	}
	p, err := Load(context.Background(), fsys, o)
	if err != nil {
		return err.Error() + "\n", "error"
	}
	if _, err := graph.New(p.Nodes, p.Roots); err != nil {
		return "the graph is invalid: " + err.Error() + "\n", "error"
	}
	return describe(p), "want"
}

func describe(p *Plan) string {
	var b strings.Builder
	for _, n := range p.Nodes {
		switch a := n.Action.(type) {
		case *graph.Fetch:
			describeFetch(&b, a.Fetch)
		case *graph.Git:
			fmt.Fprintf(&b, "git %s %s submodules=%v\n", a.URL, a.Commit, a.Submodules)
		case *graph.Local:
			if n.ID.Kind == "local" { // a package's own file
				fmt.Fprintf(&b, "local %s from %s\n", a.Files[0].Path, a.Files[0].Source)
				continue
			}
			fmt.Fprintf(&b, "local %s\n", n.ID)
			for _, f := range a.Files {
				fmt.Fprintf(&b, "  %s from %s", f.Path, f.Source)
				if f.Mode != 0 {
					fmt.Fprintf(&b, " mode=%o", f.Mode)
				}
				b.WriteByte('\n')
			}
		case *graph.Run:
			if a.Tasks[0].Commands[0].Args[0] == "@unpack" {
				var doc action.Fetch
				if err := json.Unmarshal([]byte(a.Files[0].Text), &doc); err != nil {
					return err.Error()
				}
				describeFetch(&b, doc)
				continue
			}
			fmt.Fprintf(&b, "run %s network=%v\n", n.ID, a.Network)
			for _, m := range a.Mounts {
				fmt.Fprintf(&b, "  mounts %s %q at %s writable=%v\n", m.From, m.Path, m.Target, m.Writable)
			}
			for _, f := range a.Files {
				if strings.HasSuffix(f.Path, ".json") {
					fmt.Fprintf(&b, "  file %s %s\n", f.Path, strings.TrimSpace(f.Text))
				}
			}
			for _, s := range a.Secrets {
				fmt.Fprintf(&b, "  secret %s at %s optional=%v\n", s.Name, s.Target+s.Env, s.Optional)
			}
			for _, c := range a.Tasks[0].Commands {
				fmt.Fprintf(&b, "  in %s: %q", c.Dir, c.Args)
				for _, e := range c.Env {
					if !strings.Contains(e, "=") {
						b.WriteString(" $" + e)
					}
				}
				b.WriteByte('\n')
			}
			for _, o := range a.Outputs {
				fmt.Fprintf(&b, "  gives %s optional=%v\n", o.Path, o.Optional)
			}
		case *graph.Merge:
			fmt.Fprintf(&b, "merge %s:", n.ID.Kind)
			for _, in := range a.Parts {
				fmt.Fprintf(&b, " %s/%s", in.From.Kind, in.From.Package)
			}
			b.WriteByte('\n')
		case *graph.Write:
			for _, f := range a.Files {
				if f.Link != "" {
					fmt.Fprintf(&b, "link %s -> %s\n", f.Path, f.Link)
				} else {
					fmt.Fprintf(&b, "file %s\n%s", f.Path, indentText(f.Text))
				}
			}
		}
	}
	for _, r := range p.Roots {
		fmt.Fprintf(&b, "root %s in %q\n", r.Name, r.Dest)
	}
	for _, s := range p.Scripts {
		fmt.Fprintf(&b, "script %s run=%v network=%v\n", s.Location, s.Run, s.Network)
	}
	for _, name := range sortedKeys(p.Secrets) {
		fmt.Fprintf(&b, "secret %s = %s\n", name, p.Secrets[name])
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "warning %s\n", w)
	}
	return b.String()
}

func describeFetch(b *strings.Builder, a action.Fetch) {
	for _, it := range a.Items {
		fmt.Fprintf(b, "fetch %s %s", it.Name, strings.Join(it.URLs, " "))
		if it.Unverified {
			b.WriteString(" UNVERIFIED")
		}
		if it.Auth != "" {
			fmt.Fprintf(b, " auth=%s", it.Auth)
		}
		fmt.Fprintf(b, " -> %s", strings.Join(it.Dests, " "))
		if x := it.Unpack.Executable; len(x) > 0 {
			fmt.Fprintf(b, " exec=%s", strings.Join(x, ","))
		}
		b.WriteByte('\n')
	}
	for _, f := range a.Files {
		fmt.Fprintf(b, "  link %s -> %s if %s\n", f.Path, f.Link, f.If)
	}
}

func indentText(s string) string {
	return "  | " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n  | ") + "\n"
}

// TestPlanIsStable plans a project again and again: maps must not show.
func TestPlanIsStable(t *testing.T) {
	var first string
	for range 5 {
		p, err := Load(t.Context(), os.DirFS("testdata/corpus/mono"), Options{Config: testConfig(t)})
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(p.Nodes)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(data)
		}
		if string(data) != first {
			t.Fatal("two plans of one project differ")
		}
	}
}

func testConfig(t *testing.T) *Config {
	t.Helper()
	c, err := NewConfig(ConfigInput{Env: []string{"npm_config_registry=https://registry.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAppsShareNodes plans two apps of one repository: what is the same is one node.
func TestAppsShareNodes(t *testing.T) {
	repo := os.DirFS("testdata/corpus")
	var plans []*Plan
	total := 0
	for _, dir := range []string{"express", "overrides", "express"} {
		p, err := Load(t.Context(), repo, Options{Dir: dir, Config: testConfig(t)})
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
		total += len(p.Nodes)
	}
	nodes, roots := Join(plans[0], plans[1])
	if _, err := graph.New(nodes, roots); err != nil {
		t.Fatal(err)
	}
	shared := len(plans[0].Nodes) + len(plans[1].Nodes) - len(nodes)
	if shared < 30 {
		t.Errorf("only %d nodes are shared", shared)
	}
	if again, _ := Join(plans[0], plans[2]); len(again) != len(plans[0].Nodes) {
		t.Errorf("an app twice has %d nodes, once %d", len(again), len(plans[0].Nodes))
	}
}

// TestErrorsAreTyped checks that callers can tell problems apart.
func TestErrorsAreTyped(t *testing.T) {
	_, err := Load(t.Context(), os.DirFS("testdata"), Options{})
	var e *Error
	if !errors.As(err, &e) || e.Reason != NoLockfile {
		t.Errorf("got %v, want %s", err, NoLockfile)
	}
}

func TestLocaleCompare(t *testing.T) {
	// The order of node's [...].sort((a, b) => a.localeCompare(b, 'en')).
	want := strings.Fields("@a/b 1a a A a_b a-b a.b a1 a10 a2 ab aB Ab AB ab-c b json-stable jsonparse jsonstream JSONStream")
	got := append([]string(nil), want...)
	sort.Slice(got, func(i, j int) bool { return strings.Compare(got[i], got[j]) > 0 })
	sort.Slice(got, func(i, j int) bool { return localeCompare(got[i], got[j]) < 0 })
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if localeCompare("é", "f") >= 0 || localeCompare("e", "é") >= 0 {
		t.Error("letters with accents must stand beside those without")
	}
}

func FuzzLockfile(f *testing.F) {
	for _, name := range []string{"lock-v1", "lock-v2", "mono", "file-dir", "aliases"} {
		data, err := os.ReadFile(filepath.Join("testdata/corpus", name, "package-lock.json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 20000)])
		f.Add(data)
	}
	f.Add([]byte(`{"lockfileVersion":3,"packages":{"":{},"node_modules/a":{"version":"1.0.0","resolved":"x","bin":{"..":"../.."}}}}`))
	f.Add([]byte(`{"lockfileVersion":1,"dependencies":{"a":{"version":"file:../..","dependencies":{"b":{"version":"npm:c@1"}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseLock("package-lock.json", data, object{})
		if err != nil {
			return
		}
		tr, err := buildTree(l, map[string]*document{"": {top: object{}}}, nil, treeOptions{})
		if err != nil {
			return
		}
		tr.link()
		tr.calcFlags()
		tr.hiddenLock(l, &document{top: object{}}, false)
		for _, b := range tr.binLinks() {
			if strings.HasPrefix(b.path, "../") && !outside(b.node.loc) || strings.HasPrefix(b.path, "/") {
				t.Errorf("a command leads outside: %+v", b)
			}
		}
	})
}

func FuzzNpmrc(f *testing.F) {
	f.Add([]byte("registry=https://registry.example.com/\n@a:registry=${X}\n//registry.example.com/:_authToken=${TOKEN?}\nomit[]=dev\n; c\n[s]\nx=y"))
	f.Add([]byte(`"a b" = "c\nd" ; e` + "\na\\;b=\\#c\n=\n[]\nx[]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := NewConfig(ConfigInput{Project: &ConfigFile{Name: ".npmrc", Data: data}, Env: []string{"X=y"}})
		if err != nil {
			return
		}
		c.omit(nil, nil)
		if r, err := c.registry("@a/b"); err == nil && r != "" {
			c.authorization(r+"@a/b/-/b-1.0.0.tgz", r)
		}
	})
}

// BenchmarkLoad plans a project of 1,300 packages.
func BenchmarkLoad(b *testing.B) {
	cfg, err := NewConfig(ConfigInput{Env: []string{"npm_config_registry=https://registry.example.com"}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Load(b.Context(), os.DirFS("testdata/corpus/cra"), Options{Config: cfg, Scripts: ScriptPolicy{None: true}}); err != nil {
			b.Fatal(err)
		}
	}
}
