package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded"
	"github.com/mergefest/mergefest/internal/testengine"
)

// roleEnv makes the test's own binary another program.
const roleEnv = "MERGEFEST_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "serve":
		os.Exit(embedded.Main(context.Background(), os.Args[1:], embedded.Options{Version: "test"}, os.Stderr))
	case "try":
		os.Exit(tryClient())
	case "client":
		os.Exit(hangingClient())
	}
	os.Exit(m.Run())
}

// daemon returns the options of an engine that runs in processes of its own and ends with the test.
func daemon(t testing.TB) engine.Options {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it needs root")
	}
	t.Setenv(roleEnv, "serve")
	o := engine.Options{StateDir: t.TempDir(), ServeCommand: []string{os.Args[0]}, Log: func(s string) { t.Log(s) }}
	t.Cleanup(func() {
		if _, err := engine.Stop(context.Background(), o); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(o.StateDir, "engine.log"))
			t.Logf("engine.log:\n%s", log)
		}
	})
	return o
}

func openDaemon(t testing.TB, o engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func status(t testing.TB, o engine.Options) *engine.StatusReply {
	t.Helper()
	st, err := engine.Status(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestDaemonLife(t *testing.T) {
	tool := testengine.BuildTool(t)
	o := daemon(t)
	if st := status(t, o); st.Running {
		t.Fatalf("status %+v before the start", st)
	}
	if r, err := engine.Stop(context.Background(), o); err != nil || r.Stopping {
		t.Fatalf("Stop of nothing: %+v, %v", r, err)
	}
	e := openDaemon(t, o)
	if !e.Info().Embedded || !e.Info().Merge || e.Info().BuildKit == "" || len(e.Info().Platforms) == 0 || len(e.Info().InProcess) == 0 {
		t.Errorf("info %+v", e.Info())
	}
	if _, err := solve(t, e, tool, tool.Op([]string{"fill", "/out/f", "3"})); err != nil {
		t.Fatal(err)
	}
	st := status(t, o)
	if !st.Running || st.PID == 0 || st.Version != "test" || st.Size < 3<<20 || st.Started.IsZero() || st.Clients < 2 {
		t.Errorf("status %+v", st)
	}
	if err := syscall.Kill(st.PID, 0); err != nil {
		t.Errorf("process %d: %v", st.PID, err)
	}
	r, err := engine.GC(context.Background(), o, engine.GCRequest{All: true})
	if err != nil || r.Bytes < 3<<20 || r.Size > 1<<20 {
		t.Errorf("GC: %+v, %v", r, err)
	}
	e.Close()
	if r, err := engine.Stop(context.Background(), o); err != nil || !r.Stopping || r.PID != st.PID {
		t.Errorf("Stop: %+v, %v", r, err)
	}
	if _, err := os.Stat(st.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket: %v", err)
	}
	if _, err := os.Stat(filepath.Join(o.StateDir, "engine", "open")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the marker of open stores: %v", err)
	}
}

// TestTenStarts starts from ten clients at once; one server must result.
func TestTenStarts(t *testing.T) {
	o := daemon(t)
	pids := make([]int, 10)
	var wg sync.WaitGroup
	for i := range pids {
		wg.Go(func() {
			e, err := engine.Open(context.Background(), o)
			if err != nil {
				t.Error(err)
				return
			}
			defer e.Close()
			pids[i] = status(t, o).PID
		})
	}
	wg.Wait()
	for _, p := range pids {
		if p == 0 || p != pids[0] {
			t.Fatalf("servers %v", pids)
		}
	}
}

func TestIdle(t *testing.T) {
	o := daemon(t)
	o.Idle = 300 * time.Millisecond
	e := openDaemon(t, o)
	time.Sleep(time.Second)
	if !status(t, o).Running {
		t.Error("it ended with a client connected")
	}
	e.Close()
	waitFor(t, "the idle engine to end", func() bool { return !status(t, o).Running })
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// TestKilledServer kills the server while a container runs. The client gets a *GoneError, the
// container ends, the next client starts a new server with all finished results, and nothing stays
// mounted.
func TestKilledServer(t *testing.T) {
	tool := testengine.BuildTool(t)
	o := daemon(t)
	e := openDaemon(t, o)
	done := tool.Op([]string{"echo", "done once"})
	if _, err := solve(t, e, tool, done); err != nil {
		t.Fatal(err)
	}
	mark := fmt.Sprintf("sleep-%d", time.Now().UnixNano())
	_, err := e.Solve(context.Background(), engine.Request{
		Definition: testengine.Marshal(t, tool.Op([]string{"echo", "up", ";", "sleep", "1h", mark})), Locals: tool.Locals(),
		Status: func(s *client.SolveStatus) {
			if len(s.Logs) > 0 {
				if !processRuns(mark) {
					t.Error("the container can't be seen")
				}
				syscall.Kill(status(t, o).PID, syscall.SIGKILL)
			}
		},
	})
	var gone *engine.GoneError
	if !errors.As(err, &gone) || gone.Log == "" {
		t.Errorf("error %#v, want a *GoneError", err)
	}
	waitFor(t, "the container to end", func() bool { return !processRuns(mark) })
	e = openDaemon(t, o)
	out, err := solve(t, e, tool, done)
	if err != nil || out != "" {
		t.Errorf("the finished op ran again, or failed: %q, %v", out, err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), o.StateDir) {
		t.Errorf("mounts: %v\n%s", err, mounts)
	}
}

// processRuns tells whether a process with a mark in its arguments runs.
func processRuns(mark string) bool {
	cmdlines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range cmdlines {
		if data, err := os.ReadFile(f); err == nil && strings.Contains(string(data), "tool\x00") && strings.Contains(string(data), mark) {
			return true
		}
	}
	return false
}

// TestKilledClient kills a client; its build is cancelled, another's isn't.
func TestKilledClient(t *testing.T) {
	tool := testengine.BuildTool(t)
	o := daemon(t)
	e := openDaemon(t, o)
	mark := fmt.Sprintf("client-%d", time.Now().UnixNano())
	cmd := exec.Command(os.Args[0], o.StateDir, tool.Dir(), mark)
	cmd.Env = append(os.Environ(), roleEnv+"=client")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the client's container", func() bool { return processRuns(mark) })
	other := make(chan error, 1)
	go func() {
		_, err := solve(t, e, tool, tool.Op([]string{"sleep", "2s"}))
		other <- err
	}()
	if st := status(t, o); st.Builds == 0 {
		t.Errorf("status %+v during a build", st)
	}
	cmd.Process.Kill()
	cmd.Wait()
	waitFor(t, "the client's container to end", func() bool { return !processRuns(mark) })
	if err := <-other; err != nil {
		t.Errorf("the other client's build: %v", err)
	}
	waitFor(t, "the builds to end", func() bool { return status(t, o).Builds == 0 })
}

// hangingClient is a client that builds for an hour: STATE TOOLDIR MARK.
func hangingClient() int {
	e, err := engine.Open(context.Background(), engine.Options{StateDir: os.Args[1]})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	tool, err := testengine.OpenTool(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	def, err := tool.Op([]string{"sleep", "1h", os.Args[3]}).Marshal(context.Background(), llb.LinuxAmd64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, err = e.Solve(context.Background(), engine.Request{Definition: def, Locals: tool.Locals()})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func TestStateErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string) string
		kind    string
		want    string
	}{
		{"newer format", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "engine", "format"), "99\n")
			return dir
		}, engine.KindNewer, "a newer mergefest wrote it"},
		{"a link for the data", func(t *testing.T, dir string) string {
			if err := os.Symlink(t.TempDir(), filepath.Join(dir, "engine")); err != nil {
				t.Fatal(err)
			}
			return dir
		}, engine.KindOther, "is a symbolic link"},
		{"a file in the way", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "f"), "")
			return filepath.Join(dir, "f", "state")
		}, engine.KindOther, "not a directory"},
		{"read-only", func(t *testing.T, dir string) string {
			mount(t, "tmpfs", dir, syscall.MS_RDONLY, "")
			return filepath.Join(dir, "state")
		}, engine.KindReadOnly, "read-only file system; name"},
		{"full", func(t *testing.T, dir string) string {
			mount(t, "tmpfs", dir, 0, "size=64k")
			if err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			return filepath.Join(dir, "state")
		}, engine.KindDiskFull, "free some space"},
		{"locked", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "engine.lock"), "4711\n")
			f, err := os.Open(filepath.Join(dir, "engine.lock"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			return dir
		}, engine.KindInUse, "in use by process 4711"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := c.prepare(t, t.TempDir())
			_, err := embedded.Start(context.Background(), embedded.Options{StateDir: dir, LockWait: 100 * time.Millisecond})
			var start *engine.StartError
			if !errors.As(err, &start) || start.Kind != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %#v, want kind %s with %q", err, c.kind, c.want)
			}
		})
	}
}

func mount(t *testing.T, kind, dir string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(kind, dir, kind, flags, data); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestCrashedMachine checks that state whose stores were open in an earlier life of the machine is
// discarded, and that of a closed one isn't.
func TestCrashedMachine(t *testing.T) {
	tool := testengine.BuildTool(t)
	o := daemon(t)
	op := tool.Op([]string{"echo", "once"})
	for i, c := range []struct {
		boot string
		want string
	}{{"", "once\n"}, {"", ""}, {"11111111-2222-3333-4444-555555555555", "once\n"}, {"", ""}} {
		if c.boot != "" {
			write(t, filepath.Join(o.StateDir, "engine", "open"), c.boot)
		}
		e := openDaemon(t, o)
		out, err := solve(t, e, tool, op)
		if err != nil || out != c.want {
			t.Errorf("start %d: output %q, want %q, error %v", i, out, c.want, err)
		}
		e.Close()
		if _, err := engine.Stop(context.Background(), o); err != nil {
			t.Fatal(err)
		}
	}
	trash, err := filepath.Glob(filepath.Join(o.StateDir, "engine-trash-*"))
	if err != nil || len(trash) > 0 {
		t.Errorf("left behind: %v, %v", trash, err)
	}
}

// TestFullDisk fills the disk during a build, then makes room, and the next build succeeds.
func TestFullDisk(t *testing.T) {
	tool := testengine.BuildTool(t)
	o := daemon(t)
	dir := t.TempDir()
	mount(t, "tmpfs", dir, 0, "size=48m")
	o.StateDir = filepath.Join(dir, "state")
	t.Cleanup(func() { engine.Stop(context.Background(), o) })
	e := openDaemon(t, o)
	_, err := solve(t, e, tool, tool.Op([]string{"fill", "/out/f", "100"}))
	var full *engine.DiskFullError
	if !errors.As(err, &full) || full.Dir != o.StateDir || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %#v, want a *DiskFullError", err)
	}
	if _, err := engine.GC(context.Background(), o, engine.GCRequest{All: true}); err != nil {
		t.Errorf("GC: %v", err)
	}
	if _, err := solve(t, e, tool, tool.Op([]string{"fill", "/out/f", "2"})); err != nil {
		t.Errorf("after making room: %v", err)
	}
}

// TestLongPath has a state directory whose socket's path doesn't fit into a socket address.
func TestLongPath(t *testing.T) {
	tool := testengine.BuildTool(t)
	o := daemon(t)
	o.StateDir = filepath.Join(o.StateDir, strings.Repeat("long/", 30), "state")
	t.Cleanup(func() { engine.Stop(context.Background(), o) })
	e := openDaemon(t, o)
	if _, err := solve(t, e, tool, tool.Op([]string{"echo", "x"})); err != nil {
		t.Error(err)
	}
}

// TestLinkedState has a link in the path of the state directory, and an op that selects a part of a
// mount, which BuildKit refuses behind a link.
func TestLinkedState(t *testing.T) {
	tool := testengine.BuildTool(t)
	o := daemon(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "disk"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("disk", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	o.StateDir = filepath.Join(dir, "link", "state")
	t.Cleanup(func() { engine.Stop(context.Background(), o) })
	e := openDaemon(t, o)
	files := llb.Scratch().File(llb.Mkdir("/d", 0o755).Mkfile("/d/f", 0o644, []byte("text")))
	op := tool.Op([]string{"cat", "/in/f"}, llb.AddMount("/in", files, llb.SourcePath("/d"), llb.Readonly))
	if out, err := solve(t, e, tool, op); err != nil || out != "text" {
		t.Errorf("%q, %v", out, err)
	}
	if st := status(t, o); !st.Running {
		t.Error("the engine isn't found by the link")
	}
}

func TestNoRuntime(t *testing.T) {
	o := daemon(t)
	_, err := embedded.Start(context.Background(), embedded.Options{StateDir: o.StateDir, Runtime: "no-such-runtime"})
	var start *engine.StartError
	if !errors.As(err, &start) || start.Kind != engine.KindRuntime || !strings.Contains(err.Error(), "apt-get install crun") {
		t.Errorf("error %#v", err)
	}
}

// TestCacheLimit checks that a collection gets below the limit.
func TestCacheLimit(t *testing.T) {
	tool := testengine.BuildTool(t)
	o := daemon(t)
	e := openDaemon(t, o)
	for i := range 4 {
		if _, err := solve(t, e, tool, tool.Op([]string{"fill", "/out/f", "4", ";", "echo", fmt.Sprint(i)})); err != nil {
			t.Fatal(err)
		}
	}
	r, err := engine.GC(context.Background(), o, engine.GCRequest{MaxUsed: 9 << 20})
	if err != nil || r.Size > 9<<20 || r.Size < 4<<20 {
		t.Errorf("GC: %+v, %v", r, err)
	}
}
