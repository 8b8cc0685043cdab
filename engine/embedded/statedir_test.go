package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded"
	"github.com/mergefest/mergefest/internal/testengine"
)

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
	reserve, err := os.Stat(filepath.Join(o.StateDir, "engine", "reserve"))
	if err != nil || reserve.Size() == 0 {
		t.Fatalf("the reserve: %v, %v", reserve, err)
	}
	_, err = solve(t, e, tool, tool.Op([]string{"fill", "/out/f", "100"}))
	var full *engine.DiskFullError
	if !errors.As(err, &full) || full.Dir != o.StateDir || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %#v, want a *DiskFullError", err)
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 64<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk isn't full: %v", err)
	}
	if _, err := engine.GC(context.Background(), o, engine.GCRequest{All: true}); err != nil {
		t.Errorf("GC on a disk that is full to the last byte: %v", err)
	}
	if info, err := os.Stat(filepath.Join(o.StateDir, "engine", "reserve")); err == nil && os.SameFile(info, reserve) {
		t.Error("the reserve wasn't spent")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
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

// TestMountedLater mounts a file system in the output directory after the engine was started, in a
// place whose mounts aren't passed on to other namespaces. The engine sees what is below.
func TestMountedLater(t *testing.T) {
	o := daemon(t)
	dir := t.TempDir()
	mount(t, "tmpfs", dir, 0, "")
	if err := syscall.Mount("", dir, "", syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	inner := filepath.Join(out, "d")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	e := openDaemon(t, o)
	for _, at := range []string{inner, out} {
		mount(t, "tmpfs", at, 0, "")
		files := llb.Scratch().File(llb.Mkdir("/d", 0o755).Mkfile("/d/f", 0o644, []byte("text")))
		_, err := e.Solve(t.Context(), engine.Request{Definition: testengine.Marshal(t, files), Output: &engine.Output{Dir: out}})
		if err == nil || !strings.Contains(err.Error(), at+":") || !strings.Contains(err.Error(), "mergefest engine stop") {
			t.Errorf("a mount at %s: %v", at, err)
		}
	}
	for _, at := range []string{out, inner} {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(inner); err != nil || len(left) > 0 {
		t.Errorf("below the mounts: %v, %v", left, err)
	}
	files := llb.Scratch().File(llb.Mkfile("/f", 0o644, []byte("text")))
	if _, err := e.Solve(t.Context(), engine.Request{Definition: testengine.Marshal(t, files), Output: &engine.Output{Dir: out}}); err != nil {
		t.Errorf("without the mounts: %v", err)
	}
}

// TestOutputOnFullDisk blames the output's disk, not the engine's.
func TestOutputOnFullDisk(t *testing.T) {
	e := testengine.Start(t)
	out := t.TempDir()
	mount(t, "tmpfs", out, 0, "size=64k")
	files := llb.Scratch().File(llb.Mkfile("/f", 0o644, make([]byte, 1<<20)))
	_, err := e.Solve(t.Context(), engine.Request{Definition: testengine.Marshal(t, files), Output: &engine.Output{Dir: out}})
	var full *engine.DiskFullError
	if err == nil || errors.As(err, &full) || !strings.Contains(err.Error(), filepath.Join(out, "f")) {
		t.Errorf("error %v", err)
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
