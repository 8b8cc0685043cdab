//go:build linux

// Whose a path is: a destination can hold several results, each with paths of its own.

package export

import (
	"slices"
	"strings"

	"github.com/mergefest/mergefest/engine"
)

// owners finds the result that a path of the wanted tree belongs to.
type owners struct {
	names  []string       // of this export's results; the first one has what nothing else covers
	byPath map[string]int // index in names
}

func newOwners(results []engine.Delivery) owners {
	o := owners{byPath: map[string]int{}}
	for _, res := range results {
		i := o.index(res.Name)
		for _, path := range res.Paths {
			if path, ok := cleanPath(path); ok {
				o.byPath[path] = i
			}
		}
	}
	if len(o.names) == 0 {
		o.names = []string{""}
	}
	return o
}

func (o *owners) index(name string) int {
	if i := slices.Index(o.names, name); i >= 0 {
		return i
	}
	o.names = append(o.names, name)
	return len(o.names) - 1
}

// of returns the name of the result that covers a path most closely.
func (o *owners) of(path string) string {
	for len(o.names) > 1 {
		if i, ok := o.byPath[path]; ok {
			return o.names[i]
		}
		if path == "" {
			break
		}
		path, _ = split(path)
	}
	return o.names[0]
}

// sortOut decides about the paths that earlier exports wrote and the result doesn't have: those of the
// results that this export delivers go, and so does what is in the way. Those of other results are
// carried over, with the directories that hold them.
func (r *run) sortOut() {
	cleared := map[string]bool{}
	for _, it := range r.items {
		if it.clear != clearNothing {
			cleared[it.path] = true
		}
	}
	for i := range r.recs {
		rec := &r.recs[i]
		rec.carried = !rec.seen && !slices.Contains(r.owners.names, rec.owner) && !inTheWay(cleared, rec.path)
	}
	for i := range r.recs {
		if rec := &r.recs[i]; rec.carried {
			for dir, _ := split(rec.path); dir != ""; dir, _ = split(dir) {
				if up := r.old[dir]; up != nil && !up.seen {
					up.carried = true
				}
			}
		}
	}
	for i := range r.recs {
		if rec := &r.recs[i]; !rec.seen && !rec.carried {
			r.remove = append(r.remove, rec)
			r.dirty = true
		}
	}
}

// inTheWay says whether a path, or a directory that it is in, has to go.
func inTheWay(cleared map[string]bool, path string) bool {
	for len(cleared) > 0 && path != "" {
		if cleared[path] {
			return true
		}
		path, _ = split(path)
	}
	return false
}

// carry adds the records of other results to a manifest, and what it takes to know them again.
func (r *run) carry(m *manifest) {
	index := map[string]int{}
	for i, l := range m.layers {
		index[l.id] = i
	}
	for i := range r.recs {
		rec := r.recs[i]
		if !rec.carried {
			continue
		}
		if rec.layer >= 0 {
			id := r.oldIDs[rec.layer]
			at, ok := index[id]
			if !ok {
				at = len(m.layers)
				index[id] = at
				m.layers = append(m.layers, listing{id: id, entries: r.listing[id]})
			}
			rec.layer = at
		}
		m.recs = append(m.recs, rec)
	}
	slices.SortFunc(m.recs, func(a, b record) int { return strings.Compare(a.path, b.path) })
}

// layersUsed lists the layers that the manifest will name.
func (r *run) layersUsed() []string {
	ids := layerIDs(r.order)
	seen := map[string]bool{}
	for _, id := range ids {
		seen[id] = true
	}
	for i := range r.recs {
		if rec := &r.recs[i]; rec.carried && rec.layer >= 0 {
			if id := r.oldIDs[rec.layer]; !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids
}
