// Package place writes files into an output directory and nowhere else.
//
// Everything goes through os.Root and one path element at a time, so that neither "..", nor an
// absolute path, nor a symbolic link that an archive made can lead outside. The result depends on
// the caller's arguments alone: not on the process's umask, the clock, or the order of concurrent
// writers. Owners are those of the calling process.
//
// Every file, link and directory gets the modification time Time. It is the one that npm gives to
// the files of its packages: unlike zero it can be stored in a zip (not before 1980) and isn't
// taken for "unset".
package place

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
)

// Time is the modification time of everything, in seconds since 1970: 1985-10-26T08:15:00Z.
const Time = 499162500

// DirMode is the mode of directories, whatever an archive says about them.
const DirMode fs.FileMode = 0o755

// ConflictError means that a path is wanted twice, or as two different things.
type ConflictError struct {
	Path   string // relative to the output
	Reason string
}

func (e *ConflictError) Error() string { return e.Path + ": " + e.Reason }

// Output is a directory that is being filled. It may be used by several Writers at once.
type Output struct {
	root  *os.Root
	umask fs.FileMode

	mu   sync.Mutex
	dirs map[string]bool // every directory that was made or written to
}

// Open opens an existing directory.
func Open(dir string) (*Output, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the output directory: %w", err)
	}
	return &Output{root: root, umask: umask(), dirs: map[string]bool{".": true}}, nil
}

// Root is the directory itself, for looking at what was written.
func (o *Output) Root() *os.Root { return o.root }

// Close releases the directory. It is not an error to leave out Finish before, when the content is
// not wanted any more.
func (o *Output) Close() error { return o.root.Close() }

// Finish sets the times of the directories. All Writers must be closed.
func (o *Output) Finish() error {
	dirs := make([]string, 0, len(o.dirs))
	for d := range o.dirs {
		dirs = append(dirs, d)
	}
	slices.Sort(dirs)
	w := o.writer(nil)
	defer w.Close()
	for _, d := range dirs {
		if d == "." {
			continue
		}
		l, name, err := w.parent(strings.Split(d, "/"))
		if err != nil {
			return err
		}
		if err := l.setTime(name); err != nil {
			return fmt.Errorf("set the time of %s: %w", d, err)
		}
	}
	f, err := o.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return setFileTime(f)
}

func (o *Output) note(dir string) {
	o.mu.Lock()
	o.dirs[dir] = true
	o.mu.Unlock()
}

// Writer makes directories, files and links below one directory of an Output. It keeps the
// directories of the last path open, since an archive lists the files of a directory together.
// It is not safe for concurrent use; an Output can have many Writers.
type Writer struct {
	out   *Output
	base  []string
	stack []*level // stack[0] is the output itself, always there
}

// level is an open directory.
type level struct {
	name string
	root *os.Root
	self *os.File // the same directory, opened when a time is to be set below it
}

// Writer returns a writer whose paths are relative to base, which is made on demand. base is a
// clean relative path ("." for the output itself); see Split.
func (o *Output) Writer(base string) (*Writer, error) {
	elems, err := Split(base)
	if err != nil {
		return nil, err
	}
	return o.writer(elems), nil
}

func (o *Output) writer(base []string) *Writer {
	return &Writer{out: o, base: base, stack: []*level{{root: o.root}}}
}

// Close releases the open directories.
func (w *Writer) Close() {
	w.pop(1)
	if l := w.stack[0]; l.self != nil {
		l.self.Close()
		l.self = nil
	}
}

func (w *Writer) pop(n int) {
	for _, l := range w.stack[n:] {
		if l.self != nil {
			l.self.Close()
		}
		l.root.Close()
	}
	w.stack = w.stack[:n]
}

// parent opens (and makes) the directory that holds elems, which is relative to the output.
func (w *Writer) parent(elems []string) (*level, string, error) {
	dir := elems[:len(elems)-1]
	same := 0
	for same < len(dir) && same+1 < len(w.stack) && w.stack[same+1].name == dir[same] {
		same++
	}
	w.pop(same + 1)
	for i := same; i < len(dir); i++ {
		if err := w.push(dir[:i+1]); err != nil {
			return nil, "", err
		}
	}
	return w.stack[len(w.stack)-1], elems[len(elems)-1], nil
}

// push opens the last element of dir below the top of the stack.
func (w *Writer) push(dir []string) error {
	top, name := w.stack[len(w.stack)-1], dir[len(dir)-1]
	if err := w.makeDir(top, name, dir); err != nil {
		return err
	}
	root, err := top.root.OpenRoot(name)
	if err != nil {
		return err
	}
	w.stack = append(w.stack, &level{name: name, root: root})
	return nil
}

// makeDir makes one directory, or finds it there. A link to a directory is not one.
func (w *Writer) makeDir(top *level, name string, full []string) error {
	err := top.root.Mkdir(name, DirMode)
	if err == nil && w.out.umask&DirMode != 0 {
		err = top.root.Chmod(name, DirMode)
	}
	if errors.Is(err, fs.ErrExist) {
		var fi fs.FileInfo
		if fi, err = top.root.Lstat(name); err == nil && !fi.IsDir() {
			err = &ConflictError{Join(full), "is a directory and " + kind(fi.Mode())}
		}
	}
	if err == nil {
		w.out.note(Join(full))
	}
	return err
}

func kind(m fs.FileMode) string {
	switch m.Type() {
	case 0:
		return "a file"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeDir:
		return "a directory"
	}
	return "a special file"
}

// full is a path relative to the output.
func (w *Writer) full(elems []string) []string { return append(slices.Clip(w.base), elems...) }

// locate opens the parent of a path relative to the writer's base.
func (w *Writer) locate(elems []string) (*level, string, error) {
	full := w.full(elems)
	if len(full) == 0 {
		return nil, "", &ConflictError{".", "the output itself is a directory"}
	}
	return w.parent(full)
}

// exists turns EEXIST into a ConflictError that says what is in the way.
func (w *Writer) exists(err error, l *level, name string, elems []string, want string) error {
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	reason := "is written twice"
	if fi, serr := l.root.Lstat(name); serr == nil && kind(fi.Mode()) != want {
		reason = "is " + want + " and " + kind(fi.Mode())
	}
	return &ConflictError{Join(w.full(elems)), reason}
}
