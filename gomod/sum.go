// go.sum: the hashes of module zips and go.mod files.
package gomod

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// Error is a fault in one of the files, with its place.
type Error struct {
	File string // as given to the parser
	Line int    // from 1; 0 if the whole file is meant
	Msg  string
	Hint string // what to do; may be empty
}

func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, e.Line)
	}
	s += ": " + e.Msg
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Errors are all the faults that a file has, in the order of their places.
type Errors []*Error

func (l Errors) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each one.
func (l Errors) Unwrap() []error {
	out := make([]error, len(l))
	for i, e := range l {
		out[i] = e
	}
	return out
}

// Sums are the lines of one or more go.sum files. The zero value has none.
type Sums struct {
	// File is the name of the first file, for messages.
	File string
	// zip and mod hold the hashes of a version's zip and of its go.mod. There can be several for
	// one version; only those of an algorithm that this package knows (h1) count.
	zip, mod map[module.Version][]string
}

// ParseSum reads a go.sum. A fault is of type Errors.
func ParseSum(file string, data []byte) (*Sums, error) {
	s := &Sums{File: file, zip: map[module.Version][]string{}, mod: map[module.Version][]string{}}
	var errs Errors
	n := 0
	for line := range bytes.Lines(data) {
		n++
		f := strings.Fields(string(line))
		if len(f) == 0 {
			continue
		}
		if len(f) != 3 {
			errs = append(errs, &Error{File: file, Line: n, Msg: fmt.Sprintf("malformed line: wrong number of fields %d, want 3", len(f)),
				Hint: "if a merge left it so, remove the line and run: go mod tidy"})
			continue
		}
		m := module.Version{Path: f[0], Version: f[1]}
		v, isMod := strings.CutSuffix(m.Version, "/go.mod")
		m.Version = v
		if err := module.Check(m.Path, m.Version); err != nil {
			errs = append(errs, &Error{File: file, Line: n, Msg: err.Error()})
			continue
		}
		if !strings.HasPrefix(f[2], "h1:") {
			continue // an algorithm of the future; the go command ignores it too
		}
		to := s.zip
		if isMod {
			to = s.mod
		}
		if !slices.Contains(to[m], f[2]) {
			to[m] = append(to[m], f[2])
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return s, nil
}

// Add takes the lines of another file, go.work.sum for instance.
func (s *Sums) Add(other *Sums) {
	if s.zip == nil {
		s.zip, s.mod = map[module.Version][]string{}, map[module.Version][]string{}
	}
	for _, p := range []struct{ to, from map[module.Version][]string }{{s.zip, other.zip}, {s.mod, other.mod}} {
		for m, hashes := range p.from {
			for _, h := range hashes {
				if !slices.Contains(p.to[m], h) {
					p.to[m] = append(p.to[m], h)
				}
			}
		}
	}
}

// Zip gives the hash of a version's zip: the first that go.sum has, as cmd/go's modfetch.Sum.
// It is empty if there is none.
func (s *Sums) Zip(m module.Version) string { return first(s.zip[m]) }

// Mod gives the hash of a version's go.mod, or an empty string.
func (s *Sums) Mod(m module.Version) string { return first(s.mod[m]) }

func first(hashes []string) string {
	if len(hashes) == 0 {
		return ""
	}
	return hashes[0]
}

// modules lists the keys of m in order.
func modules(m map[module.Version][]string) []module.Version {
	out := make([]module.Version, 0, len(m))
	for v := range m {
		out = append(out, v)
	}
	module.Sort(out)
	return out
}
