// Definitions for tests: processes of the test tool.

package testengine

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"
)

// toolDir is where containers see the tool.
const toolDir = "/tool"

// Tool is the test tool as an input of definitions; see package internal/testengine/tool.
type Tool struct {
	dir    string
	state  llb.State
	locals map[string]fsutil.FS
}

// BuildTool compiles the tool.
func BuildTool(t testing.TB) *Tool {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "tool"), "github.com/mergefest/mergefest/internal/testengine/tool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	tool, err := OpenTool(dir)
	if err != nil {
		t.Fatal(err)
	}
	return tool
}

// OpenTool is a tool that was compiled before.
func OpenTool(dir string) (*Tool, error) {
	f, err := fsutil.NewFS(dir)
	if err != nil {
		return nil, err
	}
	return &Tool{dir: dir, state: llb.Local("tool", llb.LocalUniqueID("tool")), locals: map[string]fsutil.FS{"tool": f}}, nil
}

// Dir is where the tool is.
func (tool *Tool) Dir() string { return tool.dir }

// Locals is what engine.Request.Locals must hold for the tool's ops.
func (tool *Tool) Locals() map[string]fsutil.FS { return tool.locals }

// Args is the argument list of a call of the tool.
func (tool *Tool) Args(cmd ...string) []string {
	return append([]string{toolDir + "/tool"}, cmd...)
}

// Mount makes the tool visible to an exec op.
func (tool *Tool) Mount() llb.RunOption { return llb.AddMount(toolDir, tool.state, llb.Readonly) }

// Op runs the tool without a network on an empty root, and returns what it leaves in /out.
func (tool *Tool) Op(cmd []string, opts ...llb.RunOption) llb.State {
	opts = append([]llb.RunOption{llb.Args(tool.Args(cmd...)), tool.Mount(), llb.Network(pb.NetMode_NONE)}, opts...)
	return llb.Scratch().Run(opts...).AddMount("/out", llb.Scratch())
}

// Marshal makes a definition for this machine's platform.
func Marshal(t testing.TB, s llb.State) *llb.Definition {
	t.Helper()
	def, err := s.Marshal(context.Background(), llb.Platform(ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		t.Fatal(err)
	}
	return def
}

// State is a directory with the tool in it, as "tool".
func (tool *Tool) State() llb.State { return tool.state }
