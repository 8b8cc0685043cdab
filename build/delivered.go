// What was written to the output directory, for the user.
package build

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/docker/go-units"

	"github.com/mergefest/mergefest/engine"
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
