// The client of the control service: status, stop, collection.

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// control is a connection to the control service of a running server.
type control struct{ conn *grpc.ClientConn }

// errNotRunning means that nobody listens on the socket.
var errNotRunning = errors.New("the engine isn't running")

// dialControl connects, or fails with errNotRunning.
func dialControl(ctx context.Context, socket string) (*control, error) {
	// The first connection is made by hand: gRPC would hide why it failed, and retry.
	first, err := DialSocket(ctx, socket)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, errNotRunning
	case errors.Is(err, fs.ErrPermission):
		return nil, &StartError{Kind: KindPermission, Message: fmt.Sprintf("state directory %s is another user's: %v; name another directory with --state or MERGEFEST_STATE", filepath.Dir(socket), err)}
	case err != nil:
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///engine",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			if c := first; c != nil {
				first = nil // gRPC dials one connection at a time
				return c, nil
			}
			return DialSocket(ctx, socket)
		}))
	if err != nil {
		first.Close()
		return nil, err
	}
	return &control{conn}, nil
}

func (c *control) close() { c.conn.Close() }

func (c *control) call(ctx context.Context, method string, req, reply any) error {
	data, err := json.Marshal(req)
	if err != nil {
		return err
	}
	var out wrapperspb.BytesValue
	if err := c.conn.Invoke(ctx, "/"+ControlService+"/"+method, wrapperspb.Bytes(data), &out); err != nil {
		if status.Code(err) == codes.Unavailable {
			return fmt.Errorf("%w: %w", errNotRunning, err)
		}
		return err
	}
	return json.Unmarshal(out.GetValue(), reply)
}

func (c *control) status(ctx context.Context, req StatusRequest) (*StatusReply, error) {
	var reply StatusReply
	if err := c.call(ctx, MethodStatus, req, &reply); err != nil {
		return nil, err
	}
	return &reply, nil
}

// answerTimeout is how long a server that has been connected to may take to say that it is there.
const answerTimeout = 30 * time.Second

// ready returns the state of a server that answers; one that hangs is a *StartError.
func (c *control) ready(ctx context.Context, l Layout, timeout time.Duration) (*StatusReply, error) {
	hung := &StartError{Kind: KindInUse, Message: fmt.Sprintf("state directory %s is in use by process %s, which hasn't answered for %v; wait for it, end it with kill -9, or name another directory with --state",
		l.Dir, lockOwner(l), timeout)}
	tctx, cancel := context.WithTimeoutCause(ctx, timeout, hung)
	defer cancel()
	st, err := c.status(tctx, StatusRequest{})
	if err != nil && tctx.Err() != nil {
		return nil, context.Cause(tctx)
	}
	return st, err
}

// lockOwner is the process that the lock of a state directory names.
func lockOwner(l Layout) string {
	data, err := os.ReadFile(l.Lock())
	if err != nil || len(bytes.TrimSpace(data)) == 0 {
		return "(unknown)"
	}
	return string(bytes.TrimSpace(data))
}

// Serving tells whether a server of a state directory answers now, and its process id.
func Serving(ctx context.Context, stateDir string) (pid int, ok bool) {
	l := Layout{stateDir}
	c, err := dialControl(ctx, l.Socket())
	if err != nil {
		return 0, false
	}
	defer c.close()
	st, err := c.ready(ctx, l, time.Second)
	if err != nil {
		return 0, false
	}
	return st.PID, true
}

// Status describes the embedded engine of the options. If none runs, the reply says so and holds
// the paths only. It never starts one.
func Status(ctx context.Context, o Options) (*StatusReply, error) {
	dir, err := o.stateDir()
	if err != nil {
		return nil, err
	}
	l := Layout{dir}
	stopped := &StatusReply{Socket: l.Socket(), StateDir: dir, Log: l.Log(), Size: -1}
	c, err := dialControl(ctx, l.Socket())
	if errors.Is(err, errNotRunning) {
		return stopped, nil
	} else if err != nil {
		return nil, connectError(l, err)
	}
	defer c.close()
	var reply *StatusReply
	if _, err = c.ready(ctx, l, answerTimeout); err == nil {
		reply, err = c.status(ctx, StatusRequest{Size: true}) // adding up may take its time
	}
	if errors.Is(err, errNotRunning) {
		return stopped, nil
	}
	return reply, err
}

// Stop ends the embedded engine of the options and waits until it has closed its stores. Builds
// that run are cancelled. The reply's Stopping is false if none was running, which is no error.
func Stop(ctx context.Context, o Options) (*StopReply, error) {
	dir, err := o.stateDir()
	if err != nil {
		return nil, err
	}
	l := Layout{dir}
	c, err := dialControl(ctx, l.Socket())
	var reply StopReply
	if err == nil {
		defer c.close()
		if _, err = c.ready(ctx, l, answerTimeout); err == nil {
			err = c.call(ctx, MethodStop, StopRequest{}, &reply)
		}
	}
	if err != nil && !errors.Is(err, errNotRunning) {
		return nil, connectError(l, err)
	}
	// Even when nothing listens any more, one may be closing its stores this moment.
	return &reply, waitStopped(ctx, l, reply.PID)
}

// waitStopped returns when the server with a process id, or an unknown one, doesn't own the state
// directory any more. Another one may, that was started meanwhile.
func waitStopped(ctx context.Context, l Layout, pid int) error {
	for {
		tctx, cancel := context.WithTimeout(ctx, time.Second)
		err := waitUnlocked(tctx, l.Lock())
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if now, ok := Serving(ctx, l.Dir); ok && now != pid {
			return nil
		}
	}
}

// connectError is a failure to reach a server, which need not be one to start it.
func connectError(l Layout, err error) error {
	var start *StartError
	if errors.As(err, &start) {
		return start
	}
	return &ConnectError{URL: "unix://" + l.Socket(), Err: err}
}

// GC drops least recently used results of the embedded engine of the options, which is started if
// needed and allowed (Options.ServeCommand), until it is below the limit.
func GC(ctx context.Context, o Options, req GCRequest) (*GCReply, error) {
	o.URL = ""
	e, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	var reply GCReply
	if err := e.control.call(ctx, MethodGC, req, &reply); err != nil {
		return nil, fmt.Errorf("collect the garbage of %s: %w", e.layout.Dir, err)
	}
	return &reply, nil
}

// waitUnlocked returns when no process holds the flock of a file, or the file doesn't exist.
func waitUnlocked(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	if err := flockWait(ctx, f); err != nil {
		return err
	}
	return syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
}

// flockWait takes an exclusive flock, polling so that it can be cancelled.
func flockWait(ctx context.Context, f *os.File) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
