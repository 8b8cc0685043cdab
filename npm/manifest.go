package npm

// package.json as npm reads it: the file, and the repairs that npm makes to every manifest.

import (
	"errors"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// readManifest reads dir/package.json. It returns nil without an error if there is no file.
func readManifest(fsys fs.FS, dir string) (*document, error) {
	file := path.Join(dir, "package.json")
	data, err := fs.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Reason: Malformed, File: file, Err: err, Msg: "cannot read the file"}
	}
	doc, err := parseJSON(file, data)
	if err != nil {
		return nil, err
	}
	for key := range doc.top {
		if strings.HasPrefix(key, "_") {
			delete(doc.top, key)
		}
	}
	for _, key := range entryObjects {
		if bad := badDeps(doc.top, key); bad != "" {
			return nil, doc.errorIn(&Error{Reason: Malformed, Msg: bad}, key)
		}
	}
	normalize(doc.top)
	return doc, nil
}

// normalize repairs a manifest in place, as npm does before it uses one.
func normalize(p object) {
	if _, ok := p["bundleDependencies"]; !ok {
		if v, ok := p["bundledDependencies"]; ok {
			p["bundleDependencies"] = v
		}
	}
	delete(p, "bundledDependencies")
	normalizeBundles(p)
	deps, optional := obj(p, "dependencies"), obj(p, "optionalDependencies")
	if deps != nil && optional != nil {
		kept := object{}
		for name, v := range deps {
			if _, ok := optional[name]; !ok {
				kept[name] = v
			}
		}
		p["dependencies"] = kept
		if len(kept) == 0 {
			delete(p, "dependencies")
		}
	}
	if s := str(p, "funding"); s != "" {
		p["funding"] = object{"url": s}
	}
	if bin := normalizeBin(p); bin != nil {
		p["bin"] = bin
	} else {
		delete(p, "bin")
	}
}

func normalizeBundles(p object) {
	raw, ok := p["bundleDependencies"]
	if !ok {
		return
	}
	var names []string
	switch v := raw.(type) {
	case bool:
		if v {
			names = sortedKeys(obj(p, "dependencies"))
		}
	case object:
		names = sortedKeys(v)
	case []any:
		return
	default:
		delete(p, "bundleDependencies")
		return
	}
	list := make([]any, len(names))
	for i, n := range names {
		list[i] = n
	}
	p["bundleDependencies"] = list
}

// normalizeBin gives "bin" the form {"name": "path"}, or nil if nothing usable is there. Paths
// can't lead out of the package, and names have no directories.
func normalizeBin(p object) object {
	in := object{}
	switch v := p["bin"].(type) {
	case string:
		if name := str(p, "name"); name != "" && v != "" {
			in[name] = v
		}
	case []any:
		for _, x := range stringsOf(v) {
			in[path.Base(x)] = x
		}
	case object:
		in = v
	}
	out := object{}
	for key, v := range in {
		target, ok := v.(string)
		if !ok {
			continue
		}
		name := path.Base(securePath(key))
		target = securePath(target)
		if name != "." && name != "/" && name != "" && target != "" {
			out[name] = target
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// securePath makes a path relative and keeps it inside its directory; "" if nothing is left.
func securePath(p string) string {
	p = strings.NewReplacer("\\", "/", ":", "/").Replace(p)
	p = path.Join("/", p)[1:]
	return p
}

// bundles lists the names in bundleDependencies.
func bundles(p object) []string {
	list := stringsOf(p["bundleDependencies"])
	sort.Strings(list)
	return list
}

// metaKeys are the manifest's fields that a lockfile keeps.
var metaKeys = [...]string{
	"version", "dependencies", "peerDependencies", "peerDependenciesMeta", "optionalDependencies",
	"bundleDependencies", "acceptDependencies", "funding", "engines", "os", "cpu", "libc",
	"_integrity", "license", "_hasShrinkwrap", "hasInstallScript", "bin", "deprecated", "workspaces",
}

// metaField is what a lockfile keeps of a field, nil if nothing.
func metaField(p object, key string) any {
	v := p[key]
	if !truthy(v) {
		return nil
	}
	switch x := v.(type) {
	case object:
		if key == "license" && truthy(x["type"]) {
			return x["type"]
		}
		if len(x) == 0 {
			return nil
		}
	case []any:
		if len(x) == 0 {
			return nil
		}
	}
	return v
}
