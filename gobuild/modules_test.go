// Programs of modules that are downloaded: large, so only on demand.
package gobuild

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestModuleProgram builds the package of another module that GOBUILD_TEST_PROGRAM names, from a
// project directory (GOBUILD_TEST_DIR) whose go.mod requires it, and compares with the go command.
func TestModuleProgram(t *testing.T) {
	program, dir := os.Getenv("GOBUILD_TEST_PROGRAM"), os.Getenv("GOBUILD_TEST_DIR")
	if program == "" {
		t.Skip("GOBUILD_TEST_PROGRAM names no program")
	}
	store, tc := hostToolchain(t)
	env := []string{"CGO_ENABLED=0", "GOFLAGS=-mod=mod"}
	for _, g := range strings.Fields(os.Getenv("GOBUILD_TEST_GRANULARITY")) {
		start := time.Now()
		cfg := Config{Dir: dir, Env: append(append(os.Environ(), env...), "GOPROXY="+proxy(t)), Patterns: []string{program}, Output: true, Toolchain: tc, Granularity: Granularity(g)}
		plan, err := Make(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: planned %d nodes in %v", g, plan.Graph.Len(), time.Since(start))
		e := newExecutor(t, store)
		start = time.Now()
		got, err := e.build(plan)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: built in %v", g, time.Since(start))
		for name, file := range got {
			same(t, name, file, oracle(t, dir, env, []string{program}))
		}
	}
}
