// A running container, from its start to its exit status.

package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	bkexec "github.com/moby/buildkit/executor"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// container is one call of Run.
type container struct {
	id      string
	bundle  string
	process bkexec.ProcessInfo
	stubs   []string // mount points to be made after the end

	started func() // tells whoever waits that the process was started; may be called again
	begun   chan struct{}
	ended   chan struct{} // closed when Run returns
}

func (x *executor) register(id string, p bkexec.ProcessInfo, started chan<- struct{}) *container {
	c := &container{id: id, process: p, begun: make(chan struct{}), ended: make(chan struct{})}
	c.started = sync.OnceFunc(func() {
		close(c.begun)
		if started != nil {
			close(started)
		}
	})
	x.mu.Lock()
	x.running[id] = c
	x.mu.Unlock()
	return c
}

func (x *executor) unregister(c *container) {
	x.mu.Lock()
	delete(x.running, c.id)
	x.mu.Unlock()
	close(c.ended)
	c.started()
}

// run runs the container of a bundle. It ends it when ctx does.
func (r *ociRuntime) run(ctx context.Context, c *container) error {
	log := filepath.Join(c.bundle, "runtime.log")
	cmd := r.command(log, "run", "--bundle", c.bundle, c.id)
	return r.supervise(ctx, cmd, c.process, log, c.started, func(p *os.Process, done <-chan struct{}) {
		r.kill(c.id, p, done)
	})
}

// supervise runs a call of the runtime that lasts as long as its process, with the process's
// streams and signals, and translates its exit.
func (r *ociRuntime) supervise(ctx context.Context, cmd *exec.Cmd, p bkexec.ProcessInfo, log string, started func(), kill func(*os.Process, <-chan struct{})) error {
	cmd.Stdout, cmd.Stderr = writer(p.Stdout), writer(p.Stderr)
	cmd.WaitDelay = 5 * time.Second // for processes that outlive the container with its streams
	closeStdin, err := forwardStdin(cmd, p.Stdin)
	if err != nil {
		return err
	}
	defer closeStdin()

	finished := make(chan struct{})
	var watch sync.WaitGroup
	done := r.start(cmd, func(proc *os.Process) {
		started()
		watch.Go(func() {
			for {
				select {
				case <-finished:
					return
				case <-ctx.Done():
					kill(proc, finished)
					return
				case s, ok := <-p.Signal:
					if !ok {
						p.Signal = nil
					} else if sig, ok := os.Signal(s).(syscall.Signal); ok {
						proc.Signal(sig) // both runtimes pass signals on to the process
					}
				}
			}
		})
	})
	err = <-done
	close(finished)
	watch.Wait()
	return exitError(ctx, err, logError(log), p.Meta.ValidExitCodes)
}

// writer avoids a typed nil in an interface.
func writer(w io.WriteCloser) io.Writer {
	if w == nil {
		return nil
	}
	return w
}

// forwardStdin copies through a pipe of our own: with a plain reader, exec.Cmd would wait for its
// end even after the process has gone.
func forwardStdin(cmd *exec.Cmd, in io.ReadCloser) (func(), error) {
	if in == nil {
		return func() {}, nil
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin = pr
	go func() {
		defer pw.Close()
		io.Copy(pw, in)
	}()
	return func() { pr.Close(); in.Close() }, nil
}

// exitError turns the end of a runtime call into what BuildKit expects.
func exitError(ctx context.Context, err, logged error, valid []int) error {
	code := 0
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
	case errors.As(err, &exit):
		code = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			code = 128 + int(ws.Signal())
		}
	default:
		return &gatewayapi.ExitError{ExitCode: gatewayapi.UnknownExitStatus, Err: err}
	}
	if valid == nil {
		valid = []int{0}
	}
	if slices.Contains(valid, code) && logged == nil {
		return nil
	}
	e := &gatewayapi.ExitError{ExitCode: uint32(code)}
	switch {
	case ctx.Err() != nil:
		e.Err = fmt.Errorf("exit code: %d: %w", code, context.Cause(ctx))
	case logged != nil: // the runtime itself failed, for instance to find the program
		e.Err = fmt.Errorf("exit code: %d: %w", code, logged)
	}
	return e
}

// exec runs one more process in a running container.
func (r *ociRuntime) exec(ctx context.Context, c *container, p bkexec.ProcessInfo) error {
	if err := r.waitRunning(ctx, c); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(c.bundle, "config.json"))
	if err != nil {
		return err
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return err
	}
	proc := spec.Process
	proc.Args = p.Meta.Args
	if p.Meta.Cwd != "" {
		proc.Cwd = p.Meta.Cwd
	}
	if len(p.Meta.Env) > 0 {
		proc.Env = p.Meta.Env
	}
	dir, err := os.MkdirTemp(c.bundle, "exec-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if data, err = json.Marshal(proc); err != nil {
		return err
	}
	file, log := filepath.Join(dir, "process.json"), filepath.Join(dir, "runtime.log")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	cmd := r.command(log, "exec", "--process", file, c.id)
	return r.supervise(ctx, cmd, p, log, func() {}, func(proc *os.Process, _ <-chan struct{}) {
		proc.Kill() // the process itself ends with the container
	})
}

// waitRunning waits until the container of a call of run can take another process.
func (r *ociRuntime) waitRunning(ctx context.Context, c *container) error {
	select {
	case <-c.begun:
	case <-c.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		if r.isRunning(c) {
			return nil
		}
		select {
		case <-c.ended:
			return fmt.Errorf("container %s has ended", c.id)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

func (r *ociRuntime) isRunning(c *container) bool {
	cmd := r.command(filepath.Join(c.bundle, "state.log"), "state", c.id)
	var out limited
	cmd.Stdout = &out
	if err := <-r.start(cmd, nil); err != nil {
		return false
	}
	var st struct{ Status string }
	return json.Unmarshal(out.data, &st) == nil && st.Status == "running"
}

// limited keeps the first 64 KiB of what is written to it.
type limited struct{ data []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.data = append(l.data, p[:min(len(p), 64<<10-len(l.data))]...)
	return len(p), nil
}
