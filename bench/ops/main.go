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
	"slices"
	"syscall"
	"time"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded"
)

func main() {
	ctx := context.Background()
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(embedded.Main(ctx, os.Args[2:], embedded.Options{}, os.Stderr))
	}
	var b bench
	flag.IntVar(&b.n, "n", 500, "operations per round")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds")
	flag.StringVar(&b.buildkitd, "buildkitd", os.Getenv("MERGEFEST_BUILDKITD"), "`path` of a stock buildkitd; empty measures the embedded engine alone")
	flag.StringVar(&b.dir, "dir", "", "directory for the engines' states; empty is a temporary one")
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
	tool      fsutil.FS
}

// contestant is an engine under test.
type contestant struct {
	name   string
	open   func(context.Context) (*engine.Engine, error)
	pid    func() int
	cold   []sample
	cached []sample
}

// sample is one solve: its wall time, and the processor time of the engine and its children.
type sample struct{ wall, cpu time.Duration }

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
	for round := -1; round < b.rounds; round++ { // round -1 warms up and doesn't count
		for _, c := range contestants {
			if err := b.round(ctx, c, round); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	b.report(contestants)
	return nil
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
	if err := os.WriteFile(filepath.Join(dir, "true"), data, 0o755); err != nil {
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

// round solves a definition that no round had before, and then again. Opening the connection
// counts.
func (b *bench) round(ctx context.Context, c *contestant, round int) error {
	def, err := b.definition(ctx, round)
	if err != nil {
		return err
	}
	for i := range 2 {
		before := processorTime(c.pid())
		start := time.Now()
		if err := b.solve(ctx, c, def); err != nil {
			return err
		}
		s := sample{wall: time.Since(start)}
		s.cpu = processorTime(c.pid()) - before
		switch {
		case round < 0:
		case i == 0:
			c.cold = append(c.cold, s)
		default:
			c.cached = append(c.cached, s)
		}
	}
	return nil
}

func (b *bench) solve(ctx context.Context, c *contestant, def *llb.Definition) error {
	e, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	_, err = e.Solve(ctx, engine.Request{Definition: def, Locals: map[string]fsutil.FS{"tool": b.tool}})
	return err
}

func (b *bench) definition(ctx context.Context, round int) (*llb.Definition, error) {
	tool := llb.Local("tool", llb.LocalUniqueID("tool"))
	outs := make([]llb.State, b.n)
	for i := range outs {
		outs[i] = llb.Scratch().Run(
			llb.Args([]string{"/tool/true", fmt.Sprint(time.Now().UnixNano(), round, i)}),
			llb.AddMount("/tool", tool, llb.Readonly),
			llb.Network(pb.NetMode_NONE),
		).AddMount("/out", llb.Scratch())
	}
	return llb.Merge(outs).Marshal(ctx, llb.Platform(ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH}))
}

func (b *bench) report(cs []*contestant) {
	fmt.Printf("%d ops, %d rounds, %d processors; medians (lowest to highest)\n", b.n, b.rounds, runtime.NumCPU())
	for _, c := range cs {
		w, u := times(c.cold)
		n := time.Duration(b.n)
		fmt.Printf("%-9s new     %8.2f ms/op (%.2f to %.2f), processor %.2f ms/op\n", c.name,
			ms(median(w)/n), ms(slices.Min(w)/n), ms(slices.Max(w)/n), ms(median(u)/n))
		w, u = times(c.cached)
		fmt.Printf("%-9s cached  %8.0f ms in all (%.0f to %.0f), processor %.0f ms\n", c.name,
			ms(median(w)), ms(slices.Min(w)), ms(slices.Max(w)), ms(median(u)))
	}
	if len(cs) > 1 {
		var cold, cached []float64
		for i := range cs[0].cold {
			cold = append(cold, float64(cs[1].cold[i].wall)/float64(cs[0].cold[i].wall))
			cached = append(cached, float64(cs[1].cached[i].wall)/float64(cs[0].cached[i].wall))
		}
		fmt.Printf("%s is faster than %s: new %.1f times (%.1f to %.1f), cached %.1f times\n", cs[0].name, cs[1].name,
			median(cold), slices.Min(cold), slices.Max(cold), median(cached))
	}
}

func times(ss []sample) (wall, cpu []time.Duration) {
	for _, s := range ss {
		wall, cpu = append(wall, s.wall), append(cpu, s.cpu)
	}
	return wall, cpu
}

func median[T ~int64 | ~float64](v []T) T {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
