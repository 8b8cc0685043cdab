package engine

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The fake server is this test's own binary in another role: it has the control service, and no
// BuildKit.
const roleEnv = "MERGEFEST_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(fakeMain(role, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func fakeMain(role string, args []string) int {
	ready := os.NewFile(ReadyFD, "ready")
	switch role {
	case "die":
		os.Stderr.WriteString("some\nlast words\n")
		return 1
	case "refuse":
		json.NewEncoder(ready).Encode(Ready{Error: &StartError{Kind: KindRuntime, Message: "no runtime; install one"}})
		return 1
	}
	l := Layout{args[1]} // --state DIR
	st := StatusReply{Build: BuildID(), Protocol: Protocol, PID: os.Getpid()}
	switch role {
	case "other program":
		st.Build = "other"
	case "other version":
		st.Build, st.Protocol = "other", Protocol+1
	}
	f, err := newFake(l, st)
	if err != nil {
		json.NewEncoder(ready).Encode(Ready{Error: &StartError{Kind: KindOther, Message: err.Error()}})
		return 1
	}
	json.NewEncoder(ready).Encode(Ready{})
	ready.Close()
	<-f.ended
	return 0
}

// fake is a server of the control service. It holds the lock, as a real one does.
type fake struct {
	status StatusReply
	busy   bool
	ended  chan struct{}
	grpc   *grpc.Server
	lock   *os.File
	once   sync.Once
}

func newFake(l Layout, st StatusReply) (*fake, error) {
	lock, err := os.OpenFile(l.Lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flockWait(context.Background(), lock); err != nil {
		return nil, err
	}
	f := &fake{status: st, ended: make(chan struct{}), grpc: grpc.NewServer(), lock: lock}
	reply := func(v any) (any, error) {
		data, err := json.Marshal(v)
		return wrapperspb.Bytes(data), err
	}
	method := func(name string, do func() any) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name, Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := dec(new(wrapperspb.BytesValue)); err != nil {
				return nil, err
			}
			return reply(do())
		}}
	}
	f.grpc.RegisterService(&grpc.ServiceDesc{ServiceName: ControlService, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		method(MethodStatus, func() any { return f.status }),
		method(MethodStop, func() any {
			if f.busy {
				return StopReply{PID: f.status.PID}
			}
			go f.end()
			return StopReply{PID: f.status.PID, Stopping: true}
		}),
	}}, f)
	lis, err := ListenSocket(l.Socket())
	if err != nil {
		return nil, err
	}
	go f.grpc.Serve(lis)
	return f, nil
}

func (f *fake) end() {
	f.once.Do(func() {
		f.grpc.GracefulStop()
		f.lock.Close()
		close(f.ended)
	})
}

// served are options whose server is the fake.
func served(t *testing.T, role string) Options {
	t.Setenv(roleEnv, role)
	o := Options{StateDir: filepath.Join(t.TempDir(), "state"), ServeCommand: []string{os.Args[0]}, Log: func(s string) { t.Log(s) }}
	t.Cleanup(func() {
		if _, err := Stop(context.Background(), o); err != nil {
			t.Error(err)
		}
	})
	return o
}

func TestOpenStartsOnce(t *testing.T) {
	o := served(t, "serve")
	var wg sync.WaitGroup
	pids := make([]int, 10)
	for i := range pids {
		wg.Go(func() {
			e, err := Open(context.Background(), o)
			if err != nil {
				t.Error(err)
				return
			}
			pids[i] = e.pid
			e.Close()
		})
	}
	wg.Wait()
	for _, p := range pids {
		if p == 0 || p != pids[0] {
			t.Fatalf("servers %v, want one", pids)
		}
	}
}

func TestOpenFailures(t *testing.T) {
	for _, c := range []struct{ role, kind, want string }{
		{"die", KindOther, "last words"},
		{"refuse", KindRuntime, "no runtime; install one"},
	} {
		t.Run(c.role, func(t *testing.T) {
			_, err := Open(context.Background(), served(t, c.role))
			var start *StartError
			if !errors.As(err, &start) || start.Kind != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("missing program", func(t *testing.T) {
		o := served(t, "serve")
		o.ServeCommand = []string{"/nowhere/mergefest"}
		_, err := Open(context.Background(), o)
		var start *StartError
		if !errors.As(err, &start) || !strings.Contains(err.Error(), "/nowhere/mergefest") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("not allowed to start", func(t *testing.T) {
		o := served(t, "serve")
		o.ServeCommand = nil
		_, err := Open(context.Background(), o)
		var conn *ConnectError
		if !errors.As(err, &conn) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		o := served(t, "serve")
		l := Layout{o.StateDir}
		if err := os.MkdirAll(l.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		other, err := os.Create(l.StartLock())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := Open(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// TestOtherProgram starts a server that isn't this program.
func TestOtherProgram(t *testing.T) {
	e, err := Open(context.Background(), served(t, "other program"))
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	_, err = Open(context.Background(), served(t, "other version"))
	var start *StartError
	if !errors.As(err, &start) || !strings.Contains(err.Error(), "different versions") {
		t.Errorf("error %v", err)
	}
}

// TestStaleSocket has a socket file that nobody listens on.
func TestStaleSocket(t *testing.T) {
	o := served(t, "serve")
	l := Layout{o.StateDir}
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lis, err := net.ListenUnix("unix", &net.UnixAddr{Name: l.Socket(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	lis.SetUnlinkOnClose(false)
	lis.Close()
	e, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
}

// TestOtherBuild meets servers of other builds: idle, busy, and busy with another protocol.
func TestOtherBuild(t *testing.T) {
	start := func(t *testing.T, o Options, protocol int, busy bool) *fake {
		t.Helper()
		if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := newFake(Layout{o.StateDir}, StatusReply{Build: "other", Protocol: protocol, PID: 4711, Version: "v0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		f.busy = busy
		t.Cleanup(f.end)
		return f
	}
	open := func(t *testing.T, o Options) int {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		e, err := Open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		return e.pid
	}
	t.Run("idle", func(t *testing.T) {
		o := served(t, "serve")
		start(t, o, Protocol, false)
		if pid := open(t, o); pid == 4711 {
			t.Error("it wasn't replaced")
		}
	})
	t.Run("busy", func(t *testing.T) {
		o := served(t, "serve")
		start(t, o, Protocol, true)
		if pid := open(t, o); pid != 4711 {
			t.Errorf("server %d, want the busy one", pid)
		}
	})
	t.Run("busy with another protocol", func(t *testing.T) {
		o := served(t, "serve")
		f := start(t, o, Protocol+1, true)
		var said []string
		o.Log = func(s string) { said = append(said, s) }
		time.AfterFunc(400*time.Millisecond, f.end)
		if pid := open(t, o); pid == 4711 {
			t.Error("it was used")
		}
		if len(said) != 1 || !strings.Contains(said[0], "waiting") || !strings.Contains(said[0], "4711") {
			t.Errorf("remarks %q", said)
		}
	})
}

func TestStatusOfNothing(t *testing.T) {
	o := Options{StateDir: filepath.Join(t.TempDir(), "none")}
	st, err := Status(context.Background(), o)
	if err != nil || st.Running || st.StateDir != o.StateDir {
		t.Errorf("status %+v, %v", st, err)
	}
	if r, err := Stop(context.Background(), o); err != nil || r.Stopping {
		t.Errorf("stop %+v, %v", r, err)
	}
	if _, err := os.Stat(o.StateDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state directory: %v", err)
	}
}

// A state directory that is a file has no engine, which is no error to who wants to stop it.
func TestStopWhereFileIs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := Stop(context.Background(), Options{StateDir: file}); err != nil || r.Stopping {
		t.Errorf("stop %+v, %v", r, err)
	}
}

func TestSocketPaths(t *testing.T) {
	for _, n := range []int{1, maxSocketPath, maxSocketPath + 1, 400} {
		dir := t.TempDir()
		for len(dir) < n-2 {
			dir = filepath.Join(dir, strings.Repeat("d", min(100, n-2-len(dir))))
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "s")
		l, err := ListenSocket(path)
		if err != nil {
			t.Errorf("%d bytes: %v", len(path), err)
			continue
		}
		go func() {
			if c, err := l.Accept(); err == nil {
				c.Close()
			}
		}()
		c, err := DialSocket(context.Background(), path)
		if err != nil {
			t.Errorf("%d bytes: %v", len(path), err)
		} else {
			c.Close()
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%d bytes: the file stays: %v", len(path), err)
		}
	}
}

func TestBuildID(t *testing.T) {
	if id := BuildID(); id == "" || id == "unknown" || id != BuildID() {
		t.Errorf("identity %q", id)
	}
}
