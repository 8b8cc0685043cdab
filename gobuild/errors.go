// Errors of loading and planning: each has a place, a cause and what to do.
package gobuild

import (
	"fmt"
	"sort"
	"strings"
)

// LoadError is a mistake in the user's files.
type LoadError struct {
	Package string // import path; empty if the error isn't about one
	Pos     string // "file:line:col" or "file:line"; may be empty
	Msg     string
	// Chain leads from a package that the user named to Package: "a imports b".
	Chain []string
	Hint  string // what to do; may be empty
}

func (e *LoadError) Error() string {
	var b strings.Builder
	if e.Pos != "" {
		b.WriteString(e.Pos + ": ")
	} else if e.Package != "" && !strings.Contains(e.Msg, e.Package) {
		b.WriteString(e.Package + ": ")
	}
	b.WriteString(e.Msg)
	if len(e.Chain) > 2 { // the position says who imports it
		b.WriteString("\n\timported by way of " + strings.Join(e.Chain, " → "))
	}
	if e.Hint != "" {
		b.WriteString("\n\t" + e.Hint)
	}
	return b.String()
}

// LoadErrors are all the mistakes of a load, in the order of their places.
type LoadErrors []*LoadError

func (l LoadErrors) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each one.
func (l LoadErrors) Unwrap() []error {
	out := make([]error, len(l))
	for i, e := range l {
		out[i] = e
	}
	return out
}

// Unsupported is something that the go command builds and this package doesn't.
type Unsupported struct {
	Package string // import path; empty if the whole build is concerned
	File    string // the file that needs it; empty for a flag
	Line    int    // 0 if unknown
	Feature string // "cgo", "-race"
	Hint    string // what to do instead
}

func (u *Unsupported) Error() string {
	var b strings.Builder
	if u.File != "" {
		b.WriteString(u.File)
		if u.Line > 0 {
			fmt.Fprintf(&b, ":%d", u.Line)
		}
		b.WriteString(": ")
	}
	if u.Package != "" {
		b.WriteString(u.Package + ": ")
	}
	b.WriteString(u.Feature + " is not supported")
	if u.Hint != "" {
		b.WriteString("; " + u.Hint)
	}
	return b.String()
}

// UnsupportedList is every reason for which a build is refused.
type UnsupportedList []*Unsupported

func (l UnsupportedList) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each one.
func (l UnsupportedList) Unwrap() []error {
	out := make([]error, len(l))
	for i, e := range l {
		out[i] = e
	}
	return out
}

// err gives nil for an empty list, and sorts.
func (l UnsupportedList) err() error {
	if len(l) == 0 {
		return nil
	}
	sort.SliceStable(l, func(i, j int) bool {
		if l[i].Package != l[j].Package {
			return l[i].Package < l[j].Package
		}
		return l[i].File < l[j].File
	})
	return l
}

// UsageError is a flag or argument that the go command would refuse as well.
type UsageError struct{ Msg string }

func (e *UsageError) Error() string { return e.Msg }

func usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }
