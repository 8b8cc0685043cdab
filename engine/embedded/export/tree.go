//go:build linux

// The wanted tree: layers laid over each other, parts put in their places.

package export

import (
	"maps"
	"slices"
	"strings"
)

// Part is a piece of the result. Parts are applied in order, later ones win; what a layer deletes,
// it deletes in its own part only.
type Part struct {
	Layers []Layer
	// Path selects a file or directory of the layers' union; "" or "." is all of it.
	Path string
	// Dest is where the selected thing goes, relative to the destination. A directory's content is
	// joined with what is there, for a file it is the file's own path. "" or "." is the top.
	Dest string
}

// node is a path of the wanted tree.
type node struct {
	kind kind
	mode uint32
	size int64
	link string
	from *layer // nil for directories that only lead to a part's Dest
	src  string // the path in from
	kids map[string]*node

	// Set while planning and staging:
	rec   record // what the manifest will say
	mount bool   // a directory on another file system than its parent's
}

func newDir() *node { return &node{kind: kindDir, mode: 0o755} }

func (n *node) put(name string, kid *node) {
	if n.kids == nil {
		n.kids = map[string]*node{}
	}
	n.kids[name] = kid
}

// sorted lists the names of a directory in order.
func (n *node) sorted() []string { return slices.Sorted(maps.Keys(n.kids)) }

// find returns the node at a relative path, or nil.
func (n *node) find(path string) *node {
	if path == "" {
		return n
	}
	for name := range strings.SplitSeq(path, "/") {
		if n = n.kids[name]; n == nil {
			return nil
		}
	}
	return n
}

// apply lays a listed layer over the tree.
func (n *node) apply(l *layer) {
	lastDir, parent := "", n
	for i := range l.entries {
		e := &l.entries[i]
		dir, name := split(e.path)
		if dir != lastDir {
			lastDir, parent = dir, n.find(dir)
		}
		if parent == nil || parent.kind != kindDir {
			continue // a deletion below something that an earlier entry replaced
		}
		switch old := parent.kids[name]; {
		case e.kind == kindDelete:
			delete(parent.kids, name)
		case e.kind == kindDir && old != nil && old.kind == kindDir:
			old.mode, old.from, old.src = e.mode, l, e.path
		default:
			parent.put(name, &node{kind: e.kind, mode: e.mode, size: e.size, link: e.link, from: l, src: e.path})
		}
	}
}

// graft joins another tree into the directory or file at path.
func (n *node) graft(path string, t *node) {
	if path == "" && t.kind == kindDir {
		n.join(t)
		return
	}
	dir, name := split(path)
	at := n
	if dir != "" {
		for elem := range strings.SplitSeq(dir, "/") {
			kid := at.kids[elem]
			if kid == nil || kid.kind != kindDir {
				kid = newDir()
				at.put(elem, kid)
			}
			at = kid
		}
	}
	if old := at.kids[name]; old != nil && old.kind == kindDir && t.kind == kindDir {
		old.join(t)
		return
	}
	at.put(name, t)
}

// join lays the directory t over the directory n.
func (n *node) join(t *node) {
	n.mode, n.from, n.src = t.mode, t.from, t.src
	for name, kid := range t.kids { // the order doesn't matter: the names are distinct
		if old := n.kids[name]; old != nil && old.kind == kindDir && kid.kind == kindDir {
			old.join(kid)
			continue
		}
		n.put(name, kid)
	}
}

// walk calls f for everything below n, parents first, in order of name.
func (n *node) walk(path string, f func(path string, n *node)) {
	for _, name := range n.sorted() {
		kid, p := n.kids[name], join(path, name)
		f(p, kid)
		if kid.kind == kindDir {
			kid.walk(p, f)
		}
	}
}

// cleanPath makes "" of "." and checks that a path is relative and has no "..".
func cleanPath(path string) (string, bool) {
	if path == "" || path == "." {
		return "", true
	}
	for elem := range strings.SplitSeq(path, "/") {
		if elem == "" || elem == "." || elem == ".." {
			return "", false
		}
	}
	return path, !strings.ContainsRune(path, 0)
}
