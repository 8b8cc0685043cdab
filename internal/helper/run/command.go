// One command: a process with the plan's environment, or a built-in.

package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mergefest/mergefest/graph/action"
)

// Exit statuses for a program that can't be started, as shells have them.
const (
	codeNotExecutable = 126
	codeNotFound      = 127
	codeSignal        = 128 // plus the signal's number
)

// CommandError is a command that failed.
type CommandError struct {
	Task string
	Args []string
	Code int // exit status: the command's own, or as a shell would report it
	Err  error
}

func (e *CommandError) Error() string {
	prog := ""
	if len(e.Args) > 0 {
		prog = filepath.Base(e.Args[0])
	}
	return fmt.Sprintf("%s: %s: %v", e.Task, prog, e.Err)
}

func (e *CommandError) Unwrap() error { return e.Err }

// How long a process may hold on after it was told to end, and how long its descendants may keep
// its output open after it ended.
const grace = 3 * time.Second

func checkCommand(c action.Command) error {
	switch {
	case len(c.Args) == 0 || c.Args[0] == "":
		return errors.New("a command has no program")
	case c.Dir != "" && !filepath.IsAbs(c.Dir):
		return fmt.Errorf("working directory %q is not absolute", c.Dir)
	case c.Stdout != "" && !filepath.IsAbs(c.Stdout):
		return fmt.Errorf("standard output %q is not absolute", c.Stdout)
	case strings.HasPrefix(c.Args[0], "@"):
		return checkBuiltin(c)
	}
	return nil
}

func (r *runner) command(ctx context.Context, task string, c action.Command) error {
	if c.Dir == "" {
		c.Dir = "/"
	}
	if strings.HasPrefix(c.Args[0], "@") {
		if err := r.builtin(ctx, c); err != nil {
			return &CommandError{Task: task, Args: c.Args, Code: 1, Err: err}
		}
		return nil
	}
	out := newOutput(r.console, header(task, c.Args), len(r.doc.Tasks) > 1)
	code, err := r.process(ctx, c, out)
	out.finish(err != nil)
	if err != nil {
		return &CommandError{Task: task, Args: c.Args, Code: code, Err: err}
	}
	return nil
}

func (r *runner) process(ctx context.Context, c action.Command, out io.Writer) (int, error) {
	prog, err := lookPath(c)
	if err != nil {
		return codeNotFound, err
	}
	if fi, err := os.Stat(c.Dir); err != nil || !fi.IsDir() {
		return codeNotExecutable, fmt.Errorf("the working directory %s is not there or is no directory", c.Dir)
	}
	cmd := exec.CommandContext(ctx, prog, c.Args[1:]...)
	cmd.Args[0] = c.Args[0]
	cmd.Dir = c.Dir
	cmd.Env = environment(c.Env)
	cmd.Stdout, cmd.Stderr = out, out
	if c.Stdout != "" {
		if err := os.MkdirAll(filepath.Dir(c.Stdout), 0o755); err != nil {
			return 1, err
		}
		f, err := os.Create(c.Stdout)
		if err != nil {
			return 1, err
		}
		defer f.Close()
		cmd.Stdout = f
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	if err := r.children.start(cmd); err != nil {
		return startError(prog, err)
	}
	err = cmd.Wait()
	// Whatever it left in the background must not outlive it.
	killGroup(cmd.Process.Pid, syscall.SIGKILL)
	r.children.done(cmd)
	return exitStatus(ctx, cmd, err)
}

func exitStatus(ctx context.Context, cmd *exec.Cmd, err error) (int, error) {
	var ee *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		return 0, nil
	case errors.As(err, &ee):
		if ws, ok := ee.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			err := fmt.Errorf("killed by signal %d (%v)", ws.Signal(), ws.Signal())
			if ws.Signal() == syscall.SIGKILL && ctx.Err() == nil {
				err = fmt.Errorf("%w: did the machine run out of memory?", err)
			}
			return codeSignal + int(ws.Signal()), err
		}
		return ee.ExitCode(), fmt.Errorf("exit status %d", ee.ExitCode())
	}
	return 1, err
}

func startError(prog string, err error) (int, error) {
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &pe) && pe.Path == prog:
		return codeNotFound, fmt.Errorf("%s is there but can't be started: its interpreter or dynamic loader is missing in this container: %w", prog, err)
	case errors.Is(err, syscall.ENOEXEC):
		return codeNotExecutable, fmt.Errorf("%s is no program of this machine's architecture, or has no #! line: %w", prog, err)
	}
	return codeNotExecutable, fmt.Errorf("start %s: %w", prog, err)
}

func killGroup(pid int, sig syscall.Signal) error {
	err := syscall.Kill(-pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// lookPath finds the program in PATH of the command's own environment.
func lookPath(c action.Command) (string, error) {
	prog := c.Args[0]
	if strings.Contains(prog, "/") {
		if !filepath.IsAbs(prog) {
			prog = filepath.Join(c.Dir, prog)
		}
		if _, err := os.Stat(prog); err != nil {
			return "", fmt.Errorf("the program is not there: %w", err)
		}
		return prog, nil
	}
	path := ""
	for _, kv := range environment(c.Env) {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v // the last one counts, as for a process
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.Dir, dir)
		}
		p := filepath.Join(dir, prog)
		if fi, err := os.Stat(p); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("the program is not in PATH (%q)", path)
}

// environment gives the variables of a command: "NAME=value", and those of this process that are
// named without a value. It is never nil, which would mean all of ours.
func environment(vars []string) []string {
	out := []string{}
	for _, kv := range vars {
		if strings.Contains(kv, "=") {
			out = append(out, kv)
		} else if value, ok := os.LookupEnv(kv); ok {
			out = append(out, kv+"="+value)
		}
	}
	return out
}
