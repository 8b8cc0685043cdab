// What a Writer can make: files, links, directories.

package place

import (
	"fmt"
	"io/fs"
	"os"
)

// Create makes a new file of the given permission bits for writing. The caller writes it and calls
// Done. A path that exists is a *ConflictError, as it is for the other methods.
func (w *Writer) Create(elems []string, mode fs.FileMode) (*os.File, error) {
	l, name, err := w.locate(elems)
	if err != nil {
		return nil, err
	}
	mode &= fs.ModePerm
	f, err := l.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return nil, w.exists(err, l, name, elems, "a file")
	}
	if mode&w.out.umask != 0 {
		if err := f.Chmod(mode); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// Done sets the time of a file that Create made, and closes it.
func Done(f *os.File) error {
	err := setFileTime(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// File makes a file with the given content.
func (w *Writer) File(elems []string, mode fs.FileMode, data []byte) error {
	f, err := w.Create(elems, mode)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	return Done(f)
}

// Symlink makes a symbolic link. Nothing is known about where its target leads; see Inside.
func (w *Writer) Symlink(elems []string, target string) error {
	l, name, err := w.locate(elems)
	if err != nil {
		return err
	}
	if err := l.root.Symlink(target, name); err != nil {
		return w.exists(err, l, name, elems, "a symbolic link")
	}
	return l.setTime(name)
}

// Link makes a second name of a regular file that is there already.
func (w *Writer) Link(elems, target []string) error {
	// The parents are opened first, so that they exist and are no links when os.Root resolves them.
	for _, e := range [][]string{target, elems} {
		if _, _, err := w.locate(e); err != nil {
			return err
		}
	}
	from, to := Join(w.full(target)), Join(w.full(elems))
	fi, err := w.out.root.Lstat(from)
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return &ConflictError{from, "is the target of a hard link and " + kind(fi.Mode())}
	}
	err = w.out.root.Link(from, to)
	if err == nil {
		return nil
	}
	l, name, lerr := w.locate(elems)
	if lerr != nil {
		return lerr
	}
	return w.exists(err, l, name, elems, "a file")
}

// Dir makes a directory and its parents; one that is there already is fine.
func (w *Writer) Dir(elems []string) error {
	full := w.full(elems)
	if len(full) == 0 {
		return nil
	}
	l, name, err := w.parent(full)
	if err != nil {
		return err
	}
	return w.makeDir(l, name, full)
}

// Chmod sets the permission bits of a file or directory that is not a symbolic link.
func (w *Writer) Chmod(elems []string, mode fs.FileMode) error {
	l, name, err := w.locate(elems)
	if err != nil {
		return err
	}
	fi, err := l.root.Lstat(name)
	if err != nil {
		return err
	}
	if fi.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s: the mode of a symbolic link can't be set", Join(elems))
	}
	return l.root.Chmod(name, mode&fs.ModePerm)
}

// Mode returns the permission bits of a path.
func (w *Writer) Mode(elems []string) (fs.FileMode, error) {
	l, name, err := w.locate(elems)
	if err != nil {
		return 0, err
	}
	fi, err := l.root.Lstat(name)
	if err != nil {
		return 0, err
	}
	return fi.Mode(), nil
}

// Remove removes a file or link.
func (w *Writer) Remove(elems []string) error {
	l, name, err := w.locate(elems)
	if err != nil {
		return err
	}
	return l.root.Remove(name)
}
