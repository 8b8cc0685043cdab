// Finding the embedded engine's server, and starting it when there is none.

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds the time from starting a server until it is ready. It includes waiting for
// a predecessor that is closing. It is long, because a big cache on a busy disk takes minutes to open;
// a server that dies is noticed at once.
const startTimeout = 10 * time.Minute

// slowStart is when a start that lasts is remarked on.
const slowStart = 5 * time.Second

// connectEmbedded returns a connection to a server that this client may use, and its status.
func connectEmbedded(ctx context.Context, o Options, l Layout) (*control, *StatusReply, error) {
	build := BuildID()
	told := false
	for {
		c, st, own, err := connectOrStart(ctx, o, l)
		if errors.Is(err, errNotRunning) && len(o.ServeCommand) > 0 {
			if err := sleep(ctx, 5*time.Millisecond); err != nil {
				return nil, nil, err
			}
			continue // it ended between two calls
		}
		if err != nil {
			return nil, nil, err
		}
		if st.Build == build || (own || len(o.ServeCommand) == 0) && st.Protocol == Protocol {
			return c, st, nil
		}
		if own {
			c.close()
			return nil, nil, &StartError{Kind: KindOther, Message: fmt.Sprintf("%s serves protocol %d, and this program needs %d: they are of different versions",
				o.ServeCommand[0], st.Protocol, Protocol)}
		}
		// Another build serves. Replace it if nobody needs it; otherwise share it if it speaks the
		// same protocol, else wait for it to become free.
		var reply StopReply
		err = c.call(ctx, MethodStop, StopRequest{IfIdle: true}, &reply)
		if err == nil && !reply.Stopping && st.Protocol == Protocol {
			return c, st, nil
		}
		c.close()
		switch {
		case errors.Is(err, errNotRunning):
		case err != nil:
			return nil, nil, fmt.Errorf("replace the engine of another build of mergefest (process %d): %w", st.PID, err)
		case reply.Stopping:
			if err := waitUnlocked(ctx, l.Lock()); err != nil {
				return nil, nil, err
			}
			o.log("replaced the engine of another build of mergefest (%s, process %d)", st.Version, st.PID)
			continue
		case !told:
			o.log("waiting for the engine of another version of mergefest (%s, process %d), which is busy", st.Version, st.PID)
			told = true
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, nil, err
		}
	}
}

// sleep waits, or returns why the context ended.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func (o Options) log(format string, args ...any) {
	if o.Log != nil {
		o.Log(fmt.Sprintf(format, args...))
	}
}

// connectOrStart connects to the server, and starts one if there is none. Of several clients that
// find none at the same time, one starts it and the others wait for that. own tells that it was
// this one.
func connectOrStart(ctx context.Context, o Options, l Layout) (_ *control, _ *StatusReply, own bool, _ error) {
	c, st, err := connectRunning(ctx, l)
	if !errors.Is(err, errNotRunning) {
		return c, st, false, err
	}
	if len(o.ServeCommand) == 0 {
		return nil, nil, false, &ConnectError{URL: "unix://" + l.Socket(), Err: errNotRunning}
	}
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return nil, nil, false, stateDirError(l.Dir, err)
	}
	lock, err := os.OpenFile(l.StartLock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, false, stateDirError(l.Dir, err)
	}
	defer lock.Close() // which unlocks
	if err := flockWait(ctx, lock); err != nil {
		return nil, nil, false, err
	}
	c, st, err = connectRunning(ctx, l)
	if !errors.Is(err, errNotRunning) {
		return c, st, false, err
	}
	err = startServer(ctx, o, l)
	var start *StartError
	served := errors.As(err, &start) && start.Kind == KindServed // whoever started that one has gone
	if err != nil && !served {
		return nil, nil, false, err
	}
	c, st, err = connectRunning(ctx, l)
	return c, st, !served, err
}

func connectRunning(ctx context.Context, l Layout) (*control, *StatusReply, error) {
	c, err := dialControl(ctx, l.Socket())
	if err != nil {
		return nil, nil, err
	}
	st, err := c.ready(ctx, l, answerTimeout)
	if err != nil {
		c.close()
		return nil, nil, err
	}
	return c, st, nil
}

// stateDirError explains why a state directory can't be used.
func stateDirError(dir string, err error) error {
	kind, advice := KindOther, "name another directory with --state or MERGEFEST_STATE"
	switch {
	case errors.Is(err, syscall.EROFS):
		kind = KindReadOnly
	case errors.Is(err, fs.ErrPermission):
		kind = KindPermission
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		kind, advice = KindDiskFull, "free some space, or "+advice
	}
	return &StartError{Kind: kind, Message: fmt.Sprintf("state directory %s: %v; %s", dir, err, advice)}
}

// startServer starts the server as a session of its own and waits until it listens.
func startServer(ctx context.Context, o Options, l Layout) error {
	log, err := openLog(l.Log())
	if err != nil {
		return stateDirError(l.Dir, err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()

	args := append(o.ServeCommand[1:len(o.ServeCommand):len(o.ServeCommand)],
		"--state", l.Dir, "--ready-fd", strconv.Itoa(ReadyFD))
	if o.Idle != 0 {
		args = append(args, "--idle", o.Idle.String())
	}
	if o.CacheLimit != 0 {
		args = append(args, "--cache-limit", strconv.FormatInt(o.CacheLimit, 10))
	}
	cmd := exec.Command(o.ServeCommand[0], args...)
	cmd.Dir = "/" // so that it doesn't keep a file system busy
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return &StartError{Kind: KindOther, Message: fmt.Sprintf("%s: %v", strings.Join(o.ServeCommand, " "), err)}
	}
	defer time.AfterFunc(slowStart, func() {
		o.log("waiting for the engine to start, or for the one before it to end; its log is %s", l.Log())
	}).Stop()
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }() // so that no zombie is left while this process lives
	return waitReady(ctx, r, l, exited)
}

// waitReady reads what a started server reports. The end of the pipe without a report means that
// it died.
func waitReady(ctx context.Context, r *os.File, l Layout, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		&StartError{Kind: KindOther, Message: fmt.Sprintf("it wasn't ready after %v", startTimeout), Log: l.Log()})
	defer cancel()
	defer context.AfterFunc(ctx, func() { r.SetReadDeadline(time.Now()) })()

	data, err := io.ReadAll(r)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var ready Ready
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &ready)
	} else if err == nil {
		select {
		case <-exited:
		case <-time.After(time.Second):
		}
		return &StartError{Kind: KindOther, Message: "it ended while starting: " + logTail(l.Log()), Log: l.Log()}
	}
	if err != nil {
		return &StartError{Kind: KindOther, Message: "unreadable report: " + err.Error(), Log: l.Log()}
	}
	if ready.Error != nil {
		ready.Error.Log = l.Log()
		return ready.Error
	}
	return nil
}

// openLog makes an empty log and keeps the last one beside it.
func openLog(path string) (*os.File, error) {
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o600)
}

// logTail is the last lines of a log, for a message.
func logTail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil || len(bytes.TrimSpace(data)) == 0 {
		return "it printed nothing"
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
