package gobuild

import (
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
)

// TestProfile builds with a profile that this test takes, in the ways that the go command has.
func TestProfile(t *testing.T) {
	store, tc := hostToolchain(t)
	dir := project(t, "testdata/profile.txtar")
	takeProfile(t, filepath.Join(dir, "one", "default.pgo"))
	takeProfile(t, filepath.Join(dir, "all.prof"))
	env := []string{"CGO_ENABLED=0", "GOFLAGS=-buildvcs=false"}
	e := newExecutor(t, store)
	for _, args := range [][]string{{"./one"}, {"-pgo=all.prof", "./two"}, {"-pgo=off", "./one"}} {
		cfg := Config{Dir: dir, Env: slices.Concat(os.Environ(), env), Output: true, Toolchain: tc}
		configure(t, &cfg, args)
		plan, err := Make(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.build(plan)
		if err != nil {
			t.Fatal(err)
		}
		for name, file := range got {
			same(t, strings.Join(args, " ")+": "+name, file, oracle(t, dir, env, args))
		}
	}
	// Two programs of one build, only one with a profile, don't share packages.
	plan, err := Make(t.Context(), Config{Dir: dir, Env: slices.Concat(os.Environ(), env), Output: true, Toolchain: tc, Patterns: []string{"./..."}})
	if err != nil {
		t.Fatal(err)
	}
	var shared []string
	for _, n := range plan.Graph.Nodes() {
		if n.ID.Kind == "compile" && n.ID.Package == "example.com/app/sorted" {
			shared = append(shared, n.ID.Variant)
		}
	}
	want := []string{tc.Platform, tc.Platform + " pgo=example.com/app/one"}
	if !slices.Equal(shared, want) {
		t.Errorf("package sorted is compiled for %q, want %q", shared, want)
	}
}

// takeProfile measures sorting for a moment.
func takeProfile(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		x := make([]int, 100000)
		for j := range x {
			x[j] = j * 7919 % 100003
		}
		slices.Sort(x)
	}
	pprof.StopCPUProfile()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
