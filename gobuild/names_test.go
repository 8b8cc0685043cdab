package gobuild

import "testing"

func TestNames(t *testing.T) {
	n := Names{Dirs: map[string]string{"example.com/app": ".", "example.com/app/greet": "greet", "example.com/lib@v1.0.0": "../lib"}}
	for _, c := range [][2]string{
		{"example.com/app/main.go:3:5: undefined: x", "./main.go:3:5: undefined: x"},
		{"example.com/app/greet/greet.go:1:1: a\n\texample.com/app/greet/other.go:2:3: b\n", "greet/greet.go:1:1: a\n\tgreet/other.go:2:3: b\n"},
		{"x (example.com/lib@v1.0.0/lib.go:7)", "x (../lib/lib.go:7)"},
		{"example.com/other/main.go:3:5: x", "example.com/other/main.go:3:5: x"},
		{"fmt/print.go:3:5: x", "fmt/print.go:3:5: x"},
		{"see example.com/app/main.go", "see example.com/app/main.go"},
	} {
		if got := n.Translate(c[0]); got != c[1] {
			t.Errorf("%q: got %q, want %q", c[0], got, c[1])
		}
	}
}

// TestNamesOfReplacedModules: a directory that go.mod replaces a module by, relative or absolute, has
// the name that the user knows, whether a tool prints what it records or what it was given.
func TestNamesOfReplacedModules(t *testing.T) {
	facts := &Facts{Roots: []string{"example.com/app"}, Packages: []*Package{
		{ImportPath: "example.com/app", Name: "main", Dir: "/home/u/app", Module: &Module{Path: "example.com/app", Main: true, Dir: "/home/u/app"},
			Imports: map[string]string{"example.com/abs/in": "example.com/abs/in", "example.com/rel": "example.com/rel"}},
		{ImportPath: "example.com/abs/in", Dir: "/data/abs/in", Module: &Module{Path: "example.com/abs", Version: "v1.0.0", Dir: "/data/abs",
			Replace: &Module{Path: "/data/abs", Dir: "/data/abs"}}},
		{ImportPath: "example.com/rel", Dir: "/home/u/rel", Module: &Module{Path: "example.com/rel", Version: "v1.0.0", Dir: "/home/u/rel",
			Replace: &Module{Path: "../rel", Dir: "/home/u/rel"}}},
	}}
	p := &planner{cfg: Config{Dir: "/home/u/app"}, root: "/home/u/app", facts: facts, s: &facts.Settings, byPath: map[string]*Package{}}
	for _, q := range facts.Packages {
		p.byPath[q.ImportPath] = q
	}
	n := Names{Dirs: map[string]string{}}
	p.names(n.Dirs)
	for _, q := range facts.Packages[1:] {
		for _, printed := range []string{recorded(q) + "/a.s", p.place(q).names([]string{"a.s"})[0]} {
			want := map[string]string{"example.com/abs/in": "/data/abs/in/a.s:3: bad", "example.com/rel": "../rel/a.s:3: bad"}[q.ImportPath]
			if got := n.Translate(printed + ":3: bad"); got != want {
				t.Errorf("%s: got %q, want %q", printed, got, want)
			}
		}
	}
}
