//go:build linux

// What is where in a merge, and the difference of two merges. Pure data.

package assemble

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// entry is a file, symbolic link or directory of a layer.
type entry struct {
	path   string // relative, with slashes
	source string // on this machine
	mode   fs.FileMode
	uid    uint32
	gid    uint32
	mtime  time.Time
	xattrs string // of a directory: names and values, to compare
}

func (e *entry) isDir() bool { return e.mode.IsDir() }

// same says that an entry need not be made again where the other one is.
func (e *entry) same(o *entry) bool {
	if e == o {
		return true
	}
	if e.isDir() != o.isDir() {
		return false
	}
	if !e.isDir() {
		return e.source == o.source
	}
	return e.mode == o.mode && e.uid == o.uid && e.gid == o.gid && e.xattrs == o.xattrs
}

// layer is the content of one snapshot, parents before what they hold.
type layer []*entry

// manifest says which entry is at each path of a merge.
type manifest map[string]*entry

// merge applies layers in order, as BuildKit does: a later entry replaces an earlier one, and
// directories are joined.
func merge(layers []layer) manifest {
	n := 0
	for _, l := range layers {
		n += len(l)
	}
	m := make(manifest, n)
	for _, l := range layers {
		for _, e := range l {
			if old := m[e.path]; old != nil && old.isDir() && !e.isDir() {
				m.removeBelow(e.path)
			}
			m[e.path] = e
		}
	}
	return m
}

func (m manifest) removeBelow(dir string) {
	prefix := dir + "/"
	for p := range m {
		if strings.HasPrefix(p, prefix) {
			delete(m, p)
		}
	}
}

// difference is what has to be done to one merge to get another.
type difference struct {
	removed []string // without what is below another one, or below what is no directory any more
	changed []*entry // parents first
}

func (d difference) size() int { return len(d.removed) + len(d.changed) }

// diff compares. The paths of both lists are sorted.
func diff(from, to manifest) difference {
	var d difference
	for p := range from {
		if to[p] != nil {
			continue
		}
		dir := path.Dir(p)
		if up := to[dir]; dir == "." || up != nil && up.isDir() && from[dir] != nil && from[dir].isDir() {
			d.removed = append(d.removed, p)
		}
	}
	for p, e := range to {
		if old := from[p]; old == nil || !e.same(old) {
			d.changed = append(d.changed, e)
		}
	}
	slices.Sort(d.removed)
	slices.SortFunc(d.changed, func(a, b *entry) int { return strings.Compare(a.path, b.path) })
	return d
}
