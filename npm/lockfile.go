package npm

// package-lock.json and npm-shrinkwrap.json, lockfile versions 1 to 3.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// LockNames are the files that Detect looks for, the one that npm prefers first.
var lockNames = [...]string{"npm-shrinkwrap.json", "package-lock.json"}

// Detect returns the name of the lockfile in dir ("." is the top), or "" if there is none.
func Detect(fsys fs.FS, dir string) (string, error) {
	for _, name := range lockNames {
		info, err := fs.Stat(fsys, path.Join(dir, name))
		switch {
		case err == nil && info.Mode().IsRegular():
			return name, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", &Error{Reason: NoLockfile, File: path.Join(dir, name), Err: err, Msg: "cannot look for a lockfile"}
		}
	}
	return "", nil
}

// lockfile is a lockfile in the form of versions 2 and 3: one entry for each location.
type lockfile struct {
	doc     *document
	version int // 1, 2 or 3
	// entries maps a location ("", "node_modules/a", "packages/b") to what the file says of it.
	entries map[string]object
	// old is set where npm wouldn't trust the entries: version 1 lacks most of a manifest.
	old bool
}

// ParseLock checks that data is a lockfile. file is used in errors.
func ParseLock(file string, data []byte) error {
	_, err := parseLock(file, data, nil)
	return err
}

// parseLock reads a lockfile. pkg is the project's package.json, which version 1 needs.
func parseLock(file string, data []byte, pkg object) (*lockfile, error) {
	doc, err := parseJSON(file, data)
	if err != nil {
		return nil, err
	}
	l := &lockfile{doc: doc, entries: map[string]object{}}
	if l.version, err = lockVersion(doc); err != nil {
		return nil, err
	}
	packages, has := doc.top["packages"]
	if !has || l.version == 1 && packages == nil {
		l.old = true
		return l, l.readV1(pkg)
	}
	// npm calls a file old by its version alone, even where it has "packages".
	l.old = l.version < 2
	return l, l.readPackages(packages)
}

func lockVersion(doc *document) (int, error) {
	raw, ok := doc.top["lockfileVersion"]
	if !ok {
		return 1, nil // npm 5's npm-shrinkwrap.json may lack it
	}
	n, ok := raw.(json.Number)
	if ok {
		switch n.String() {
		case "0", "1":
			return 1, nil
		case "2":
			return 2, nil
		case "3":
			return 3, nil
		}
	}
	return 0, doc.errorIn(&Error{Reason: UnsupportedVersion,
		Msg:    fmt.Sprintf("lockfileVersion is %v; versions 1, 2 and 3 are known", raw),
		Advice: "write the lockfile again with npm install --lockfile-version 3"}, "lockfileVersion")
}

func (l *lockfile) readPackages(v any) error {
	packages, ok := v.(object)
	if !ok {
		return l.doc.errorIn(&Error{Reason: Malformed, Msg: `"packages" must be an object`}, "packages")
	}
	var errs Errors
	folded := map[string]string{}
	for _, loc := range sortedKeys(packages) {
		entry, ok := packages[loc].(object)
		if !ok {
			errs = append(errs, l.malformed(loc, "the entry must be an object"))
			continue
		}
		if e := l.checkEntry(loc, entry); e != nil {
			errs = append(errs, e)
			continue
		}
		if other, ok := folded[strings.ToLower(loc)]; ok {
			errs = append(errs, l.doc.errorIn(&Error{Reason: CaseCollision, Package: loc,
				Msg:    fmt.Sprintf("differs from %q by case only; npm keeps one of them", other),
				Advice: "depend on one spelling of the name"}, "packages", loc))
			continue
		}
		folded[strings.ToLower(loc)] = loc
		l.entries[loc] = entry
	}
	return errs.err()
}

func (l *lockfile) malformed(loc, format string, args ...any) *Error {
	return l.doc.errorIn(&Error{Reason: Malformed, Package: loc, Msg: fmt.Sprintf(format, args...)}, "packages", loc)
}

// entryStrings are the keys of an entry that must be strings if they are there.
var entryStrings = [...]string{"name", "version", "resolved", "integrity"}

// entryObjects are the keys of an entry that must be objects of strings.
var entryObjects = [...]string{"dependencies", "devDependencies", "optionalDependencies", "peerDependencies"}

func (l *lockfile) checkEntry(loc string, e object) *Error {
	for _, key := range entryStrings {
		if v, ok := e[key]; ok && v != nil {
			if _, ok := v.(string); !ok {
				return l.malformed(loc, "%q must be a string", key)
			}
		}
	}
	for _, key := range entryObjects {
		if bad := badDeps(e, key); bad != "" {
			return l.malformed(loc, "%s", bad)
		}
	}
	if loc == "" {
		return nil
	}
	if msg := badLocation(loc); msg != "" {
		e := l.malformed(loc, "%s", msg)
		e.Reason = UnsafePath
		return e
	}
	if name, ok := e["name"].(string); ok && name != "" && !validName(name) {
		return l.malformed(loc, "%q is not a package name", name)
	}
	if truthy(e["link"]) && str(e, "resolved") == "" && e["resolved"] == nil {
		return l.malformed(loc, "a link needs \"resolved\"")
	}
	return nil
}

// badDeps says what is wrong with a table of dependencies, or returns "".
func badDeps(o object, key string) string {
	v, ok := o[key]
	if list, isList := v.([]any); !ok || v == nil || isList && len(list) == 0 {
		return "" // an empty list says as little as an empty object
	}
	deps, ok := v.(object)
	if !ok {
		return fmt.Sprintf("%q must be an object", key)
	}
	for _, name := range sortedKeys(deps) {
		if _, ok := deps[name].(string); !ok {
			return fmt.Sprintf("%s.%q must be a string", key, name)
		}
	}
	return ""
}

// badLocation says why a location can't be used, or returns "". Outside node_modules it may
// begin with "../": npm allows a file: dependency there.
func badLocation(loc string) string {
	if strings.ContainsAny(loc, "\\\x00") || path.IsAbs(loc) || path.Clean(loc) != loc || loc == "." {
		return "the location must be a clean, relative path"
	}
	segs := strings.Split(loc, "/")
	for i, seg := range segs {
		if seg != "node_modules" {
			continue
		}
		name := strings.Join(segs[i+1:min(i+2, len(segs))], "/")
		if strings.HasPrefix(name, "@") {
			name = strings.Join(segs[i+1:min(i+3, len(segs))], "/")
		}
		if !validName(name) {
			return fmt.Sprintf("%q is not a package name", name)
		}
	}
	return ""
}

// nameOf is the name that a location gives a package: its last one or two elements.
func nameOf(loc string) string {
	base := path.Base(loc)
	if dir := path.Dir(loc); strings.HasPrefix(path.Base(dir), "@") {
		return path.Base(dir) + "/" + base
	}
	return base
}
