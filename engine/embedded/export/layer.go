//go:build linux

// Layers: what a caller hands in, and the list of what a layer changes.

package export

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Layer is one layer of a result. Layers of a part are applied in order, later ones win.
type Layer struct {
	// ID stands for the content: two layers with one ID hold the same tree, now and in every later
	// run with the same StateDir.
	ID string
	// Open makes the tree readable. It is called at most once in a run, and only if the tree is
	// needed: not for a layer whose files are all in place.
	Open func(context.Context) (*Source, error)
}

// Source is an opened layer.
type Source struct {
	// Dir is a directory that holds what the layer adds and changes.
	Dir string
	// Below are the directories of the layers that Dir was made on, lowest first. They give
	// overlay's deletions their meaning, as in BuildKit: a whiteout (character device 0/0) or an
	// opaque directory (trusted.overlay.opaque or user.overlay.opaque is "y") deletes what these
	// directories show there, and nothing else. With none there are no deletions.
	Below []string
	// Release is called once, at the end of the run; nil does nothing.
	Release func() error
}

// kind is the type of a path.
type kind uint8

const (
	kindFile   kind = iota + 1
	kindLink        // symbolic link
	kindDir         //
	kindDelete      // in layers only: the path is gone
)

func (k kind) String() string {
	return [...]string{"?", "a file", "a symbolic link", "a directory", "a deletion"}[k%5]
}

// entry is one path of a layer.
type entry struct {
	path string
	kind kind
	mode uint32 // permission bits, of files and directories
	size int64  // of files
	link string // target of symbolic links
}

// layer is a layer in use.
type layer struct {
	Layer
	entries []entry // in an order in which a directory precedes its content
	listed  bool

	mu  sync.Mutex
	src *Source
	err error
}

// open opens the layer if it isn't open yet. No file descriptor is kept: there may be more layers
// than a process may have files.
func (l *layer) open(ctx context.Context) (*Source, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.src == nil && l.err == nil {
		if l.src, l.err = l.Open(ctx); l.err != nil {
			l.src, l.err = nil, &LayerError{Layer: l.ID, Err: l.err}
		}
	}
	return l.src, l.err
}

func (l *layer) close() error {
	if l.src != nil && l.src.Release != nil {
		return l.src.Release()
	}
	return nil
}

// list fills l.entries by walking the layer.
func (l *layer) list(ctx context.Context) error {
	if l.listed {
		return nil
	}
	src, err := l.open(ctx)
	if err != nil {
		return err
	}
	fd, err := openat(unix.AT_FDCWD, src.Dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return &LayerError{Layer: l.ID, Err: err}
	}
	defer unix.Close(fd)
	w := &walker{layer: l, dir: &opener{fd: fd}, buf: make([]byte, 32<<10)}
	if len(src.Below) > 0 {
		if w.below, err = openView(src.Below); err != nil {
			return &LayerError{Layer: l.ID, Err: err}
		}
		defer w.below.close()
	}
	if err := w.walk(ctx, "", false); err != nil {
		return err
	}
	l.listed = true
	return nil
}

// walker lists a layer.
type walker struct {
	layer *layer
	dir   *opener
	below *view // nil if the layer lies on nothing
	buf   []byte
}

// walk lists the directory at path and what is below it. hidden says that overlay hides what the
// layers below have there.
func (w *walker) walk(ctx context.Context, path string, hidden bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	fd, err := w.dir.dir(path)
	if err != nil {
		return w.fail(path, err)
	}
	defer unix.Close(fd)
	list, err := names(fd, w.buf)
	if err != nil {
		return w.fail(path, err)
	}
	if w.below != nil {
		attrs, err := overlayAttrs(fd)
		if err != nil {
			return w.fail(path, err)
		}
		if hidden = hidden || attrs.opaque; hidden {
			if err := w.deletions(path, list); err != nil {
				return err
			}
		}
	}
	var dirs []string
	for _, name := range list {
		var st unix.Stat_t
		if err := lstatat(fd, name, &st); err != nil {
			return w.fail(join(path, name), err)
		}
		e := entry{path: join(path, name), mode: st.Mode & 0o777}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			e.kind, e.size = kindFile, st.Size
			if w.below != nil {
				if err := w.complete(fd, name); err != nil {
					return w.fail(e.path, err)
				}
			}
		case unix.S_IFLNK:
			e.kind, e.mode = kindLink, 0
			if e.link, err = readlinkat(fd, name, st.Size); err != nil {
				return w.fail(e.path, err)
			}
		case unix.S_IFDIR:
			e.kind = kindDir
			dirs = append(dirs, e.path)
		case unix.S_IFCHR:
			if st.Rdev != 0 {
				return &FileTypeError{Layer: w.layer.ID, Path: e.path, Type: typeName(st.Mode)}
			}
			if hidden || w.below == nil {
				continue // listed already, or it deletes nothing
			}
			if found, err := w.below.has(e.path); err != nil {
				return w.fail(e.path, err)
			} else if !found {
				continue
			}
			e = entry{path: e.path, kind: kindDelete}
		default:
			return &FileTypeError{Layer: w.layer.ID, Path: e.path, Type: typeName(st.Mode)}
		}
		w.layer.entries = append(w.layer.entries, e)
	}
	for _, d := range dirs {
		if err := w.walk(ctx, d, hidden); err != nil {
			return err
		}
	}
	return nil
}

// deletions lists what a directory hides of the layers below.
func (w *walker) deletions(path string, list []string) error {
	lower, err := w.below.names(path)
	if err != nil {
		return w.fail(path, err)
	}
	for _, name := range lower {
		gone := true
		if _, found := slices.BinarySearch(list, name); found {
			var st unix.Stat_t
			fd, err := w.dir.dir(path)
			if err != nil {
				return w.fail(path, err)
			}
			err = lstatat(fd, name, &st)
			unix.Close(fd)
			if err != nil {
				return w.fail(join(path, name), err)
			}
			gone = isWhiteout(&st)
		}
		if gone {
			w.layer.entries = append(w.layer.entries, entry{path: join(path, name), kind: kindDelete})
		}
	}
	return nil
}

// complete refuses a file whose content is in a layer below.
func (w *walker) complete(dirfd int, name string) error {
	fd, err := openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	attrs, err := overlayAttrs(fd)
	if err == nil && attrs.metacopy {
		err = ErrNotSeparable
	}
	return err
}

func (w *walker) fail(path string, err error) error {
	return &LayerError{Layer: w.layer.ID, Path: path, Err: err}
}
