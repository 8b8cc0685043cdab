// Ops measures what one operation costs an engine: many independent, trivial exec ops, and then the
// same again when all are cached. It runs the embedded engine and a stock buildkitd side by side,
// in alternating rounds, and prints medians and ratios.
//
//	go run ./bench/ops -buildkitd PATH [-n 500] [-rounds 5]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"

	"github.com/mergefest/mergefest/bench/internal/measure"
	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded"
)

func main() {
	ctx := context.Background()
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(serve(ctx, os.Args[2:]))
	}
	var b bench
	flag.IntVar(&b.n, "n", 500, "operations per round")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds")
	flag.StringVar(&b.buildkitd, "buildkitd", os.Getenv("MERGEFEST_BUILDKITD"), "`path` of a stock buildkitd; empty measures the embedded engine alone")
	flag.StringVar(&b.dir, "dir", "", "directory for the engines' states; empty is a temporary one")
	flag.BoolVar(&b.helper, "helper", false, "run the program at the place of mergefest's own helper, as its builds do")
	flag.StringVar(&b.profile, "profile", "", "write a processor profile of the embedded engine to this `file`")
	flag.Parse()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ops:", err)
		os.Exit(1)
	}
}

type bench struct {
	n, rounds int
	buildkitd string
	dir       string
	profile   string
	helper    bool
	tool      fsutil.FS
}

// profileEnv tells the served engine where to write its profile.
const profileEnv = "BENCH_OPS_PROFILE"

// serve is the embedded engine's process.
func serve(ctx context.Context, args []string) int {
	if path := os.Getenv(profileEnv); path != "" && embedded.Inside() {
		f, err := os.Create(path)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "ops:", err)
			return 1
		}
		defer f.Close()
		defer pprof.StopCPUProfile()
	}
	return embedded.Main(ctx, args, embedded.Options{}, os.Stderr)
}

// contestant is an engine under test.
type contestant struct {
	name string
	open func(context.Context) (*engine.Engine, error)
	pid  func() int
	last *llb.Definition
}

func (b *bench) run(ctx context.Context) error {
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "bench-ops-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		b.dir = dir
	}
	if err := b.makeTool(); err != nil {
		return err
	}
	if b.profile != "" {
		if err := os.Setenv(profileEnv, b.profile); err != nil {
			return err
		}
	}
	own, stop := b.embedded()
	defer stop()
	contestants := []*contestant{own}
	if b.buildkitd != "" {
		stock, stop, err := b.stock()
		if err != nil {
			return err
		}
		defer stop()
		contestants = append(contestants, stock)
	}
	book := measure.NewBook(fmt.Sprintf("%d independent exec ops that do nothing, opening the connection included", b.n))
	o := measure.Options{Rounds: b.rounds, Warmup: 1, Baseline: own.name, Log: os.Stderr}
	for _, scenario := range []struct {
		name  string
		fresh bool
	}{{"new", true}, {"cached", false}} {
		var cs []measure.Contestant
		for _, c := range contestants {
			cs = append(cs, b.measured(c, scenario.fresh))
		}
		s, err := measure.Compare(ctx, scenario.name, o, cs...)
		if err != nil {
			return err
		}
		book.Add(s)
	}
	if err := book.WriteText(os.Stdout); err != nil {
		return err
	}
	fmt.Println()
	for _, r := range book.Scenarios[0].Results {
		wall, cpu := measure.Stats(r.Samples, measure.Wall), measure.Stats(r.Samples, measure.CPU)
		n := time.Duration(b.n)
		fmt.Printf("%-9s %6.2f ms per new op (%.2f to %.2f), %.2f ms of processor time\n", r.Contestant,
			ms(wall.Median/n), ms(wall.Min/n), ms(wall.Max/n), ms(cpu.Median/n))
	}
	return nil
}

// measured solves a definition that no round had before, or the last such one again. Opening the
// connection counts.
func (b *bench) measured(c *contestant, fresh bool) measure.Contestant {
	return measure.Contestant{
		Name: c.name,
		Prepare: func(ctx context.Context, round int) (err error) {
			if fresh {
				c.last, err = b.definition(ctx, round)
			}
			return err
		},
		Run:     func(ctx context.Context) error { return b.solve(ctx, c) },
		Daemons: func() []int { return []int{c.pid()} },
	}
}

func (b *bench) makeTool() error {
	dir := filepath.Join(b.dir, "tool")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := trueProgram(runtime.GOARCH)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "helper"), data, 0o755); err != nil {
		return err
	}
	b.tool, err = fsutil.NewFS(dir)
	return err
}

func (b *bench) embedded() (*contestant, func()) {
	o := engine.Options{StateDir: filepath.Join(b.dir, "state"), ServeCommand: []string{os.Args[0], "serve"}}
	if exe, err := os.Executable(); err == nil {
		o.ServeCommand[0] = exe
	}
	c := &contestant{name: "embedded"}
	c.open = func(ctx context.Context) (*engine.Engine, error) { return engine.Open(ctx, o) }
	c.pid = func() int {
		st, err := engine.Status(context.Background(), o)
		if err != nil {
			return 0
		}
		return st.PID
	}
	return c, func() {
		if _, err := engine.Stop(context.Background(), o); err != nil {
			fmt.Fprintln(os.Stderr, "ops:", err)
		}
	}
}

func (b *bench) stock() (*contestant, func(), error) {
	sock := filepath.Join(b.dir, "stock.sock")
	log, err := os.Create(filepath.Join(b.dir, "stock.log"))
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	cmd := exec.Command(b.buildkitd, "--root", filepath.Join(b.dir, "stock"), "--addr", "unix://"+sock,
		"--oci-worker", "true", "--containerd-worker", "false", "--otel-socket-path", filepath.Join(b.dir, "otel.sock"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	for range 600 {
		if c, err := engine.DialSocket(context.Background(), sock); err == nil {
			c.Close()
			return &contestant{
				name: "stock",
				open: func(ctx context.Context) (*engine.Engine, error) {
					return engine.Open(ctx, engine.Options{URL: "unix://" + sock})
				},
				pid: func() int { return cmd.Process.Pid },
			}, stop, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return nil, nil, errors.New("buildkitd doesn't listen; see stock.log")
}

func (b *bench) solve(ctx context.Context, c *contestant) error {
	e, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	_, err = e.Solve(ctx, engine.Request{Definition: c.last, Locals: map[string]fsutil.FS{"tool": b.tool}})
	return err
}

func (b *bench) definition(ctx context.Context, round int) (*llb.Definition, error) {
	tool := llb.Local("tool", llb.LocalUniqueID("tool"))
	dir := "/tool"
	if b.helper {
		dir = "/.mergefest/0123456789abcdef"
	}
	outs := make([]llb.State, b.n)
	for i := range outs {
		outs[i] = llb.Scratch().Run(
			llb.Args([]string{dir + "/helper", fmt.Sprint(time.Now().UnixNano(), round, i)}),
			llb.AddMount(dir, tool, llb.Readonly),
			llb.Network(pb.NetMode_NONE),
		).AddMount("/out", llb.Scratch())
	}
	return llb.Merge(outs).Marshal(ctx, llb.Platform(ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH}))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
