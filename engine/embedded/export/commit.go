//go:build linux

// Committing: the part of a run that changes what is visible. It only removes, renames and
// changes modes.

package export

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// commit carries the plan out. It can't be cancelled: half of it helps nobody, and it is short.
func (r *run) commit() error {
	if len(r.items)+len(r.chmods)+len(r.remove) > 0 {
		if err := r.saveState(".intent", r.manifest()); err != nil {
			return err
		}
		c := &committer{run: r, fd: -1, opened: map[string]bool{}}
		err := c.apply()
		c.close()
		if err != nil {
			return err
		}
	}
	if !r.dirty {
		return nil
	}
	if err := r.saveState(".manifest", r.manifest()); err != nil {
		return err
	}
	if err := r.removeIntent(); err != nil {
		return err
	}
	if r.first {
		r.store.sweep()
	}
	return nil
}

// committer keeps the directory open in which it works.
type committer struct {
	*run
	path   string
	fd     int // -1: none
	opened map[string]bool
}

func (c *committer) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}

// enter opens a directory of the destination. It never goes through a symbolic link, whatever
// somebody has put there since the plan was made.
func (c *committer) enter(path string) (int, error) {
	if c.fd >= 0 && c.path == path {
		return c.fd, nil
	}
	c.close()
	fd, err := c.root.dir(path)
	if err != nil {
		return -1, err
	}
	c.path, c.fd = path, fd
	return fd, nil
}

// unlock lets the owner change a directory whose mode forbids it; the mode is set again in the end.
func (c *committer) unlock(path string, fd int) error {
	rec := c.old[path]
	if c.opened[path] || rec == nil || !rec.made || rec.mode&0o300 == 0o300 {
		return nil
	}
	c.opened[path] = true
	if n := c.tree.find(path); n != nil && n.kind == kindDir {
		c.later = append(c.later, &chmod{path: path, n: n, mode: n.mode})
	}
	return retry(func() error { return unix.Fchmod(fd, rec.mode|0o700) })
}

func (c *committer) apply() error {
	for _, rec := range slices.Backward(c.remove) { // content before its directory
		if err := c.removeOne(rec); err != nil {
			return &WriteError{Op: "remove", Path: c.abs(rec.path), Err: err}
		}
	}
	for _, it := range c.items {
		if err := c.place(it); err != nil {
			return &WriteError{Op: "put in place", Path: c.abs(it.path), Err: err}
		}
	}
	// Directories that lose their execute bit come after what is in them.
	modes := append(slices.Clone(c.chmods), c.later...)
	slices.SortStableFunc(modes, func(a, b *chmod) int {
		switch {
		case a.path > b.path:
			return -1
		case a.path < b.path:
			return 1
		}
		return 0
	})
	for _, m := range modes {
		if err := c.setMode(m); err != nil {
			return &WriteError{Op: "change the mode of", Path: c.abs(m.path), Err: err}
		}
	}
	return nil
}

// removeOne removes what an earlier export wrote and the result no longer has. What isn't there,
// or was replaced by something else, or holds files of others, stays.
func (c *committer) removeOne(rec *record) error {
	if rec.kind == kindDir && !rec.made {
		return nil
	}
	if err := c.step("unlink", rec.path); err != nil {
		return err
	}
	dir, name := split(rec.path)
	fd, err := c.enter(dir)
	if isGone(err) || errors.Is(err, unix.ELOOP) {
		return nil
	} else if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := lstatat(fd, name, &st); isGone(err) {
		return nil
	} else if err != nil {
		return err
	}
	if !removable(rec, &st) {
		return nil
	}
	if err := c.unlock(dir, fd); err != nil {
		return err
	}
	flags := 0
	if rec.kind == kindDir {
		flags = unix.AT_REMOVEDIR
	}
	err = retry(func() error { return unix.Unlinkat(fd, name, flags) })
	switch {
	case err == nil && rec.kind != kindDir:
		c.sum.Removed++
	case isGone(err), rec.kind == kindDir && (errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST)):
		return nil
	}
	return err
}

func isGone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) }

// place renames a staged item to where it belongs.
func (c *committer) place(it *item) error {
	dir, name := split(it.path)
	fd, err := c.enter(dir)
	if err != nil {
		return err
	}
	if err := c.unlock(dir, fd); err != nil {
		return err
	}
	if it.clear != clearNothing {
		if err := c.step("unlink", it.path); err != nil {
			return err
		}
		flags := 0
		if it.clear == clearDir {
			flags = unix.AT_REMOVEDIR
		}
		err := retry(func() error { return unix.Unlinkat(fd, name, flags) })
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	if err := c.step("rename", it.path); err != nil {
		return err
	}
	if err := retry(func() error { return unix.Renameat(it.stage.fd, it.name, fd, name) }); err != nil {
		return err
	}
	if it.n.kind == kindDir {
		return nil
	}
	var st unix.Stat_t
	if err := lstatat(fd, name, &st); err != nil { // renaming changed the ctime
		return err
	}
	if st.Ino == it.n.rec.stat.ino {
		it.n.rec.stat = statOf(&st)
	}
	return nil
}

func (c *committer) setMode(m *chmod) error {
	if err := c.step("chmod", m.path); err != nil {
		return err
	}
	dir, name := split(m.path)
	parent, err := c.enter(dir)
	if err != nil {
		return err
	}
	// O_PATH would refuse fchmod, and opening a file for reading may not be allowed: so by name,
	// after looking that it isn't a link.
	var st unix.Stat_t
	if err := lstatat(parent, name, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.ELOOP
	}
	if err := fchmodat(parent, name, m.mode); err != nil {
		return err
	}
	if m.n.kind == kindDir {
		return nil
	}
	if err := lstatat(parent, name, &st); err != nil {
		return err
	}
	m.n.rec.stat = statOf(&st)
	return nil
}
