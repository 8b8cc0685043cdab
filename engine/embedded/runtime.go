// The OCI runtime: which one, and how its processes are started and ended.

package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mergefest/mergefest/engine"
)

// ociRuntime is crun or runc.
type ociRuntime struct {
	path    string
	crun    bool
	version string // the first line of --version
	state   string // its --root
	// hideUnified hides the unified hierarchy of a hybrid cgroup set-up from crun, which refuses to
	// run beside it even when it is told not to use cgroups.
	hideUnified bool
}

// unifiedDir is where systemd mounts cgroup v2 beside v1.
const unifiedDir = "/sys/fs/cgroup/unified"

// findRuntime looks for a runtime that can filter system calls. path may name one.
func findRuntime(ctx context.Context, path, stateDir string) (*ociRuntime, error) {
	names := []string{"crun", "runc", "buildkit-runc"}
	if path != "" {
		names = []string{path}
	}
	var unusable []string
	for _, name := range names {
		full, err := lookPath(name)
		if err != nil {
			continue
		}
		r := &ociRuntime{path: full, state: filepath.Join(stateDir, filepath.Base(name))}
		if err := r.probe(ctx); err != nil {
			unusable = append(unusable, err.Error())
			continue
		}
		return r, nil
	}
	msg := "no OCI runtime was found: " + strings.Join(names, ", ") + " isn't in PATH"
	if len(unusable) > 0 {
		msg = "no usable OCI runtime: " + strings.Join(unusable, "; ")
	}
	return nil, &engine.StartError{Kind: engine.KindRuntime, Message: msg + "; install one: apt-get install crun (or runc; other systems name the packages the same)"}
}

// lookPath also searches where root's programs are, which is not in every user's PATH.
func lookPath(name string) (string, error) {
	full, err := exec.LookPath(name)
	if err == nil {
		return filepath.Abs(full)
	}
	if !strings.Contains(name, "/") {
		for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin"} {
			if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return p, nil
			}
		}
	}
	return "", err
}

// probe learns what the program is.
func (r *ociRuntime) probe(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, r.path, "--version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s --version: %w: %s", r.path, err, bytes.TrimSpace(out))
	}
	text := string(out)
	r.version, _, _ = strings.Cut(text, "\n")
	r.crun = strings.HasPrefix(text, "crun ")
	// A runtime that was built without seccomp would silently run containers unfiltered.
	if r.crun && !strings.Contains(text, "+SECCOMP") || !r.crun && !strings.Contains(text, "libseccomp") {
		return fmt.Errorf("%s (%s) can't filter system calls", r.path, r.version)
	}
	if r.crun {
		_, err := os.Stat(filepath.Join(unifiedDir, "cgroup.procs"))
		r.hideUnified = err == nil
	}
	return nil
}

// command prepares a call of the runtime. Its own messages go to the log file.
func (r *ociRuntime) command(log string, args ...string) *exec.Cmd {
	global := []string{"--root", r.state, "--log", log, "--log-format", "json"}
	if r.crun {
		// Without a manager no cgroup is made: there is nothing to limit, and it saves a third of
		// the time.
		global = append(global, "--cgroup-manager=disabled")
	}
	cmd := exec.Command(r.path, append(global, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// start runs a command on a thread of its own until it ends: the kernel sends Pdeathsig when the
// thread that started the child ends. started is called with the process, or not at all.
func (r *ociRuntime) start(cmd *exec.Cmd, started func(*os.Process)) <-chan error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		if r.hideUnified {
			// The thread ends with the goroutine, because it stays locked.
			if err := hideUnified(); err != nil {
				done <- fmt.Errorf("hide %s from %s: %w", unifiedDir, r.path, err)
				return
			}
		} else {
			defer goruntime.UnlockOSThread()
		}
		if err := cmd.Start(); err != nil {
			done <- err
			return
		}
		if started != nil {
			started(cmd.Process)
		}
		done <- cmd.Wait()
	}()
	return done
}

// hideUnified gives the calling thread a mount namespace of its own without the unified hierarchy.
func hideUnified() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return err
	}
	return detachUnified()
}

// quiet runs a short call and returns its error with what the runtime said.
func (r *ociRuntime) quiet(ctx context.Context, args ...string) error {
	log, err := os.CreateTemp(r.state, ".log-")
	if err != nil {
		return err
	}
	log.Close()
	defer os.Remove(log.Name())
	cmd := r.command(log.Name(), args...)
	proc := make(chan *os.Process, 1)
	done := r.start(cmd, func(p *os.Process) { proc <- p })
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case p := <-proc:
			p.Kill()
		default:
		}
		<-done
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.path, args[0], errors.Join(err, logError(log.Name())))
	}
	return nil
}

// delete kills a container and forgets it.
func (r *ociRuntime) delete(ctx context.Context, id string) error {
	return r.quiet(ctx, "delete", "--force", id)
}

// containers lists what the runtime's state directory knows.
func (r *ociRuntime) containers() ([]string, error) {
	entries, err := os.ReadDir(r.state)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// kill ends a container that is being started or runs, until done is closed.
func (r *ociRuntime) kill(id string, proc *os.Process, done <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for r.delete(ctx, id) != nil && ctx.Err() == nil {
		select { // it may not exist yet, or have ended by itself
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	select {
	case <-done:
	case <-ctx.Done():
		proc.Kill()
	}
}

// logError reads what the runtime logged as an error; nil if it logged none.
func logError(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var last error
	for dec := json.NewDecoder(io.LimitReader(f, 1<<20)); ; {
		var e struct{ Level, Msg string }
		if dec.Decode(&e) != nil {
			return last
		}
		if e.Level == "error" || e.Level == "fatal" {
			last = errors.New(e.Msg)
		}
	}
}
