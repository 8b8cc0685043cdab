// Package receive writes a result that an engine sends as a tar archive to a directory. It is for engines
// that can't write there themselves.
//
// BuildKit's local exporter sends every file as a conversation of its own over one connection, which
// can stand still for ever where a result has thousands of files: either side waits for the other to read. An
// archive goes one way.
//
// Nothing visible changes before the whole archive has arrived: new content is written to a staging
// directory in the destination, and renamed to its place in the end (Commit). A file that has the content
// already is left alone. What isn't in the archive stays. No path and no link leads out of the destination
// (os.Root), and owners, times and extended attributes aren't carried over.
package receive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// stagePrefix begins the names of staging directories.
const stagePrefix = ".mergefest-stage-"

// Counts says what was done. Files are regular files and symbolic links.
type Counts struct {
	Files     int // in the result
	Written   int // created or replaced
	Unchanged int // left alone: they were as wanted
	Bytes     int64
}

// Receiver takes one archive. Its methods are for one goroutine.
type Receiver struct {
	root  *os.Root
	stage string
	lock  *os.File // in the staging directory, held by flock while it is in use
	sum   Counts

	dirs   []made
	files  []made
	links  []made // symbolic
	copies []made // hard links of the archive: files of their own here
	modes  []made
	kinds  map[string]byte // what the archive has, by path
}

// made is a path that Commit makes or changes.
type made struct {
	path   string
	mode   fs.FileMode
	target string // of a link, the staged name of a file, or the path that a copy is of
}

// ConflictError is something in the destination that is in the way.
type ConflictError struct {
	Path       string
	Have, Want string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s is %s, and the result has %s there; move it away, or name another output directory", e.Path, e.Have, e.Want)
}

// Open begins to receive into a directory that exists.
func Open(dir string) (_ *Receiver, err error) {
	r := &Receiver{kinds: map[string]byte{}}
	if r.root, err = os.OpenRoot(dir); err != nil {
		return nil, err
	}
	r.sweep()
	stage, err := os.MkdirTemp(dir, stagePrefix)
	if err != nil {
		r.root.Close()
		return nil, err
	}
	r.stage = filepath.Base(stage)
	if r.lock, err = os.Create(filepath.Join(stage, "lock")); err == nil {
		err = syscall.Flock(int(r.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// sweep removes the staging directories of clients that were killed. It does what it can.
func (r *Receiver) sweep() {
	entries, err := fs.ReadDir(r.root.FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), stagePrefix) {
			continue
		}
		f, err := r.root.Open(path.Join(e.Name(), "lock"))
		if err != nil {
			continue // the embedded engine's, which looks after its own
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			r.root.RemoveAll(e.Name())
		}
		f.Close()
	}
}

// Close removes the staging directory.
func (r *Receiver) Close() error {
	err := r.root.RemoveAll(r.stage)
	if r.lock != nil {
		r.lock.Close()
	}
	return errors.Join(err, r.root.Close())
}

// Read takes the archive and prepares what Commit does. It changes nothing that is visible.
func (r *Receiver) Read(archive io.Reader) error {
	tr := tar.NewReader(archive)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			_, err := io.Copy(io.Discard, archive)
			return err
		}
		if err != nil {
			return fmt.Errorf("the archive that the engine sent: %w", err)
		}
		if err := r.entry(h, tr); err != nil {
			return err
		}
	}
}

func (r *Receiver) entry(h *tar.Header, content io.Reader) error {
	name := path.Clean(h.Name)
	if name == "." {
		return nil
	}
	if !fs.ValidPath(name) || strings.HasPrefix(name, stagePrefix) {
		return fmt.Errorf("the archive that the engine sent has the path %q", h.Name)
	}
	mode := fs.FileMode(h.Mode & 0o777)
	have, err := r.root.Lstat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		have = nil
	}
	isDir := h.Typeflag == tar.TypeDir
	if have != nil && have.IsDir() != isDir {
		return &ConflictError{Path: filepath.Join(r.root.Name(), name), Have: kindOf(have.Mode()), Want: kindOf(h.FileInfo().Mode())}
	}
	r.kinds[name] = h.Typeflag
	switch h.Typeflag {
	case tar.TypeDir:
		if have == nil {
			r.dirs = append(r.dirs, made{path: name, mode: mode})
		}
		return nil
	case tar.TypeReg:
		return r.file(name, mode, h.Size, have, content)
	case tar.TypeSymlink:
		r.sum.Files++
		if have != nil && have.Mode()&fs.ModeSymlink != 0 {
			if target, err := r.root.Readlink(name); err == nil && target == h.Linkname {
				r.sum.Unchanged++
				return nil
			}
		}
		r.links = append(r.links, made{path: name, target: h.Linkname})
		return nil
	case tar.TypeLink:
		from := path.Clean(h.Linkname)
		if r.kinds[from] != tar.TypeReg && r.kinds[from] != tar.TypeLink {
			return fmt.Errorf("the archive that the engine sent has %q as a link to %q, which isn't a file before it", h.Name, h.Linkname)
		}
		r.sum.Files++
		r.copies = append(r.copies, made{path: name, mode: mode, target: from})
		return nil
	}
	return fmt.Errorf("%s is neither a file, nor a directory, nor a link: it can't be delivered to a directory", name)
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode.IsRegular():
		return "a file"
	}
	return "something else"
}

// file compares the content with what is there as it comes, and writes it to the staging directory from
// where it begins to differ.
func (r *Receiver) file(name string, mode fs.FileMode, size int64, have fs.FileInfo, content io.Reader) error {
	r.sum.Files++
	var old *os.File
	if have != nil && have.Mode().IsRegular() && have.Size() == size {
		var err error
		if old, err = r.root.Open(name); err == nil {
			defer old.Close()
		}
	}
	same := int64(0)
	var rest io.Reader = content
	if old != nil {
		n, differs, err := common(old, content)
		if err != nil {
			return err
		}
		if differs == nil && n == size {
			r.sum.Unchanged++
			if have.Mode().Perm() != mode {
				r.modes = append(r.modes, made{path: name, mode: mode})
			}
			return nil
		}
		same, rest = n, io.MultiReader(bytes.NewReader(differs), content)
	}
	staged := path.Join(r.stage, strconv.Itoa(len(r.files)))
	out, err := r.root.OpenFile(staged, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if same > 0 {
		_, err = io.Copy(out, io.NewSectionReader(old, 0, same))
	}
	if err == nil {
		_, err = io.Copy(out, rest)
	}
	if err == nil {
		err = out.Chmod(mode)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	r.files = append(r.files, made{path: name, target: staged})
	r.sum.Written++
	r.sum.Bytes += size
	return nil
}

// common reads both as long as they are the same. differs is what was read of the new content that the
// old one doesn't have there.
func common(old, content io.Reader) (same int64, differs []byte, err error) {
	a, b := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, err := io.ReadFull(content, a)
		if n > 0 {
			if m, _ := io.ReadFull(old, b[:n]); !bytes.Equal(a[:n], b[:m]) {
				return same, slices.Clone(a[:n]), nil
			}
			same += int64(n)
		}
		switch {
		case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
			return same, nil, nil
		case err != nil:
			return same, nil, err
		}
	}
}
