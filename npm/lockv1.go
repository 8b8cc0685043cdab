package npm

// Lockfile version 1 (npm 5 and 6): a tree of dependencies, turned into entries by location as
// npm 7 and later do. It lacks most of a package's manifest; see Facts.Manifest.

import (
	"fmt"
	"path"
	"strings"
)

// readV1 fills l.entries from "dependencies".
func (l *lockfile) readV1(pkg object) error {
	root := object{}
	if name := str(l.doc.top, "name"); name != "" {
		root["name"] = name
	}
	for _, key := range metaKeys {
		if v := metaField(pkg, key); v != nil {
			root[strings.TrimPrefix(key, "_")] = v
		}
	}
	l.entries[""] = root
	var errs Errors
	l.readTree("", l.doc.top, []string{}, &errs)
	if errs != nil {
		return errs.err()
	}
	l.typeRequires()
	return nil
}

func (l *lockfile) readTree(loc string, node object, keys []string, errs *Errors) {
	raw, ok := node["dependencies"]
	if !ok || raw == nil {
		return
	}
	deps, ok := raw.(object)
	keys = append(keys[:len(keys):len(keys)], "dependencies")
	if !ok {
		*errs = append(*errs, l.doc.errorIn(&Error{Reason: Malformed, Package: loc, Msg: `"dependencies" must be an object`}, keys...))
		return
	}
	for _, name := range sortedKeys(deps) {
		at := append(keys[:len(keys):len(keys)], name)
		child := path.Join(loc, "node_modules", name)
		dep, ok := deps[name].(object)
		if !ok || !validName(name) {
			*errs = append(*errs, l.doc.errorIn(&Error{Reason: Malformed, Package: child,
				Msg: fmt.Sprintf("%q must be a package name with an object", name)}, at...))
			continue
		}
		entry := l.entryV1(child, name, dep)
		if e := l.checkEntry(child, entry); e != nil {
			*errs = append(*errs, l.doc.errorIn(e, at...))
			continue
		}
		l.entries[child] = entry
		if truthy(entry["link"]) {
			child = str(entry, "resolved")
			if l.entries[child] == nil {
				l.entries[child] = object{}
			}
		}
		l.readTree(child, dep, at, errs)
	}
}

// entryV1 guesses an entry from what version 1 stored: "version" may be a version, an alias, a
// URL, a git reference or a path.
func (l *lockfile) entryV1(loc, name string, dep object) object {
	version := str(dep, "version")
	s := specV1(dep)
	e := object{}
	if s.kind == specDirectory {
		e["link"], e["resolved"] = true, s.value
		return e
	}
	if req := obj(dep, "requires"); req != nil {
		e["requires"] = req
	}
	for from, to := range map[string]string{"optional": "optional", "dev": "dev", "bundled": "inBundle"} {
		if truthy(dep[from]) {
			e[to] = true
		}
	}
	if v := str(dep, "integrity"); v != "" {
		e["integrity"] = v
	}
	switch s.kind {
	case specGit:
		e["resolved"] = s.value
		return e
	case specFile:
		e["resolved"] = "file:" + s.value
	case specRemote:
		e["resolved"] = s.value
	default:
		if r := str(dep, "resolved"); r != "" {
			e["resolved"] = r
		}
	}
	switch s.kind {
	case specVersion:
		e["version"] = strings.TrimPrefix(strings.TrimSpace(s.value), "=")
	case specAlias:
		e["name"], e["version"] = s.name, s.sub.value
	case specFile, specRemote:
		if n, v := versionFromTarball(name, s.value); v != "" {
			e["version"] = v
			if n != name {
				e["name"] = n
			}
		}
	default:
		if version != "" {
			e["version"] = version
		}
	}
	return e
}

// specV1 finds the specification in an entry, by npm's order of preference.
func specV1(dep object) spec {
	version, from, resolved := str(dep, "version"), str(dep, "from"), str(dep, "resolved")
	if version != "" {
		s := parseSpec(version, "")
		if s.kind != specInvalid && (str(dep, "integrity") != "" || s.kind == specGit) {
			return s
		}
	}
	if from != "" {
		s := parseSpec(from, "")
		switch {
		case s.registry() && version != "":
			return parseSpec(version, "")
		case resolved == "" && s.kind != specInvalid:
			return s
		}
	}
	if version == "" && resolved != "" {
		return parseSpec(resolved, "")
	}
	return parseSpec(version, "")
}

// versionFromTarball reads name and version from a tarball's file name, "" if it has none.
func versionFromTarball(name, url string) (string, string) {
	base := path.Base(url)
	short := path.Base(name)
	v, ok := strings.CutPrefix(strings.TrimSuffix(base, ".tgz"), short+"-")
	if !ok || !strings.HasSuffix(base, ".tgz") || parseVersion(v, mode{}) == nil {
		return "", ""
	}
	return name, v
}

// typeRequires sorts each package's "requires" into kinds of dependencies: version 1 has one list.
func (l *lockfile) typeRequires() {
	for _, loc := range sortedKeys(l.entries) {
		e := l.entries[loc]
		req := obj(e, "requires")
		delete(e, "requires")
		if loc == "" {
			continue
		}
		for _, name := range sortedKeys(req) {
			want, ok := req[name].(string)
			if !ok {
				continue
			}
			kind := "dependencies"
			if dep := l.resolveV1(loc, name); dep != nil && truthy(dep["optional"]) && !truthy(e["optional"]) {
				kind = "optionalDependencies"
			}
			if obj(e, kind) == nil {
				e[kind] = object{}
			}
			e[kind].(object)[name] = want
		}
	}
}

func (l *lockfile) resolveV1(loc, name string) object {
	for dir := loc; ; dir = path.Dir(dir) {
		if dir == "." || dir == "/" {
			dir = ""
		}
		if e := l.entries[path.Join(dir, "node_modules", name)]; e != nil {
			return e
		}
		if dir == "" {
			return nil
		}
	}
}
