package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// TestForeignVariable starts a server with the variable in its environment by which its inner process
// knows itself.
func TestForeignVariable(t *testing.T) {
	o := daemon(t)
	t.Setenv("MERGEFEST_ENGINE_PID", "4711")
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	openDaemon(t, o)
	if pid := status(t, o).PID; pid == 4711 || syscall.Kill(pid, 0) != nil {
		t.Errorf("process %d", pid)
	}
	proc := regexp.MustCompile(`(?m)^.* /proc .*$`)
	after, err := os.ReadFile("/proc/self/mountinfo")
	if want, got := proc.FindAllString(string(mounts), -1), proc.FindAllString(string(after), -1); err != nil || !slices.Equal(want, got) {
		t.Errorf("mounts of /proc %q, want %q (%v)", got, want, err)
	}
}

// TestSecondStart is a start beside a server that is there: it gives up at once, and who asked for it
// uses the first.
func TestSecondStart(t *testing.T) {
	o := daemon(t)
	// A server whose client has gone: nobody holds the lock of those who start.
	cmd := exec.Command(os.Args[0], "--state", o.StateDir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	openDaemon(t, o)
	if status(t, o).PID != cmd.Process.Pid {
		<-ended // it has seen the other one
	}
	_, err := embedded.Start(t.Context(), embedded.Options{StateDir: o.StateDir})
	var start *engine.StartError
	if !errors.As(err, &start) || start.Kind != engine.KindServed {
		t.Errorf("error %v, want kind %s", err, engine.KindServed)
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
