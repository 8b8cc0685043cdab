package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded"
	"github.com/mergefest/mergefest/internal/testengine"
)

// solve evaluates and returns what the op printed.
func solve(t testing.TB, e *engine.Engine, tool *testengine.Tool, s llb.State) (string, error) {
	t.Helper()
	var out strings.Builder
	_, err := e.Solve(context.Background(), engine.Request{
		Definition: testengine.Marshal(t, s), Locals: tool.Locals(),
		Status: func(st *client.SolveStatus) {
			for _, l := range st.Logs {
				out.Write(l.Data)
			}
		},
	})
	return out.String(), err
}

func TestContainers(t *testing.T) {
	tool := testengine.BuildTool(t)
	for _, rt := range []string{"crun", "runc"} {
		t.Run(rt, func(t *testing.T) {
			e := testengine.StartOptions(t, embedded.Options{Runtime: rt})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			for _, c := range []struct {
				name string
				cmd  []string
				opt  llb.RunOption
				want string
				code int
			}{
				{"output", []string{"echo", "hello"}, nil, "hello\n", 0},
				{"messages", []string{"stderr", "oh"}, nil, "oh\n", 0},
				{"exit status", []string{"echo", "bye", ";", "exit", "7"}, nil, "bye\n", 7},
				{"filtered", []string{"status", "Seccomp"}, nil, "2\n", 0},
				{"no new privileges", []string{"status", "NoNewPrivs"}, nil, "1\n", 0},
				// 0x8047... without CAP_MKNOD (27), CAP_NET_RAW (13) and CAP_AUDIT_WRITE (29).
				{"capabilities", []string{"status", "CapEff"}, nil, "00000000800405fb\n", 0},
				{"bounding set", []string{"status", "CapBnd"}, nil, "00000000800405fb\n", 0},
				{"no device files", []string{"mknod", "/out/d"}, nil, "tool: operation not permitted\n", 125},
				{"no mounts", []string{"mount", "/out"}, nil, "tool: operation not permitted\n", 125},
				{"read-only /sys", []string{"write", "/sys/kernel/uevent_helper", "x"}, nil, "tool: open /sys/kernel/uevent_helper: read-only file system\n", 125},
				{"masked", []string{"cat", "/proc/interrupts"}, nil, "", 0},
				{"no network", []string{"dial", l.Addr().String()}, nil, fmt.Sprintf("tool: dial tcp %s: connect: connection refused\n", l.Addr()), 125},
				{"network", []string{"dial", l.Addr().String()}, llb.Network(pb.NetMode_UNSET), "", 0},
				{"process 1", []string{"status", "Pid"}, nil, "1\n", 0},
			} {
				t.Run(c.name, func(t *testing.T) {
					var opts []llb.RunOption
					if c.opt != nil {
						opts = append(opts, c.opt)
					}
					out, err := solve(t, e, tool, tool.Op(c.cmd, opts...))
					if out != c.want {
						t.Errorf("output %q, want %q", out, c.want)
					}
					var v *engine.VertexError
					switch {
					case c.code == 0 && err != nil:
						t.Error(err)
					case c.code != 0 && (!errors.As(err, &v) || v.ExitCode != c.code || string(v.Output) != c.want):
						t.Errorf("error %#v, want exit status %d with the output", err, c.code)
					}
				})
			}
		})
	}
}

func TestMissingProgram(t *testing.T) {
	tool := testengine.BuildTool(t)
	e := testengine.Start(t)
	_, err := solve(t, e, tool, llb.Scratch().Run(llb.Args([]string{"/nowhere"})).AddMount("/out", llb.Scratch()))
	var v *engine.VertexError
	if !errors.As(err, &v) || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("error %v, want a *VertexError that names the program", err)
	}
}

// TestFailureInDependency checks that the op that failed is reported, not one that needed it.
func TestFailureInDependency(t *testing.T) {
	tool := testengine.BuildTool(t)
	e := testengine.Start(t)
	bad := tool.Op([]string{"echo", "it is me", ";", "exit", "3"}, llb.WithCustomName("bad"))
	next := tool.Op([]string{"echo", "never"}, llb.AddMount("/in", bad, llb.Readonly), llb.WithCustomName("next"))
	last := tool.Op([]string{"echo", "never"}, llb.AddMount("/in", next, llb.Readonly), llb.WithCustomName("last"))
	_, err := solve(t, e, tool, last)
	var v *engine.VertexError
	if !errors.As(err, &v) || v.Name != "bad" || v.ExitCode != 3 || string(v.Output) != "it is me\n" {
		t.Errorf("error %#v, want that of %q", err, "bad")
	}
}

// TestConcurrent solves the same and overlapping definitions from ten clients at once. The engine
// is another process, because BuildKit's solver has harmless races that the detector reports.
func TestConcurrent(t *testing.T) {
	tool := testengine.BuildTool(t)
	o := daemon(t)
	for round := range 5 {
		var leaves []llb.State
		for i := range 12 {
			base := tool.Op([]string{"write", "/out/f", fmt.Sprint(round, i)})
			leaves = append(leaves, tool.Op([]string{"mkdir", fmt.Sprintf("/out/d%d", i)}, llb.AddMount("/in", base, llb.Readonly)))
		}
		var defs []*llb.Definition
		for c := range 10 { // not at once: llb sorts mounts in place
			defs = append(defs, testengine.Marshal(t, llb.Merge(leaves[:12-c%3])))
		}
		var wg sync.WaitGroup
		for c := range 10 {
			wg.Go(func() {
				e, err := engine.Open(context.Background(), o)
				if err != nil {
					t.Error(err)
					return
				}
				defer e.Close()
				out := filepath.Join(t.TempDir(), "out")
				_, err = e.Solve(context.Background(), engine.Request{
					Definition: defs[c], Locals: tool.Locals(), Output: &engine.Output{Dir: out},
				})
				if err != nil {
					t.Error(err)
					return
				}
				if entries, err := os.ReadDir(out); err != nil || len(entries) != 12-c%3 {
					t.Errorf("client %d got %v, %v", c, entries, err)
				}
			})
		}
		wg.Wait()
	}
}

// TestCancel checks that a cancelled build ends its container, and that the engine goes on.
func TestCancel(t *testing.T) {
	tool := testengine.BuildTool(t)
	e := testengine.Start(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	began := time.Now()
	_, err := e.Solve(ctx, engine.Request{
		Definition: testengine.Marshal(t, tool.Op([]string{"echo", "up", ";", "sleep", "1h"})), Locals: tool.Locals(),
		Status: func(s *client.SolveStatus) {
			if len(s.Logs) > 0 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the cancellation", err)
	}
	if _, err := solve(t, e, tool, tool.Op([]string{"echo", "on"})); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("it took %v", d)
	}
}

// TestGatewayClient checks that BuildKit's own client API works, with containers and Exec in them.
func TestGatewayClient(t *testing.T) {
	tool := testengine.BuildTool(t)
	e := testengine.Start(t)
	var out strings.Builder
	_, err := e.Client().Build(context.Background(), client.SolveOpt{LocalMounts: tool.Locals()}, "", func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
		r, err := c.Solve(ctx, gateway.SolveRequest{Definition: testengine.Marshal(t, tool.State()).ToPB(), Evaluate: true})
		if err != nil {
			return nil, err
		}
		ctr, err := c.NewContainer(ctx, gateway.NewContainerRequest{Mounts: []gateway.Mount{
			{Dest: "/", MountType: pb.MountType_BIND, Ref: r.Ref},
		}, NetMode: pb.NetMode_NONE})
		if err != nil {
			return nil, err
		}
		defer ctr.Release(ctx)
		first, err := ctr.Start(ctx, gateway.StartRequest{Args: []string{"/tool", "sleep", "1h"}, Cwd: "/"})
		if err != nil {
			return nil, err
		}
		second, err := ctr.Start(ctx, gateway.StartRequest{Args: []string{"/tool", "echo", "inside"}, Cwd: "/", Stdout: nopCloser{&out}})
		if err != nil {
			return nil, err
		}
		if err := second.Wait(); err != nil {
			return nil, fmt.Errorf("exec: %w", err)
		}
		go ctr.Release(context.WithoutCancel(ctx))
		if err := first.Wait(); err == nil {
			return nil, errors.New("the container wasn't ended")
		}
		return r, nil
	}, nil)
	if err != nil || out.String() != "inside\n" {
		t.Errorf("output %q, error %v", out.String(), err)
	}
}

type nopCloser struct{ *strings.Builder }

func (nopCloser) Close() error { return nil }
