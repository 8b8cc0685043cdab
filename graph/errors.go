// The typed errors of the package.

package graph

import (
	"fmt"
	"strings"
)

// Position is a place in a text, JSON or other file. The zero Position is "nowhere".
type Position struct {
	File   string // as the caller named it; may be empty
	Line   int    // from 1
	Column int    // from 1, in bytes
}

// String returns "file:line:column".
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.File == "":
		return fmt.Sprintf("%d:%d", p.Line, p.Column)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Error is one reason why something isn't a valid graph.
type Error struct {
	Pos   Position // where it is written, if it was read from a notation
	Node  ID       // the node, or the zero ID
	Root  string   // the root's name, if it is about a root
	Field string   // the part of the node or root: "run.mounts[2].target"
	Err   error    // the cause and what to do
}

func (e *Error) Error() string {
	var parts []string
	if p := e.Pos.String(); p != "" {
		parts = append(parts, p)
	}
	if e.Node != (ID{}) {
		parts = append(parts, "node "+e.Node.String())
	}
	if e.Root != "" {
		parts = append(parts, fmt.Sprintf("root %q", e.Root))
	}
	if e.Field != "" {
		parts = append(parts, e.Field)
	}
	return strings.Join(append(parts, e.Err.Error()), ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// IDError says that a text isn't a node's printed ID.
type IDError struct {
	Text string
	Err  error
}

func (e *IDError) Error() string { return fmt.Sprintf("%q isn't a node's name: %v", e.Text, e.Err) }

// Unwrap returns the cause.
func (e *IDError) Unwrap() error { return e.Err }

// MissingError says that a node or root refers to a node that isn't there.
type MissingError struct{ ID ID }

func (e *MissingError) Error() string {
	return fmt.Sprintf("refers to the node %s, which isn't in the graph", e.ID)
}

// CycleError says that nodes depend on each other. IDs is the whole cycle: each needs the next
// one, and the last one needs the first. It begins with its smallest ID.
type CycleError struct{ IDs []ID }

func (e *CycleError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the graph has a cycle of %d nodes:\n\t%s", len(e.IDs), e.IDs[0])
	for _, id := range e.IDs[1:] {
		fmt.Fprintf(&b, "\n\tneeds %s", id)
	}
	fmt.Fprintf(&b, "\n\tneeds %s", e.IDs[0])
	return b.String()
}

// ConflictError says that two different nodes (or roots) have the same name.
type ConflictError struct {
	Node ID
	Root string // set for roots
	// Field is the first part in which they differ.
	Field string
}

func (e *ConflictError) Error() string {
	what := "node " + e.Node.String()
	if e.Root != "" {
		what = fmt.Sprintf("root %q", e.Root)
	}
	return fmt.Sprintf("%s is defined twice, differently: they differ in %s", what, e.Field)
}

// SyntaxError says that a text isn't in the notation that it should be in.
type SyntaxError struct {
	Pos  Position
	Node string // the node that it is part of, as it is written there; may be empty
	Err  error
}

func (e *SyntaxError) Error() string {
	pos := e.Pos.String()
	if e.Node != "" {
		return fmt.Sprintf("%s: node %s: %v", pos, e.Node, e.Err)
	}
	return fmt.Sprintf("%s: %v", pos, e.Err)
}

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Err }

// RootError says that a selection names a root or platform that isn't there.
type RootError struct {
	Name string   // the name or platform asked for
	Have []string // what there is, sorted
}

func (e *RootError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("no root matches %q: the graph has no roots", e.Name)
	}
	have := e.Have
	more := ""
	if len(have) > 10 {
		have, more = have[:10], fmt.Sprintf(" and %d more", len(e.Have)-10)
	}
	return fmt.Sprintf("no root matches %q; there are: %s%s", e.Name, strings.Join(have, ", "), more)
}
