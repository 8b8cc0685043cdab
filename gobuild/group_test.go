package gobuild

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mergefest/mergefest/gomod"
)

// A downloaded program and the other packages of its module are different nodes.
func TestProgramOfAModule(t *testing.T) {
	const sum = " h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), []byte("example.com/tool v1.0.0"+sum+"example.com/tool v1.0.0/go.mod"+sum), 0o644); err != nil {
		t.Fatal(err)
	}
	m := &Module{Path: "example.com/tool", Version: "v1.0.0", Dir: "/cache/tool", GoVersion: "1.25"}
	lib := func(name string, imports ...string) *Package {
		p := &Package{ImportPath: "example.com/tool/" + name, Name: name, Dir: "/cache/tool/" + name, Module: m, GoFiles: []string{"x.go"}, Imports: map[string]string{}}
		for _, i := range imports {
			p.Imports[i] = i
		}
		return p
	}
	facts := &Facts{
		Settings: Settings{GOOS: "linux", GOARCH: "amd64", ArchVar: "GOAMD64", ArchValue: "v1", GOVERSION: goEnv(t, "", "GOVERSION"), GOMOD: filepath.Join(dir, "go.mod")},
		Roots:    []string{"example.com/tool"},
		Packages: []*Package{
			{ImportPath: "example.com/tool", Name: "main", Dir: "/cache/tool", Module: m, GoFiles: []string{"main.go"},
				Imports: map[string]string{"example.com/tool/a": "example.com/tool/a", "example.com/tool/b": "example.com/tool/b"}},
			lib("a", "example.com/tool/b"), lib("b"),
			{ImportPath: "runtime", Name: "runtime", Dir: "/go/src/runtime", Standard: true, GoFiles: []string{"x.go"}},
		},
	}
	for _, g := range []Granularity{GranularityAuto, GranularityPackage, GranularityModule} {
		cfg := Config{Dir: dir, Output: true, Granularity: g, Toolchain: fakeToolchain(t)}
		p, err := planFacts(cfg, Flags{}, gomod.Env{GOPROXY: "https://proxy.example.com"}, facts)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := merge([]*planner{p})
		if err != nil {
			t.Fatal(err)
		}
		compiles := 0
		for _, n := range plan.Graph.Nodes() {
			if n.ID.Kind == "compile" {
				compiles++
			}
		}
		if want := map[Granularity]int{GranularityAuto: 3, GranularityPackage: 4, GranularityModule: 3}[g]; compiles != want {
			t.Errorf("%s: %d compile nodes, want %d", g, compiles, want)
		}
	}
}
