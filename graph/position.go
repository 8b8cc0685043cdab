// From byte offsets to lines, and from a graph's errors to the text that it was read from.

package graph

import (
	"bytes"
	"errors"
	"sort"
)

// lineStarts returns the offset of the first byte of each line.
func lineStarts(data []byte) []int {
	starts := []int{0}
	for i := 0; ; {
		n := bytes.IndexByte(data[i:], '\n')
		if n < 0 {
			return starts
		}
		i += n + 1
		starts = append(starts, i)
	}
}

func positionAt(file string, data []byte, starts []int, offset int) Position {
	offset = min(max(offset, 0), len(data))
	line := sort.SearchInts(starts, offset+1) // the first line that starts after offset
	return Position{File: file, Line: line, Column: offset - starts[line-1] + 1}
}

// locate adds to the errors of New where their nodes and roots are written.
func locate(err error, nodes map[ID]Position, roots map[string]Position) error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range all.Unwrap() {
			out = append(out, locate(e, nodes, roots))
		}
		return errors.Join(out...)
	}
	switch e := err.(type) {
	case *Error:
		located := *e
		if located.Pos = nodes[e.Node]; e.Root != "" {
			located.Pos = roots[e.Root]
		}
		return &located
	case *ConflictError:
		pos := nodes[e.Node]
		if e.Root != "" {
			pos = roots[e.Root]
		}
		return &Error{Pos: pos, Err: e}
	case *CycleError:
		return &Error{Pos: nodes[e.IDs[0]], Err: e}
	}
	return err
}
