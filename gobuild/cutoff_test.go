// What an edit redoes, and that planning is deterministic.
package gobuild

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/gomod"
)

// TestEdits changes a project and looks at which nodes run.
func TestEdits(t *testing.T) {
	store, tc := hostToolchain(t)
	dir := project(t, "testdata/edits.txtar")
	cfg := Config{Dir: dir, Env: append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false"), Output: true, Toolchain: tc}
	e := newExecutor(t, store)
	build := func() []string {
		t.Helper()
		plan, err := Make(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.build(plan); err != nil {
			t.Fatal(err)
		}
		var ran []string
		for _, id := range e.runs {
			if id.Kind != "source" {
				ran = append(ran, id.Kind+" "+strings.TrimPrefix(id.Package, "example.com/app"))
			}
		}
		return ran
	}
	build()
	for _, c := range []struct {
		name, file, old, new string
		want                 []string
	}{
		{"nothing", "README.md", "", "x", nil},
		{"a test", "low/low_test.go", "", "package low\n", nil},
		{"another package of the module", "unused/u.go", "", "package unused\n", nil},
		{"a file for another system", "low/low_windows.go", "", "package low\n", nil},
		{"an embedded file", "mid/data.txt", "", "new", []string{"compile /mid", "link "}},
		{"a file in an embedded directory", "mid/tree/b", "", "b", []string{"compile /mid", "link "}},
		{"the body of a function", "low/low.go", "return n + 1", "return n + 2", []string{"compile /low", "link "}},
		{"a comment behind the code", "low/low.go", "// end", "// the end", nil},
		{"the signature of a function", "low/low.go", "var Hidden = 1", "var Hidden = \"1\"", []string{"compile /low", "compile /mid", "link "}},
		{"a header", "asm/h.h", "#define ONE 1", "#define ONE 2", []string{"compile /asm", "link "}},
	} {
		name := filepath.Join(dir, c.file)
		data, err := os.ReadFile(name)
		if c.old == "" {
			data = []byte(c.new)
		} else if err != nil || !bytes.Contains(data, []byte(c.old)) {
			t.Fatalf("%s: %s has no %q: %v", c.name, c.file, c.old, err)
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, bytes.ReplaceAll(data, []byte(c.old), []byte(c.new)), 0o644); err != nil {
			t.Fatal(err)
		}
		got := build()
		if c.name == "a comment behind the code" { // compiled again, with the same result
			got = slices.DeleteFunc(got, func(s string) bool { return s == "compile /low" })
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: ran %q, want %q", c.name, got, c.want)
		}
	}
}

// The same facts in another order give the same graph.
func TestDeterminism(t *testing.T) {
	tc := fakeToolchain(t)
	dir := project(t, "testdata/edits.txtar")
	cfg := Config{Dir: dir, Env: append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false"), Patterns: []string{"./..."}, Toolchain: tc, Loader: HostLoader{}}
	q, flags, _, err := query(t.Context(), cfg, target{})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := cfg.Loader.Load(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var first []byte
	for range 5 {
		p, err := planFacts(cfg, flags, gomod.Env{}, facts)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := merge([]*planner{p})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := plan.Graph.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b.Bytes()
		} else if !bytes.Equal(first, b.Bytes()) {
			t.Fatal("the graphs differ")
		}
		rand.Shuffle(len(facts.Packages), func(i, j int) { facts.Packages[i], facts.Packages[j] = facts.Packages[j], facts.Packages[i] })
		rand.Shuffle(len(facts.Roots), func(i, j int) { facts.Roots[i], facts.Roots[j] = facts.Roots[j], facts.Roots[i] })
	}
	if bytes.Contains(first, []byte(dir)) {
		t.Error("the graph has a path of the host")
	}
}

// Two copies of a project at different places have the same graph.
func TestPlacesDontMatter(t *testing.T) {
	tc := fakeToolchain(t)
	var graphs [][]byte
	for range 2 {
		plan, err := Make(t.Context(), Config{
			Dir: filepath.Join(project(t, "testdata/build/replace.txtar"), "app"), Output: true, Toolchain: tc,
			Env: append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false"),
		})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := plan.Graph.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		graphs = append(graphs, b.Bytes())
	}
	if !bytes.Equal(graphs[0], graphs[1]) {
		t.Error("the graphs differ")
	}
}

// Modules that import each other are split where the packages allow it.
func TestLevels(t *testing.T) {
	mk := func(path, module string, deps ...*pkg) *pkg {
		return &pkg{Package: &Package{ImportPath: path, Module: &Module{Path: module, Version: "v1.0.0"}}, deps: deps}
	}
	a1 := mk("a/1", "a")
	b1 := mk("b/1", "b", a1)
	a2 := mk("a/2", "a", b1)
	a3 := mk("a/3", "a", a2, a1)
	c1 := mk("c/1", "c", a3)
	p := &planner{cfg: Config{}, s: &Settings{}}
	p.makeGroups([]*pkg{a1, b1, a2, a3, c1})
	got := map[string]string{}
	for _, u := range p.units {
		var paths []string
		for _, q := range u.pkgs {
			paths = append(paths, q.ImportPath)
			for _, d := range q.deps {
				if d.unit != u && !slices.Contains(p.units[:slices.Index(p.units, u)], d.unit) {
					t.Errorf("%s comes before %s", u.name, d.unit.name)
				}
			}
		}
		got[u.name] = strings.Join(paths, " ")
	}
	want := map[string]string{"a/1": "a/1", "b/1": "b/1", "a/...#2": "a/2 a/3", "c/1": "c/1"}
	for name, paths := range want {
		if got[name] != paths {
			t.Errorf("got %v, want %v", got, want)
			break
		}
	}
}
