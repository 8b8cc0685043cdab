// What was written to the output directory, for the user.
package build

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/docker/go-units"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/llbgen"
)

// delivered adds up what the exports of a build did. Its methods may be called from any goroutine.
type delivered struct {
	mu    sync.Mutex
	sum   engine.Summary
	notes []string
	known bool // the engine told
}

// add counts one export to a directory.
func (d *delivered) add(dir string, r *engine.Result) {
	s, ok := engine.ParseSummary(r.Response)
	if !ok {
		return // a stock engine doesn't say
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known = true
	d.sum.Files += s.Files
	d.sum.Written += s.Written
	d.sum.Removed += s.Removed
	d.sum.Bytes += s.Bytes
	for _, note := range s.Notes {
		d.notes = append(d.notes, dir+": "+note)
	}
}

// lines are what there is to say about an output directory; nothing if it was as it should be.
func (d *delivered) lines(output string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.notes
	if d.known && d.sum.Written+d.sum.Removed > 0 {
		line := fmt.Sprintf("%s: wrote %d of %d files (%s)", filepath.Clean(output), d.sum.Written, d.sum.Files, units.HumanSize(float64(d.sum.Bytes)))
		if d.sum.Removed > 0 {
			line += fmt.Sprintf(", removed %d", d.sum.Removed)
		}
		lines = append(lines, line)
	}
	return lines
}

// deliveries says which paths of an export's directory are whose, so that the engine can tell what to
// remove when a result changes from what belongs to another one.
func (b *building) deliveries(e llbgen.Export) []engine.Delivery {
	var out []engine.Delivery
	for _, r := range e.Roots {
		d := engine.Delivery{Name: r.Name}
		if r.Path != "" && path.Clean(r.Path) != "." {
			d.Paths = []string{inExport(e, r.Dest)}
		} else {
			d.Paths = b.outputs(e, r)
		}
		out = append(out, d)
	}
	return out
}

// outputs are the paths that the root's node declares, if it is one whose outputs are declared.
func (b *building) outputs(e llbgen.Export, r graph.Root) []string {
	n, _ := b.planned.Graph.Node(r.From)
	run, ok := n.Action.(*graph.Run)
	if !ok || len(run.Outputs) == 0 {
		return []string{inExport(e, r.Dest)}
	}
	var paths []string
	for _, o := range run.Outputs {
		paths = append(paths, inExport(e, path.Join(r.Dest, o.Path)))
	}
	return paths
}

// inExport makes a destination relative to the export's directory.
func inExport(e llbgen.Export, dest string) string {
	if e.Dir == "." {
		return path.Clean(dest)
	}
	return path.Clean(strings.TrimPrefix(strings.TrimPrefix(dest, e.Dir), "/"))
}

// overlaps remarks on results that are delivered by exports of their own to paths that lie in each other:
// where both have a file of one name, whichever is written last stays.
func (b *building) overlaps(exports []llbgen.Export) []string {
	type place struct {
		path, name string
		export     int
	}
	var places []place
	for i, e := range exports {
		for _, d := range b.deliveries(e) {
			for _, p := range d.Paths {
				if p != "." && !e.Discard { // a whole directory is shared on purpose
					places = append(places, place{path.Join(e.Dir, p), d.Name, i})
				}
			}
		}
	}
	var notes []string
	for i, p := range places {
		for _, q := range places[i+1:] {
			if p.export != q.export && (strings.HasPrefix(p.path+"/", q.path+"/") || strings.HasPrefix(q.path+"/", p.path+"/")) {
				notes = append(notes, fmt.Sprintf("%s (%s) and %s (%s) go to the same place; where both have a file of one name, the last one written stays", p.path, p.name, q.path, q.name))
			}
		}
	}
	return notes
}
