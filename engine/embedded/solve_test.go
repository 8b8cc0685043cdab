package embedded_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/internal/testengine"
)

// busybox is a directory with a static shell, /bin/busybox; tests use it as a read-only mount.
func busybox(t testing.TB) (llb.State, map[string]fsutil.FS) {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is missing")
	}
	dir := t.TempDir()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "busybox"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := fsutil.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	return llb.Local("bb", llb.LocalUniqueID("bb")), map[string]fsutil.FS{"bb": f}
}

func sh(bb llb.State, script string, opts ...llb.RunOption) llb.State {
	opts = append([]llb.RunOption{
		llb.Args([]string{"/bb/busybox", "sh", "-c", script}),
		llb.AddMount("/bb", bb, llb.Readonly),
		llb.Network(pb.NetMode_NONE),
	}, opts...)
	return llb.Scratch().Run(opts...).AddMount("/out", llb.Scratch())
}

func marshal(t testing.TB, s llb.State) *llb.Definition {
	t.Helper()
	def, err := s.Marshal(context.Background(), llb.Platform(ocispecs.Platform{OS: "linux", Architecture: "amd64"}))
	if err != nil {
		t.Fatal(err)
	}
	return def
}

func TestSolve(t *testing.T) {
	bb, locals := busybox(t)
	e := testengine.Start(t)
	def := marshal(t, sh(bb, "echo hello > /out/f"))
	if _, err := e.Solve(context.Background(), engine.Request{Definition: def, Locals: locals}); err != nil {
		t.Fatal(err)
	}
	_, err := e.Solve(context.Background(), engine.Request{Definition: marshal(t, sh(bb, "echo oh no; exit 7")), Locals: locals})
	var v *engine.VertexError
	if !errors.As(err, &v) || v.ExitCode != 7 || string(v.Output) != "oh no\n" {
		t.Errorf("error %#v, want exit status 7 and the output", err)
	}
}
