package gobuild

import (
	"context"
	"errors"
	"slices"
	"testing"

	"golang.org/x/tools/go/packages"

	"github.com/mergefest/mergefest/gomod"
	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// commandsOf lists the commands of a tool in a plan.
func commandsOf(t *testing.T, p *planner, tool string) []action.Command {
	t.Helper()
	var out []action.Command
	for _, n := range p.nodes {
		r, ok := n.Action.(*graph.Run)
		if !ok {
			continue
		}
		for _, task := range r.Tasks {
			for _, c := range task.Commands {
				if c.Args[0] == "/go/pkg/tool/linux_amd64/"+tool {
					out = append(out, c)
				}
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("nothing runs %s", tool)
	}
	return out
}

// TestToolsOfVersions: what each version's tools are given, where versions differ.
func TestToolsOfVersions(t *testing.T) {
	for _, c := range []struct {
		version          string
		asmStd, linkRoot bool
	}{
		{"go1.22.5", false, true},
		{"go1.23.0", false, false},
		{"go1.26.8 X:jsonv2", false, false},
		{"go1.27rc1", true, false},
		{"go1.27.0", true, false},
		{"devel go1.28-0123456", true, false},
	} {
		t.Run(c.version, func(t *testing.T) {
			tc := fakeToolchain(t)
			tc.Version = c.version
			facts := &Facts{
				Settings: Settings{GOOS: "linux", GOARCH: "amd64", ArchVar: "GOAMD64", ArchValue: "v1", GOVERSION: c.version},
				Roots:    []string{"example.com/app"},
				Packages: []*Package{
					{ImportPath: "example.com/app", Name: "main", Dir: "/app", GoFiles: []string{"main.go"}, OtherFiles: []string{"app.s"},
						Module: &Module{Path: "example.com/app", Main: true, Dir: "/app"}},
					{ImportPath: "runtime", Name: "runtime", Standard: true, Dir: "/go/src/runtime", GoFiles: []string{"a.go"}, OtherFiles: []string{"asm.s"}},
				},
			}
			p, err := planFacts(Config{Dir: "/app", Toolchain: tc, Output: true}, Flags{}, gomod.Env{}, facts)
			if err != nil {
				t.Fatal(err)
			}
			for _, cmd := range commandsOf(t, p, "asm") {
				std := cmd.Args[slices.Index(cmd.Args, "-p")+1] == "runtime"
				if got, want := slices.Contains(cmd.Args, "-std"), std && c.asmStd; got != want {
					t.Errorf("-std is given: %v, want %v: %q", got, want, cmd.Args)
				}
			}
			link := commandsOf(t, p, "link")[0]
			if got := slices.Contains(link.Env, "GOROOT_FINAL=$GOROOT"); got != c.linkRoot {
				t.Errorf("GOROOT_FINAL is given: %v, want %v: %q", got, c.linkRoot, link.Env)
			}
		})
	}
}

// envLoader is a go command that is only asked for its settings.
type envLoader map[string]string

func (l envLoader) GoEnv(context.Context, string, []string, []string) (map[string]string, error) {
	return l, nil
}

func (envLoader) Load(context.Context, Query) (*Facts, error) { return nil, errors.New("loaded") }

func TestOldVersionsAreRefused(t *testing.T) {
	for version, want := range map[string]bool{"go1.20.14": true, "go1.21.13": true, "go1.22rc1": false, "go1.22.5": false, "devel go1.28-0123456": false} {
		_, err := Make(t.Context(), Config{Dir: t.TempDir(), Toolchain: fakeToolchain(t),
			Loader: envLoader{"GOVERSION": version, "GOOS": "linux", "GOARCH": "amd64"}})
		var refused *Unsupported
		if got := errors.As(err, &refused); got != want {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// TestSimdBridge: a package that imports simd imports its bridge, where there is one.
func TestSimdBridge(t *testing.T) {
	bridge := &packages.Package{PkgPath: "simd/internal/bridge"}
	for _, c := range []struct {
		simd *packages.Package
		want bool
	}{
		{&packages.Package{PkgPath: "simd", Imports: map[string]*packages.Package{"simd/internal/bridge": bridge}}, true},
		{&packages.Package{PkgPath: "simd"}, false},
	} {
		p := makePackage(&packages.Package{PkgPath: "example.com/app", Imports: map[string]*packages.Package{"simd": c.simd}}, "")
		if got := p.Imports["simd/internal/bridge"] != ""; got != c.want || p.Imports["simd"] != "simd" {
			t.Errorf("got %v, want the bridge: %v", p.Imports, c.want)
		}
	}
}
