//go:build linux

// Planning: comparing the wanted tree with the destination. Nothing is changed here.

package export

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mergefest/mergefest/engine"
)

// item is something to write: a file or link, or a directory with all that is in it.
type item struct {
	path  string
	n     *node
	mount place
	clear clearing
	stage *stage
	name  string // in the staging directory
}

// clearing is what has to go before an item can be renamed to its place.
type clearing int

const (
	clearNothing clearing = iota // nothing is there, or the rename replaces it
	clearFile
	clearDir // its content is gone by then
)

// chmod sets the mode of a file or directory.
type chmod struct {
	path string
	n    *node
	mode uint32
}

// place is a file system inside the destination.
type place struct {
	path string // the topmost directory on it
	dev  uint64
}

// plan decides about every path of the tree and of the manifest.
func (r *run) plan(ctx context.Context) error {
	err := runPool(ctx, r.req.Workers, func(p *pool) {
		p.add(func() error { return r.planDir(ctx, p, "", r.tree, place{}) })
	})
	if err != nil {
		return err
	}
	r.sortOut()
	if !slices.Equal(r.oldIDs, r.layersUsed()) {
		r.dirty = true
	}
	slices.SortFunc(r.items, func(a, b *item) int { return strings.Compare(a.path, b.path) })
	for _, it := range r.items {
		r.total += countFiles(it.n)
	}
	r.tree.walk("", func(_ string, n *node) {
		if n.kind != kindDir {
			r.sum.Files++
		}
	})
	r.sum.Unchanged = r.sum.Files - r.total
	return nil
}

func layerIDs(layers []*layer) []string {
	ids := make([]string, len(layers))
	for i, l := range layers {
		ids[i] = l.ID
	}
	return ids
}

func countFiles(n *node) int {
	if n.kind != kindDir {
		return 1
	}
	count := 0
	for _, kid := range n.kids {
		count += countFiles(kid)
	}
	return count
}

// planDir decides about the content of a directory that exists.
func (r *run) planDir(ctx context.Context, p *pool, path string, n *node, above place) error {
	fd, err := r.root.dir(path)
	if err != nil {
		return r.openError(path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := fstat(fd, &st); err != nil {
		return &WriteError{Op: "stat", Path: r.abs(path), Err: err}
	}
	if err := r.checkPlace(fd, path, &st, above); err != nil {
		return err
	}
	here := above
	if path == "" || st.Dev != above.dev {
		here = place{path: path, dev: st.Dev}
		if err := r.sweepStages(fd, path); err != nil {
			return err
		}
	}
	r.planOwnDir(path, n, &st)
	for _, name := range n.sorted() {
		if err := r.planKid(ctx, p, fd, join(path, name), name, n.kids[name], here); err != nil {
			return err
		}
	}
	return nil
}

// checkPlace compares a directory with what whoever asked sees there.
func (r *run) checkPlace(fd int, path string, st *unix.Stat_t, above place) error {
	if r.req.Places == nil {
		return nil
	}
	for _, p := range r.req.Places {
		if p.Path == path && samePlace(p, st) {
			return nil
		} else if p.Path == path {
			return &PlaceError{Path: r.abs(path)}
		}
	}
	if st.Dev == above.dev {
		return nil
	}
	// Another device may be a subvolume, which everybody sees. A mount is one that only we see.
	var sx unix.Statx_t
	err := retry(func() error { return unix.Statx(fd, "", unix.AT_EMPTY_PATH, 0, &sx) })
	if err == nil && sx.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return &PlaceError{Path: r.abs(path)}
	}
	return nil
}

func samePlace(p engine.Place, st *unix.Stat_t) bool { return p.Dev == st.Dev && p.Ino == st.Ino }

// planOwnDir corrects the mode of a directory if an export made it. The mode of a directory that
// was there before, and of the destination itself, is the user's.
func (r *run) planOwnDir(path string, n *node, st *unix.Stat_t) {
	n.rec.stat.ino = st.Ino
	rec := r.old[path]
	if rec == nil {
		if path != "" {
			r.setDirty()
		}
		return
	}
	rec.seen = true
	n.rec.made = rec.made && rec.kind == kindDir
	if rec.kind != kindDir || rec.stat.ino != st.Ino || rec.mode != n.mode || !r.sameSource(rec, n) || rec.owner != r.owners.of(path) {
		r.setDirty()
	}
	if n.rec.made && st.Mode&0o777 != n.mode {
		r.mu.Lock()
		r.chmods = append(r.chmods, &chmod{path: path, n: n, mode: n.mode})
		r.mu.Unlock()
	}
}

func (r *run) setDirty() {
	r.mu.Lock()
	r.dirty = true
	r.mu.Unlock()
}

// planKid decides about one path in an existing directory.
func (r *run) planKid(ctx context.Context, p *pool, dirfd int, path, name string, n *node, here place) error {
	var st unix.Stat_t
	err := lstatat(dirfd, name, &st)
	if errors.Is(err, unix.ENOENT) {
		r.addItem(&item{path: path, n: n, mount: here})
		return nil
	} else if err != nil {
		return &WriteError{Op: "stat", Path: r.abs(path), Err: err}
	}
	rec := r.old[path]
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case n.kind == kindDir && isDir:
		p.add(func() error { return r.planDir(ctx, p, path, n, here) })
		return nil
	case n.kind == kindDir:
		if !r.mayReplace(rec, &st) {
			return r.conflict(path, &st, n)
		}
		r.addItem(&item{path: path, n: n, mount: here, clear: clearFile})
		return nil
	case isDir:
		if rec == nil || rec.kind == kindDir && !rec.made {
			return r.conflict(path, &st, n)
		}
		if err := r.clearable(dirfd, name, path, n); err != nil {
			return err
		}
		r.addItem(&item{path: path, n: n, mount: here, clear: clearDir})
		return nil
	}
	same, err := r.sameFile(ctx, dirfd, name, path, n, rec, &st)
	if err != nil {
		return err
	}
	if !same {
		r.addItem(&item{path: path, n: n, mount: here})
	}
	return nil
}

// mayReplace says whether a file or link may make room for a directory. A link that somebody put
// there is no accident (a directory that lives on another disk, say), so it is never replaced.
func (r *run) mayReplace(rec *record, st *unix.Stat_t) bool {
	if rec == nil {
		return false
	}
	return st.Mode&unix.S_IFMT != unix.S_IFLNK || rec.kind == kindLink && rec.stat == statOf(st)
}

// clearable checks that a directory holds only what an export wrote.
func (r *run) clearable(dirfd int, name, path string, n *node) error {
	fd, err := openat(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return r.openError(path, err)
	}
	defer unix.Close(fd)
	list, err := names(fd, make([]byte, 8192))
	if err != nil {
		return &WriteError{Op: "list", Path: r.abs(path), Err: err}
	}
	for _, kid := range list {
		var st unix.Stat_t
		at := join(path, kid)
		if err := lstatat(fd, kid, &st); err != nil {
			return &WriteError{Op: "stat", Path: r.abs(at), Err: err}
		}
		if !removable(r.old[at], &st) {
			return &ConflictError{Dest: r.dest.path, Path: at, Have: typeName(st.Mode) + " that no export wrote", Want: n.kind.String() + " at " + path}
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			if err := r.clearable(fd, kid, at, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// removable says whether what is at a record's path may be removed as that export's: a file or
// link where it wrote one, edited or not, and a directory that it made.
func removable(rec *record, st *unix.Stat_t) bool {
	if rec == nil {
		return false
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFLNK:
		return rec.kind != kindDir
	case unix.S_IFDIR:
		return rec.kind == kindDir && rec.made
	}
	return false
}

func (r *run) addItem(it *item) {
	r.mu.Lock()
	r.items = append(r.items, it)
	r.dirty = true
	r.mu.Unlock()
	if rec := r.old[it.path]; rec != nil && it.clear == clearNothing {
		rec.seen = true
	}
}

func (r *run) conflict(path string, st *unix.Stat_t, n *node) error {
	return &ConflictError{Dest: r.dest.path, Path: path, Have: typeName(st.Mode), Want: n.kind.String()}
}

// openError explains why a directory of the destination can't be opened.
func (r *run) openError(path string, err error) error {
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return &ConflictError{Dest: r.dest.path, Path: path, Have: "now something else", Want: "a directory"}
	}
	return &WriteError{Op: "open", Path: r.abs(path), Err: err}
}
