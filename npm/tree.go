package npm

// The tree that a lockfile describes, as Node.js would resolve it: which directory holds which
// package, and which package each dependency leads to. It mirrors what npm keeps in memory.

import (
	"path"
	"strings"
)

// node is a package (or a link to one) at a location.
type node struct {
	loc  string // relative to the app, "" is the app; "../lib" is possible for a link's target
	name string // what others require it by: the end of its location
	pkg  object // its manifest, as far as it is known

	parent   *node // the package whose node_modules holds it
	fsParent *node // else the nearest package above it on disk
	children map[string]*node

	link   string // for a link: the location of its target
	target *node  // for a link: the package that it leads to; else the node itself

	resolved  string // where it comes from: a URL, "file:…", a git reference; "" if not recorded
	integrity string
	locked    bool // is in the lockfile

	edges []*edge // to its dependencies, by name
	in    []*edge // from its dependents

	flags      flags
	inert      bool // not to be installed here: wrong platform, omitted
	overrides  *overrideSet
	shrinkwrap bool // brings an npm-shrinkwrap.json that decides on what is below it
}

// flags say by which kinds of dependencies a package is reached.
type flags struct {
	extraneous, dev, optional, devOptional, peer bool
}

func (n *node) isLink() bool { return n.link != "" || n.target != n }
func (n *node) isTop() bool  { return n.parent == nil }
func (n *node) version() string {
	return str(n.target.pkg, "version")
}

// packageName is the name in the manifest; for an alias it differs from n.name.
func (n *node) packageName() string { return str(n.pkg, "name") }

// id is "name@version" for messages.
func (n *node) id() string {
	if v := n.version(); v != "" {
		return n.name + "@" + v
	}
	return n.name
}

func (n *node) above() *node {
	if n.parent != nil {
		return n.parent
	}
	return n.fsParent
}

// external reports whether n lies outside the app's directory: a link's target, or what is below one.
// Such a directory is somebody else's: npm neither checks nor installs what it needs.
func (n *node) external() bool { return outside(n.loc) }

func outside(loc string) bool { return loc == ".." || strings.HasPrefix(loc, "../") }

// resolve finds the package that a require of name gets, nil if none.
func (n *node) resolve(name string) *node {
	key := strings.ToLower(name)
	for at := n; at != nil; at = at.above() {
		if c := at.children[key]; c != nil {
			return c
		}
	}
	return nil
}

func (n *node) depth() int {
	d := 0
	for at := n; at.parent != nil; at = at.parent {
		d++
	}
	return d
}

func (n *node) top() *node {
	for n.parent != nil {
		n = n.parent
	}
	return n
}

// inShrinkwrap reports whether a package above decides on n by its own shrinkwrap.
func (n *node) inShrinkwrap() bool {
	for at := n.parent; at != nil; at = at.parent {
		if at.shrinkwrap {
			return true
		}
	}
	return false
}

// tree is all nodes of one app.
type tree struct {
	root  *node
	nodes map[string]*node // by location
	opt   treeOptions
	// workspaces maps a workspace's name to its directory.
	workspaces map[string]string
	versions   *versionCache
	locked     map[string]object // the lockfile's entries
	bundling   bool              // some package bundles others
}

type treeOptions struct {
	legacyPeerDeps bool
	installLinks   bool // directories are packed and installed, not linked
}

// ordered lists the nodes in the order of their locations, the root first.
func (t *tree) ordered() []*node {
	out := make([]*node, 0, len(t.nodes))
	for _, loc := range sortedKeys(t.nodes) {
		out = append(out, t.nodes[loc])
	}
	return out
}

// buildTree makes the tree of a lockfile. manifests holds the package.json of the root ("") and of
// every link target that has one on disk: npm believes those more than the lockfile.
func buildTree(l *lockfile, manifests map[string]*document, workspaces map[string]string, opt treeOptions) (*tree, error) {
	t := &tree{nodes: map[string]*node{}, opt: opt, workspaces: workspaces, versions: newVersionCache(), locked: l.entries}
	root := object{}
	if doc := manifests[""]; doc != nil {
		root = doc.top
	}
	t.root = &node{name: str(root, "name"), pkg: root, children: map[string]*node{}}
	t.root.target = t.root
	t.nodes[""] = t.root

	var errs Errors
	locs := sortedKeys(l.entries)
	for _, loc := range locs {
		if e := l.entries[loc]; loc != "" && !truthy(e["link"]) {
			t.nodes[loc] = newNode(loc, e)
		}
	}
	for loc, doc := range manifests {
		if n := t.nodes[loc]; n != nil && loc != "" {
			n.pkg = doc.top
		}
	}
	for _, loc := range locs {
		e := l.entries[loc]
		if loc == "" || !truthy(e["link"]) {
			continue
		}
		target := path.Clean(str(e, "resolved"))
		if target == "." {
			target = ""
		}
		to := t.nodes[target]
		if to == nil {
			errs = append(errs, l.doc.errorIn(&Error{Reason: Malformed, Package: loc,
				Msg:    "the link leads to " + target + ", which the lockfile doesn't have",
				Advice: "remove the lockfile and run npm install"}, "packages", loc))
			continue
		}
		t.nodes[loc] = &node{loc: loc, name: nameOf(loc), pkg: to.pkg, link: target, target: to, locked: true}
	}
	if errs != nil {
		return nil, errs.err()
	}
	t.connect()
	return t, nil
}

func newNode(loc string, e object) *node {
	pkg := make(object, len(e))
	for k, v := range e {
		pkg[k] = v
	}
	n := &node{
		loc: loc, name: nameOf(loc), pkg: pkg, children: map[string]*node{}, locked: true,
		resolved: str(e, "resolved"), integrity: str(e, "integrity"), shrinkwrap: truthy(e["hasShrinkwrap"]),
	}
	n.target = n
	if str(pkg, "name") == "" {
		pkg["name"] = n.name
	}
	normalize(pkg)
	return n
}

// connect sets parents and children by location.
func (t *tree) connect() {
	for _, n := range t.ordered() {
		if n == t.root {
			continue
		}
		for dir := path.Dir(n.loc); ; dir = path.Dir(dir) {
			if dir == "." {
				dir = ""
			}
			if up := t.nodes[dir]; up != nil && !up.isLink() {
				if path.Join(dir, "node_modules", n.name) == n.loc {
					n.parent = up
					up.children[strings.ToLower(n.name)] = n
				} else {
					n.fsParent = up
				}
				break
			}
			if dir == "" || dir == ".." || strings.HasSuffix(dir, "/..") {
				break
			}
		}
	}
}

// remove takes a node and all below it out of the tree.
func (t *tree) remove(n *node) {
	if n.parent != nil {
		delete(n.parent.children, strings.ToLower(n.name))
	}
	prefix := n.loc + "/"
	for loc := range t.nodes {
		if loc == n.loc || strings.HasPrefix(loc, prefix) {
			delete(t.nodes, loc)
		}
	}
}

// isWorkspace reports whether n is a workspace of the app (the directory, or the link to it).
func (t *tree) isWorkspace(n *node) bool {
	e := t.root.edge(n.packageName())
	return n != t.root && e != nil && e.kind == workspaceDep && e.to != nil && (e.to == n || e.to.target == n)
}

// bundler is the package in whose tarball n travels, nil if n has its own. The app itself can be
// one (it lists what it would publish).
func (t *tree) bundler(n *node) *node {
	if !t.bundling {
		return nil
	}
	return t.findBundler(n, map[*node]bool{})
}

func (t *tree) findBundler(n *node, seen map[*node]bool) *node {
	if seen[n] {
		return nil
	}
	seen[n] = true
	up := n.parent
	if up == nil {
		return nil
	}
	if b := t.findBundler(up, seen); b != nil {
		return b
	}
	for _, name := range bundles(up.pkg) {
		if name == n.name {
			return up
		}
	}
	// What a bundled package needs is in the bundle too, if it lies at the same level.
	for _, e := range n.in {
		if b := t.findBundler(e.from, seen); b == up && b != nil {
			return b
		}
	}
	return nil
}

// inDepBundle reports whether n arrives inside the tarball of a dependency.
func (t *tree) inDepBundle(n *node) bool {
	b := t.bundler(n)
	return b != nil && b != t.root
}
