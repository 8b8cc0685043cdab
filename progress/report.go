// The report: what a build did, node by node, as JSON for programs. See docs/report.md.

package progress

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/mergefest/mergefest/graph"
)

// ReportVersion is the version of the report's format that WriteFile writes and ReadReport reads.
const ReportVersion = 1

// Report is what a build did. Its JSON form is documented in docs/report.md.
type Report struct {
	Version int          `json:"version"`
	Totals  Totals       `json:"totals"`
	Nodes   []NodeReport `json:"nodes"` // in canonical order; nodes that weren't reached are left out
	// Error is why the build failed; empty if it succeeded.
	Error string `json:"error,omitempty"`
}

// NodeReport is one node of a report.
type NodeReport struct {
	ID        graph.ID `json:"-"`
	Text      string   `json:"id"` // ID.String()
	Ecosystem string   `json:"ecosystem"`
	Kind      string   `json:"kind"`
	Package   string   `json:"package"`
	Status    string   `json:"status"` // "cached", "executed" or "failed"
	// Start and End are by the engine's clock, RFC 3339 with nanoseconds, in UTC. They are absent
	// if the node's action didn't run.
	Start *time.Time `json:"start,omitempty"`
	End   *time.Time `json:"end,omitempty"`
	// Bytes were transferred for the node, as far as the engine tells.
	Bytes int64 `json:"bytes"`
}

// Report returns the report. Call it after Finish: before, nodes that the engine hasn't touched
// are left out.
func (t *Tracker) Report() *Report {
	totals := t.Totals()
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &Report{Version: ReportVersion, Totals: totals, Nodes: []NodeReport{}}
	for _, n := range t.nodes {
		if n.state == Pending || n.state == Running {
			continue
		}
		nr := NodeReport{
			ID: n.ID, Text: n.label,
			Ecosystem: n.ID.Ecosystem, Kind: n.ID.Kind, Package: n.ID.Package,
			Status: n.state.String(), Bytes: n.bytes,
		}
		if start, end, ok := n.span(); ok && n.state != Cached {
			start, end = start.UTC(), end.UTC()
			nr.Start, nr.End = &start, &end
		}
		for _, v := range n.vertices {
			for _, b := range v.loaded {
				nr.Bytes += b
			}
		}
		r.Nodes = append(r.Nodes, nr)
	}
	return r
}

// WriteTo writes the report as indented JSON with a newline at the end.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return 0, err
	}
	n, err := w.Write(append(b, '\n'))
	return int64(n), err
}

// WriteFile writes the report to a file, which it replaces at once or not at all. The error is a
// *ReportError.
func (r *Report) WriteFile(path string) error {
	if err := r.writeFile(path); err != nil {
		return &ReportError{Path: path, Verb: "write", Err: err}
	}
	return nil
}

func (r *Report) writeFile(path string) (err error) {
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() {
		// A device or a pipe (/dev/stdout) can't be replaced.
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = r.WriteTo(f)
		return errors.Join(err, f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if _, err := r.WriteTo(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Chmod(0o644); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// ReadReport reads a report. A report of another version or with an unknown form is an error.
func ReadReport(rd io.Reader) (*Report, error) {
	var r Report
	if err := json.NewDecoder(rd).Decode(&r); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if r.Version != ReportVersion {
		return nil, fmt.Errorf("report: version %d, but this program reads version %d", r.Version, ReportVersion)
	}
	for i := range r.Nodes {
		id, err := graph.ParseID(r.Nodes[i].Text)
		if err != nil {
			return nil, fmt.Errorf("report: node %d: %w", i+1, err)
		}
		r.Nodes[i].ID = id
	}
	return &r, nil
}

// ReportError says that a report couldn't be written.
type ReportError struct {
	Path string
	Verb string
	Err  error
}

func (e *ReportError) Error() string {
	cause := e.Err
	var pe *os.PathError
	if errors.As(e.Err, &pe) {
		cause = pe.Err // the temporary file's name says nothing to the user
	}
	return fmt.Sprintf("cannot %s the report %s: %v; give --report a file in a directory that exists and is writable", e.Verb, e.Path, cause)
}

// Unwrap returns the cause.
func (e *ReportError) Unwrap() error { return e.Err }
