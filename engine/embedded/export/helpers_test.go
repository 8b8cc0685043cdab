//go:build linux

package export

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/mergefest/mergefest/engine"
)

// A tree is written as one string for each path:
//
//	"dir/"            directory 0755       "dir/ 0700"
//	"file=content"    regular file 0644    "file=content 0755"
//	"link->target"    symbolic link
//	"!path"           whiteout (layers only)
//	"dir/!"           opaque directory (layers only)
//
// Parents are made as needed.
func makeTree(t testing.TB, dir string, spec ...string) string {
	t.Helper()
	for _, s := range spec {
		makePath(t, dir, s)
	}
	return dir
}

func makePath(t testing.TB, dir, s string) {
	t.Helper()
	mode := os.FileMode(0)
	if i := strings.LastIndex(s, " 0"); i >= 0 {
		fmt.Sscanf(s[i+1:], "%o", &mode)
		s = s[:i]
	}
	var err error
	at := func(p string) string {
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		return p
	}
	switch name, content, file := strings.Cut(s, "="); {
	case strings.HasPrefix(s, "!"):
		err = unix.Mknod(at(s[1:]), unix.S_IFCHR, 0)
	case strings.HasSuffix(s, "/!"):
		p := at(s[:len(s)-2])
		os.Mkdir(p, 0o755)
		err = unix.Setxattr(p, "trusted.overlay.opaque", []byte("y"), 0)
	case strings.HasSuffix(s, "/"):
		p := at(s)
		os.Mkdir(filepath.Clean(p), 0o755)
		if mode == 0 {
			mode = 0o755
		}
		err = os.Chmod(p, mode)
	case file:
		p := at(name)
		if mode == 0 {
			mode = 0o644
		}
		os.Remove(p)
		if err = os.WriteFile(p, []byte(content), mode); err == nil {
			err = os.Chmod(p, mode)
		}
	default:
		name, target, _ := strings.Cut(s, "->")
		p := at(name)
		os.Remove(p)
		err = os.Symlink(target, p)
	}
	if err != nil {
		t.Fatal(s, err)
	}
}

// showTree describes a directory in the same way, in order, with every mode that isn't the usual
// one.
func showTree(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := ""
		switch {
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(p)
			list = append(list, rel+"->"+target)
			return err
		case d.IsDir():
			if info.Mode().Perm() != 0o755 {
				mode = fmt.Sprintf(" %#o", info.Mode().Perm())
			}
			list = append(list, rel+"/"+mode)
		case d.Type().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			if info.Mode() != 0o644 {
				mode = fmt.Sprintf(" %#o", info.Mode())
			}
			list = append(list, rel+"="+string(data)+mode)
		default:
			list = append(list, rel+"="+info.Mode().Type().String())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// env is a destination and a state directory.
type env struct {
	t       testing.TB
	dest    string
	state   string
	layers  string
	opened  []string // IDs of layers that were opened in the last export
	fault   func(op, path string) error
	owner   *Owner
	results []engine.Delivery
}

func newEnv(t testing.TB) *env { return newEnvIn(t, t.TempDir()) }

// newFastEnv is newEnv on a file system in memory where there is one, for tests of many exports.
func newFastEnv(t testing.TB) *env {
	dir, err := os.MkdirTemp("/dev/shm", "export-test-")
	if err != nil {
		return newEnv(t)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return newEnvIn(t, dir)
}

func newEnvIn(t testing.TB, dir string) *env {
	e := &env{t: t, dest: filepath.Join(dir, "out"), state: filepath.Join(dir, "state"), layers: filepath.Join(dir, "layers")}
	if err := os.MkdirAll(e.layers, 0o755); err != nil {
		t.Fatal(err)
	}
	return e
}

// layer makes a layer; below are the layers of its own chain.
func (e *env) layer(id string, spec []string, below ...string) Layer {
	dir := filepath.Join(e.layers, id)
	if _, err := os.Lstat(dir); err != nil {
		os.MkdirAll(dir, 0o755)
		makeTree(e.t, dir, spec...)
	}
	var dirs []string
	for _, b := range below {
		dirs = append(dirs, filepath.Join(e.layers, b))
	}
	return e.dirLayer(id, dir, dirs...)
}

func (e *env) dirLayer(id, dir string, below ...string) Layer {
	return Layer{ID: id, Open: func(context.Context) (*Source, error) {
		e.opened = append(e.opened, id) // one layer at a time, in these tests
		return &Source{Dir: dir, Below: below}, nil
	}}
}

func (e *env) sync(layers ...Layer) (Summary, error) {
	return e.syncParts(Part{Layers: layers})
}

func (e *env) syncParts(parts ...Part) (Summary, error) {
	e.opened = nil
	return Sync(context.Background(), Request{Dest: e.dest, Parts: parts, StateDir: e.state, Workers: 1, Owner: e.owner, Results: e.results, fault: e.fault})
}

func (e *env) mustSync(layers ...Layer) Summary {
	e.t.Helper()
	s, err := e.sync(layers...)
	if err != nil {
		e.t.Fatal(err)
	}
	return s
}

func (e *env) want(spec ...string) {
	e.t.Helper()
	slices.Sort(spec)
	if diff := cmp.Diff(spec, showTree(e.t, e.dest)); diff != "" {
		e.t.Fatalf("destination differs (- wanted, + found):\n%s", diff)
	}
}

// inodes tells which files of the destination were replaced.
func (e *env) inodes() map[string]uint64 {
	m := map[string]uint64{}
	filepath.WalkDir(e.dest, func(p string, d fs.DirEntry, err error) error {
		var st unix.Stat_t
		if unix.Lstat(p, &st) == nil && !d.IsDir() {
			rel, _ := filepath.Rel(e.dest, p)
			m[rel] = st.Ino
		}
		return nil
	})
	return m
}

func changed(a, b map[string]uint64) []string {
	var list []string
	for _, p := range slices.Sorted(maps.Keys(b)) {
		if ino, ok := a[p]; !ok || ino != b[p] {
			list = append(list, p)
		}
	}
	return list
}
