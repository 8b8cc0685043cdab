//go:build linux

// Reading the directory of a layer, and writing the directory of a snapshot.

package assemble

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/continuity/sysx"
	"golang.org/x/sys/unix"
)

// errUnusual is something that BuildKit handles and this package doesn't.
var errUnusual = errors.New("the layer isn't one of plain files")

// readLayer lists a directory that is the whole content of a snapshot.
func readLayer(dir string) (layer, error) {
	var l layer
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket|fs.ModeIrregular) != 0 {
			return errUnusual
		}
		e := &entry{path: strings.TrimPrefix(filepath.ToSlash(name), filepath.ToSlash(dir)+"/"), source: name,
			mode: info.Mode(), uid: st.Uid, gid: st.Gid, mtime: info.ModTime()}
		if d.IsDir() {
			if e.xattrs, err = dirXattrs(name); err != nil {
				return err
			}
		}
		l = append(l, e)
		return nil
	})
	return l, err
}

// dirXattrs is empty for nearly all directories.
func dirXattrs(dir string) (string, error) {
	names, err := sysx.LListxattr(dir)
	if errors.Is(err, unix.ENOTSUP) {
		return "", nil
	}
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		v, err := sysx.LGetxattr(dir, n)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%q %q\n", n, v)
	}
	return b.String(), err
}

// writer fills the upper directory of a snapshot.
type writer struct {
	upper string
	to    manifest
	made  map[string]bool // directories that are in upper
	dirs  []*entry        // the same, in order
}

// apply makes a difference in a new snapshot.
func apply(upper string, d difference, to manifest) error {
	w := &writer{upper: upper, to: to, made: map[string]bool{".": true}}
	for _, p := range d.removed {
		if err := w.parent(p); err != nil {
			return err
		}
		// A whiteout, as overlayfs makes it.
		if err := unix.Mknod(w.place(p), unix.S_IFCHR, 0); err != nil {
			return &fs.PathError{Op: "mknod", Path: w.place(p), Err: err}
		}
	}
	for _, e := range d.changed {
		if e.isDir() {
			if err := w.dir(e.path); err != nil {
				return err
			}
			continue
		}
		if err := w.parent(e.path); err != nil {
			return err
		}
		if err := os.Link(e.source, w.place(e.path)); err != nil {
			return err
		}
	}
	return w.setTimes()
}

func (w *writer) place(p string) string { return filepath.Join(w.upper, filepath.FromSlash(p)) }

func (w *writer) parent(p string) error { return w.dir(path.Dir(p)) }

// dir makes a directory as the merge has it, and those around it.
func (w *writer) dir(p string) error {
	if w.made[p] {
		return nil
	}
	if err := w.parent(p); err != nil {
		return err
	}
	e := w.to[p]
	if e == nil || !e.isDir() {
		return fmt.Errorf("%s: %w", p, errUnusual) // a layer that has a file without its directory
	}
	name := w.place(p)
	if err := os.Mkdir(name, 0o700); err != nil {
		return err
	}
	if e.uid != 0 || e.gid != 0 {
		if err := os.Chown(name, int(e.uid), int(e.gid)); err != nil {
			return err
		}
	}
	if err := copyXattrs(e, name); err != nil {
		return err
	}
	if err := os.Chmod(name, e.mode); err != nil {
		return err
	}
	w.made[p] = true
	w.dirs = append(w.dirs, e)
	return nil
}

func copyXattrs(e *entry, name string) error {
	if e.xattrs == "" {
		return nil
	}
	names, err := sysx.LListxattr(e.source)
	if err != nil {
		return err
	}
	for _, n := range names {
		v, err := sysx.LGetxattr(e.source, n)
		if err == nil {
			err = sysx.LSetxattr(name, n, v, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setTimes gives directories the times of those that they stand for, once nothing is made in them
// any more.
func (w *writer) setTimes() error {
	for _, e := range slices.Backward(w.dirs) {
		if err := os.Chtimes(w.place(e.path), time.Time{}, e.mtime); err != nil {
			return err
		}
	}
	return nil
}
