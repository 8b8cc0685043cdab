package npm

// Workspaces: the patterns in package.json, and the directories that they match.

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// findWorkspaces maps each workspace's name to its directory, relative to dir.
func findWorkspaces(fsys fs.FS, dir string, pkg *document) (map[string]string, error) {
	patterns, negated, err := workspacePatterns(pkg)
	if err != nil || len(patterns) == 0 {
		return nil, err
	}
	sub, err := fs.Sub(fsys, dir)
	if err != nil {
		return nil, pkg.errorIn(&Error{Reason: Malformed, Err: err, Msg: "cannot list workspaces"}, "workspaces")
	}
	dirs := map[string]bool{}
	for _, p := range patterns {
		if err := globDirs(sub, p, dirs); err != nil {
			return nil, pkg.errorIn(&Error{Reason: Malformed, Err: err, Msg: fmt.Sprintf("cannot match the workspace pattern %q", p)}, "workspaces")
		}
	}
	found := map[string]string{}
	var errs Errors
	for _, d := range sortedKeys(dirs) {
		if matchesAny(negated, d) {
			continue
		}
		if ok, err := isPackage(sub, d); !ok || err != nil {
			continue
		}
		doc, err := readManifest(fsys, path.Join(dir, d))
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				errs = append(errs, e)
				continue
			}
			return nil, err
		}
		name := str(doc.top, "name")
		if name == "" {
			name = nameOf(d)
		}
		if other, ok := found[name]; ok {
			errs = append(errs, pkg.errorIn(&Error{Reason: Malformed, Package: name,
				Msg:    fmt.Sprintf("the workspaces %s and %s have the same name", other, d),
				Advice: "give each workspace a name of its own"}, "workspaces"))
			continue
		}
		found[name] = d
	}
	return found, errs.err()
}

// workspacePatterns splits the field into patterns and negated ones. A pattern takes back a
// negation that stands before it.
func workspacePatterns(pkg *document) (patterns, negated []string, err error) {
	raw := pkg.top["workspaces"]
	if o, ok := raw.(object); ok {
		raw = o["packages"]
	}
	if raw == nil {
		return nil, nil, nil
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, nil, pkg.errorIn(&Error{Reason: Malformed, Msg: `"workspaces" must be a list of patterns`}, "workspaces")
	}
	for _, v := range list {
		p, ok := v.(string)
		if !ok {
			return nil, nil, pkg.errorIn(&Error{Reason: Malformed, Msg: `"workspaces" must be a list of strings`}, "workspaces")
		}
		bare := strings.TrimLeft(p, "!")
		not := (len(p)-len(bare))%2 == 1
		bare = strings.TrimLeft(strings.TrimPrefix(bare, "./"), "/")
		bare = path.Clean(strings.TrimSuffix(bare, "/"))
		if not {
			negated = append(negated, bare)
			continue
		}
		kept := negated[:0]
		for _, n := range negated {
			if ok, _ := doublestar.Match(n, bare); !ok {
				kept = append(kept, n)
			}
		}
		negated = kept
		patterns = append(patterns, bare)
	}
	return patterns, negated, nil
}

// globDirs adds the directories that match. It doesn't enter node_modules, and a star matches no
// hidden directory.
func globDirs(fsys fs.FS, pattern string, into map[string]bool) error {
	if !doublestar.ValidatePattern(pattern) {
		return doublestar.ErrBadPattern
	}
	if strings.HasPrefix(pattern, "..") {
		return fmt.Errorf("it leads out of the project")
	}
	base, _ := doublestar.SplitPattern(pattern)
	depth := -1
	if !strings.Contains(pattern, "**") {
		depth = strings.Count(pattern, "/")
		if strings.Contains(pattern, "{") {
			depth = maxDepth(pattern)
		}
	}
	return fs.WalkDir(fsys, base, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return fs.SkipDir
			}
			return err
		}
		if !d.IsDir() {
			return nil
		}
		name := path.Base(p)
		if name == "node_modules" || p != base && strings.HasPrefix(name, ".") && !strings.Contains(pattern, "/.") {
			return fs.SkipDir
		}
		if ok, _ := doublestar.Match(pattern, p); ok && p != "." {
			into[p] = true
		}
		if depth >= 0 && strings.Count(p, "/") >= depth && p != "." {
			return fs.SkipDir
		}
		return nil
	})
}

// maxDepth bounds the number of slashes in what a pattern with braces can match.
func maxDepth(pattern string) int { return strings.Count(pattern, "/") }

func matchesAny(patterns []string, p string) bool {
	for _, n := range patterns {
		if ok, _ := doublestar.Match(n, p); ok {
			return true
		}
		if ok, _ := doublestar.Match(n+"/**", p); ok {
			return true
		}
	}
	return false
}

func isPackage(fsys fs.FS, dir string) (bool, error) {
	_, err := fs.Stat(fsys, path.Join(dir, "package.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// sortedUnique sorts and drops duplicates.
func sortedUnique(list []string) []string {
	sort.Strings(list)
	out := list[:0]
	for i, s := range list {
		if i == 0 || s != list[i-1] {
			out = append(out, s)
		}
	}
	return out
}
