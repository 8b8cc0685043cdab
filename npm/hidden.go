package npm

// node_modules/.package-lock.json, the record of what npm installed, as npm writes it.

import (
	"path"
	"strings"
)

// hiddenLock is the file's content for a tree from which everything that isn't installed has been
// taken out. The lockfile's other keys are carried over; the style is that of package.json, as in npm.
func (t *tree) hiddenLock(l *lockfile, pkg *document, omitResolved bool) []byte {
	out := object{}
	for k, v := range l.doc.top {
		out[k] = v
	}
	delete(out, "dependencies")
	out["lockfileVersion"] = 3
	out["requires"] = true
	packages := object{}
	for _, n := range t.ordered() {
		if n == t.root || n.flags.extraneous && t.staleDir(n) {
			continue
		}
		packages[n.loc] = t.meta(n, omitResolved)
	}
	out["packages"] = packages
	indent, newline := pkg.style()
	return writeLockJSON(out, indent, newline)
}

// staleDir reports whether n is a directory that was once a workspace or file: dependency.
func (t *tree) staleDir(n *node) bool {
	return !strings.Contains("/"+n.loc, "/node_modules/") && (n.fsParent == nil || n.fsParent == t.root)
}

// meta is one package's entry.
func (t *tree) meta(n *node, omitResolved bool) object {
	if n.isLink() {
		return object{"resolved": n.link, "link": true}
	}
	m := object{}
	for _, key := range metaKeys {
		if v := metaField(n.pkg, key); v != nil {
			m[strings.TrimPrefix(key, "_")] = v
		}
	}
	if name := n.packageName(); name != "" && name != n.name {
		m["name"] = name
	}
	if dev := n.pkg["devDependencies"]; n.isTop() && truthy(dev) {
		m["devDependencies"] = dev
	}
	if n.integrity != "" && !t.inDepBundle(n) { // npm reads it from the bundle, which has none
		m["integrity"] = n.integrity
	}
	if t.bundler(n) != nil {
		m["inBundle"] = true
	}
	if n.shrinkwrap {
		m["hasShrinkwrap"] = true
	}
	if hasInstallScript(n.pkg) {
		m["hasInstallScript"] = true
	}
	if r := n.resolved; r != "" && !(omitResolved && t.fromRegistry(n)) {
		if p, ok := strings.CutPrefix(r, "file:"); ok {
			r = "file:" + path.Clean(p)
		}
		m["resolved"] = r
	}
	if n.flags.extraneous {
		m["extraneous"] = true
		return m
	}
	for key, set := range map[string]bool{
		"peer": n.flags.peer, "dev": n.flags.dev, "optional": n.flags.optional,
		"devOptional": n.flags.devOptional && !n.flags.dev && !n.flags.optional,
	} {
		if set {
			m[key] = true
		}
	}
	return m
}

// fromRegistry reports whether all that ask for n name a version, a range or a tag.
func (t *tree) fromRegistry(n *node) bool {
	for _, e := range n.in {
		if !t.versions.spec(t.spec(e), "").registry() {
			return false
		}
	}
	return len(n.in) > 0
}

// hasInstallScript reports whether installing the package runs something of its own.
func hasInstallScript(pkg object) bool {
	s := obj(pkg, "scripts")
	return truthy(pkg["hasInstallScript"]) || truthy(s["install"]) || truthy(s["preinstall"]) || truthy(s["postinstall"])
}
