package embedded_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded"
	"github.com/mergefest/mergefest/internal/testengine"
)

// TestRepeat: a definition that was solved is delivered again without a look at its operations, as right as
// by solving, and solved again when its result is gone.
func TestRepeat(t *testing.T) {
	tool := testengine.BuildTool(t)
	e := testengine.StartOptions(t, embedded.Options{})
	out := t.TempDir()
	state := func(text string) llb.State { return tool.Op([]string{"write", "/out/f", text}) }
	build := func(dir, text string, repeat bool) (ops int) {
		t.Helper()
		_, err := e.Solve(context.Background(), engine.Request{
			Definition: testengine.Marshal(t, state(text)), Locals: tool.Locals(), Repeat: repeat,
			Output: &engine.Output{Dir: dir}, Status: func(s *client.SolveStatus) { ops += len(s.Vertexes) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(data) != text {
			t.Fatalf("the file has %q, %v; want %q", data, err, text)
		}
		return ops
	}
	if build(out, "one", true) == 0 {
		t.Error("the first time no operation was seen")
	}
	if n := build(out, "one", true); n != 0 {
		t.Errorf("the second time %d statuses of operations", n)
	}
	if build(out, "two", true) == 0 || build(out, "one", true) != 0 {
		t.Error("another definition counts as the first one, or makes that forgotten")
	}
	if err := os.WriteFile(filepath.Join(out, "f"), []byte("edited"), 0o644); err != nil {
		t.Fatal(err)
	}
	if build(out, "one", true) != 0 || build(t.TempDir(), "one", true) != 0 {
		t.Error("an edited or empty directory makes it solve again")
	}
	if build(out, "one", false) == 0 {
		t.Error("a request that doesn't allow it was repeated")
	}
	if _, err := engine.GC(context.Background(), engine.Options{StateDir: e.Info().StateDir}, engine.GCRequest{All: true}); err != nil {
		t.Fatal(err)
	}
	if build(out, "one", true) == 0 {
		t.Error("a result that was dropped was delivered")
	}
}
