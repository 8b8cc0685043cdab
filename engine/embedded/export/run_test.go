//go:build linux

package export

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParts(t *testing.T) {
	e := newEnv(t)
	go1 := e.layer("go", []string{"bin/hello=prog 0755", "pkg/x=1"})
	tree := e.layer("npm", []string{"node_modules/a/i.js=1", "node_modules/.bin/a->../a/i.js"})
	parts := []Part{
		{Layers: []Layer{go1}, Path: "bin/hello", Dest: "bin/linux/hello"},
		{Layers: []Layer{go1}, Path: "bin/hello"},
		{Layers: []Layer{tree}, Dest: "web/app"},
		{Layers: []Layer{tree}, Path: "node_modules", Dest: "bin"},
		{Layers: []Layer{e.layer("late", []string{"i.js=2"})}, Path: ".", Dest: "bin/a"},
	}
	want := []string{"bin/", "bin/linux/", "bin/linux/hello=prog 0755", "hello=prog 0755",
		"web/", "web/app/", "web/app/node_modules/", "web/app/node_modules/a/", "web/app/node_modules/a/i.js=1",
		"web/app/node_modules/.bin/", "web/app/node_modules/.bin/a->../a/i.js",
		"bin/a/", "bin/a/i.js=2", "bin/.bin/", "bin/.bin/a->../a/i.js"}
	if _, err := e.syncParts(parts...); err != nil {
		t.Fatal(err)
	}
	e.want(want...)
	if s, err := e.syncParts(parts...); err != nil || s.Written > 0 || len(e.opened) > 0 {
		t.Fatal(s, err, e.opened)
	}
	for _, bad := range []Part{{Layers: []Layer{go1}, Path: "bin/none"}, {Layers: []Layer{go1}, Path: "../x"}, {Layers: []Layer{go1}, Dest: "/abs"}, {Layers: []Layer{go1}, Dest: "a/../../b"}} {
		_, err := e.syncParts(bad)
		var sel *SelectError
		if !errors.As(err, &sel) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	e.want(want...)
}

func TestUnsupportedFiles(t *testing.T) {
	e := newEnv(t)
	layer := e.layer("a", []string{"ok=1", "sub/"})
	if err := unix.Mkfifo(filepath.Join(e.layers, "a/sub/pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := e.sync(layer)
	var typeErr *FileTypeError
	if !errors.As(err, &typeErr) || typeErr.Path != "sub/pipe" || typeErr.Type != "a named pipe" {
		t.Fatal(err)
	}
	e.want()
}

// A layer whose directory isn't all of it is refused, so that the caller can mount it.
func TestNotSeparable(t *testing.T) {
	for _, attr := range []string{"redirect", "metacopy"} {
		e := newEnv(t)
		base := e.layer("a", []string{"f=1", "d/g=1"})
		top := e.layer("b", []string{"f=2", "d/h=1"}, "a")
		path := map[string]string{"redirect": "d", "metacopy": "f"}[attr]
		if err := unix.Setxattr(filepath.Join(e.layers, "b", path), "trusted.overlay."+attr, []byte("/x"), 0); err != nil {
			t.Skip("needs root: ", err)
		}
		if _, err := e.sync(base, top); !errors.Is(err, ErrNotSeparable) {
			t.Errorf("%s: %v", attr, err)
		}
	}
}

func TestLayerErrors(t *testing.T) {
	e := newEnv(t)
	broken := errors.New("broken")
	_, err := e.sync(Layer{ID: "x", Open: func(context.Context) (*Source, error) { return nil, broken }})
	var layerErr *LayerError
	if !errors.Is(err, broken) || !errors.As(err, &layerErr) || layerErr.Layer != "x" {
		t.Error(err)
	}
	// A store that was damaged from outside is told from a full disk, and nothing is written.
	e.mustSync(e.layer("a", []string{"f=12345"}))
	os.Remove(filepath.Join(e.dest, "f"))
	os.WriteFile(filepath.Join(e.layers, "a/f"), []byte("123"), 0o644)
	if _, err = e.sync(e.layer("a", nil)); err == nil || !strings.Contains(err.Error(), "3 bytes instead of 5") {
		t.Error(err)
	}
	e.want()
}

func TestReleaseAndCancel(t *testing.T) {
	e := newEnv(t)
	makeTree(t, mkdir(t, filepath.Join(e.layers, "a")), "f=1", "g=2")
	released := 0
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stop")
	layer := Layer{ID: "a", Open: func(context.Context) (*Source, error) {
		return &Source{Dir: filepath.Join(e.layers, "a"), Release: func() error { released++; return nil }}, nil
	}}
	req := Request{Dest: e.dest, StateDir: e.state, Parts: []Part{{Layers: []Layer{layer}}}}
	req.fault = func(op, path string) error {
		if op == "create" {
			cancel(stop)
		}
		return nil
	}
	if _, err := Sync(ctx, req); !errors.Is(err, stop) {
		t.Error(err)
	}
	if released != 1 {
		t.Errorf("released %d times", released)
	}
	e.want()
}

// A second export to one destination waits, and gives up when it is cancelled.
func TestLock(t *testing.T) {
	e := newEnv(t)
	mkdir(t, e.dest)
	dest, _ := filepath.EvalSymlinks(e.dest)
	s, err := openStore(context.Background(), e.state, dest)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	_, err = Sync(ctx, Request{Dest: e.dest, StateDir: e.state})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	time.AfterFunc(30*time.Millisecond, s.close)
	e.mustSync(e.layer("a", []string{"f=1"}))
	e.want("f=1")
}

// Destinations that don't exist any more are forgotten.
func TestForget(t *testing.T) {
	e := newEnv(t)
	e.mustSync(e.layer("a", []string{"f=1"}))
	os.RemoveAll(e.dest)
	e.dest += "2"
	e.mustSync(e.layer("a", nil))
	all, _ := os.ReadDir(e.state)
	if len(all) != 2 { // lock and manifest of the second
		t.Errorf("%v", all)
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	e := newEnv(t)
	layer := e.layer("a", []string{"d/f=1", "d/l->f", "d/ 0555"})
	e.mustSync(layer)
	e.owner = &Owner{UID: 1234, GID: 4321}
	if s := e.mustSync(layer); s.Written != 2 {
		t.Errorf("%+v", s)
	}
	os.RemoveAll(filepath.Join(e.dest, "d"))
	e.mustSync(layer)
	for _, p := range []string{"d", "d/f", "d/l"} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(e.dest, p), &st); err != nil || st.Uid != 1234 || st.Gid != 4321 {
			t.Errorf("%s: %v, %d:%d", p, err, st.Uid, st.Gid)
		}
	}
	e.want("d/ 0555", "d/f=1", "d/l->f")
	if s := e.mustSync(layer); s.Written > 0 {
		t.Errorf("%+v", s)
	}
}
