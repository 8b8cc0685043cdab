// Paths as lists of elements: checked once, joined never.

package place

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Linux's own limits, checked here for the sake of the message.
const (
	maxPath    = 4095
	maxElement = 255
)

// PathError is a path that can't name something inside a directory.
type PathError struct {
	Path   string
	Reason string
}

func (e *PathError) Error() string { return fmt.Sprintf("path %q %s", e.Path, e.Reason) }

// Split checks a relative, slash-separated path and returns its elements; "." and empty elements
// are dropped, so "." itself has none. Refused with a *PathError are absolute paths, "..", NUL,
// anything that isn't UTF-8 (it can't travel through the engine's protocols), and what is longer
// than Linux allows. Names that differ only by case or Unicode form are different names, as they
// are on every file system that results are kept on; a backslash is an ordinary character.
func Split(path string) ([]string, error) {
	switch {
	case strings.HasPrefix(path, "/"):
		return nil, &PathError{path, "is absolute"}
	case strings.ContainsRune(path, 0):
		return nil, &PathError{path, "has a NUL byte"}
	case !utf8.ValidString(path):
		return nil, &PathError{path, "is not UTF-8"}
	case len(path) > maxPath:
		return nil, &PathError{path[:64] + "…", fmt.Sprintf("has %d bytes; the limit is %d", len(path), maxPath)}
	}
	elems := make([]string, 0, strings.Count(path, "/")+1)
	for e := range strings.SplitSeq(path, "/") {
		switch {
		case e == "" || e == ".":
		case e == "..":
			return nil, &PathError{path, `has an element ".."`}
		case len(e) > maxElement:
			return nil, &PathError{path, fmt.Sprintf("has an element of %d bytes; the limit is %d", len(e), maxElement)}
		default:
			elems = append(elems, e)
		}
	}
	return elems, nil
}

// Join is the inverse of Split.
func Join(elems []string) string {
	if len(elems) == 0 {
		return "."
	}
	return strings.Join(elems, "/")
}

// Inside reports whether a symbolic link at the given place, with the given target, stays below
// the directory that elems is relative to. Beyond staying inside as text, the target may have ".."
// at its beginning only: "a/.." isn't the directory of a where a is a link. With that rule every
// step of a path through such links stays inside, also once other links are laid beside them.
func Inside(elems []string, target string) bool {
	if target == "" || strings.HasPrefix(target, "/") || strings.ContainsRune(target, 0) ||
		len(target) > maxPath || !utf8.ValidString(target) {
		return false
	}
	up, down := len(elems)-1, false
	for e := range strings.SplitSeq(target, "/") {
		switch e {
		case "", ".":
		case "..":
			if up--; up < 0 || down {
				return false
			}
		default:
			down = true
		}
	}
	return true
}
