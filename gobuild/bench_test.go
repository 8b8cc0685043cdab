package gobuild

import (
	"fmt"
	"testing"

	"github.com/mergefest/mergefest/gomod"
)

// BenchmarkPlan plans a module of 400 packages, each of which imports 20 others.
func BenchmarkPlan(b *testing.B) {
	m := &Module{Path: "example.com/app", Main: true, Dir: "/app", GoVersion: "1.25"}
	facts := &Facts{Settings: Settings{GOOS: "linux", GOARCH: "amd64", ArchVar: "GOAMD64", ArchValue: "v1", GOVERSION: goEnv(b, "", "GOVERSION")}}
	std := &Package{ImportPath: "runtime", Name: "runtime", Dir: "/go/src/runtime", Standard: true, GoFiles: []string{"x.go"}}
	facts.Packages = append(facts.Packages, std)
	for i := range 400 {
		p := &Package{ImportPath: fmt.Sprintf("example.com/app/p%03d", i), Name: "p", Dir: fmt.Sprintf("/app/p%03d", i), Module: m,
			GoFiles: []string{"a.go", "b.go", "c.go"}, Imports: map[string]string{"runtime": "runtime"}}
		for j := max(0, i-20); j < i; j++ {
			p.Imports[facts.Packages[j+1].ImportPath] = facts.Packages[j+1].ImportPath
		}
		facts.Packages = append(facts.Packages, p)
		facts.Roots = append(facts.Roots, p.ImportPath)
	}
	tc := fakeToolchain(b)
	for b.Loop() {
		p, err := planFacts(Config{Dir: "/app", Toolchain: tc}, Flags{}, gomod.Env{}, facts)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := merge([]*planner{p}); err != nil {
			b.Fatal(err)
		}
	}
}
