// Rules for the paths in a graph. They are slash-separated and independent of the host.

package graph

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/mergefest/mergefest/graph/action"
)

func compareString(a, b string) int { return strings.Compare(a, b) }

// checkText refuses what can't be an argument or a name of a file everywhere, and what JSON can't
// carry.
func checkText(s string) error {
	switch {
	case !utf8.ValidString(s):
		return fmt.Errorf("%q isn't valid UTF-8", s)
	case strings.ContainsRune(s, 0):
		return fmt.Errorf("%q contains a NUL byte", s)
	}
	return nil
}

// checkRelative accepts a clean relative path that stays inside; "" is all of it, if that's allowed.
func checkRelative(p string, all bool) error {
	switch {
	case p == "" && all:
		return nil
	case p == "" || p == ".":
		return errors.New("a path is needed")
	case path.IsAbs(p):
		return fmt.Errorf("%q is absolute; it must be relative", p)
	case p == ".." || strings.HasPrefix(p, "../"):
		return fmt.Errorf("%q leads outside", p)
	case path.Clean(p) != p:
		return fmt.Errorf("%q isn't clean; write %q", p, path.Clean(p))
	}
	return checkText(p)
}

// checkAbsolute accepts a clean absolute path other than "/".
func checkAbsolute(p string) error {
	switch {
	case !path.IsAbs(p):
		return fmt.Errorf("%q must be absolute", p)
	case path.Clean(p) != p:
		return fmt.Errorf("%q isn't clean; write %q", p, path.Clean(p))
	case p == "/":
		return errors.New(`"/" isn't possible here; use the base for a root file system`)
	}
	return checkText(p)
}

// below reports whether p is dir or below it. Both are clean; "" (relative) contains everything.
func below(p, dir string) bool {
	if dir == "" || p == dir {
		return true
	}
	return strings.HasPrefix(p, dir) && p[len(dir)] == '/'
}

// reserved are the places of a container that an action can't use for its inputs.
func reserved(p string) error {
	for _, dir := range []string{action.OutDir, "/proc", "/sys", "/dev"} {
		if below(p, dir) || below(dir, p) {
			return fmt.Errorf("%q is reserved: it touches %s", p, dir)
		}
	}
	if first, _, _ := strings.Cut(p[1:], "/"); strings.HasPrefix(first, ".mergefest") {
		return fmt.Errorf("%q is reserved for the helper", p)
	}
	return nil
}

// pathSet finds paths that are made twice, and files that would have to be directories too.
type pathSet map[string]claim

type claim struct {
	by   string // what makes it; empty for a directory that others need
	file bool
}

// add claims a path; a directory may have other paths below it.
func (s pathSet) add(p, by string, file bool) error {
	if old, taken := s[p]; taken {
		switch {
		case old.by != "":
			return fmt.Errorf("%q is made twice, by %s and by %s", p, old.by, by)
		case file:
			return fmt.Errorf("%q is a file, but others are below it", p)
		}
	}
	for parent := path.Dir(p); parent != "." && parent != "/"; parent = path.Dir(parent) {
		old, taken := s[parent]
		if old.file {
			return fmt.Errorf("%q can't be below %q, which is a file", p, parent)
		}
		if taken {
			break
		}
		s[parent] = claim{}
	}
	s[p] = claim{by: by, file: file}
	return nil
}
