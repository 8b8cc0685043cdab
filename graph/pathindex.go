// Which paths belong to whom, with quick answers about what is above and below.

package graph

import (
	"iter"
	"path"
)

// pathIndex has paths with their owners. All are relative or all are absolute.
type pathIndex struct {
	at    map[string]ID   // the owner of a path itself
	under map[string]span // who has something at or below a path
}

// span is the owner of everything at or below a path, or that there are several.
type span struct {
	owner   ID
	several bool
}

func newPathIndex() *pathIndex {
	return &pathIndex{at: map[string]ID{}, under: map[string]span{}}
}

// upwards gives a path and those that contain it, up to "" or "/".
func upwards(p string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for yield(p) && p != "" && p != "/" {
			p = normalPath(path.Dir(p))
		}
	}
}

// add adds a path. If another owner has it already, it stays with that one, which is returned.
func (x *pathIndex) add(p string, owner ID) (first ID, taken bool) {
	if first, ok := x.at[p]; ok && first != owner {
		return first, true
	}
	x.at[p] = owner
	for up := range upwards(p) {
		s, ok := x.under[up]
		if !ok {
			x.under[up] = span{owner: owner}
		} else if s.owner != owner && !s.several {
			x.under[up] = span{several: true}
		}
	}
	return owner, false
}

// above returns another owner's path that contains p (or is p), if there is one.
func (x *pathIndex) above(p string, owner ID) (other string, by ID, ok bool) {
	for up := range upwards(p) {
		if by, ok := x.at[up]; ok && by != owner {
			return up, by, true
		}
	}
	return "", ID{}, false
}

// alone reports whether nobody but the owner has anything at, above or below a path.
func (x *pathIndex) alone(p string, owner ID) bool {
	if s, ok := x.under[p]; ok && (s.several || s.owner != owner) {
		return false
	}
	_, _, taken := x.above(p, owner)
	return !taken
}
