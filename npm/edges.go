package npm

// Dependencies as edges between packages of the tree, and whether what they lead to satisfies them.

import (
	"path"
	"sort"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// depKind is the table of a manifest that a dependency stands in.
type depKind string

const (
	prodDep         depKind = "prod"
	devDep          depKind = "dev"
	optionalDep     depKind = "optional"
	peerDep         depKind = "peer"
	peerOptionalDep depKind = "peerOptional"
	workspaceDep    depKind = "workspace"
)

// edge is a dependency: from wants name in the version that spec asks for.
type edge struct {
	from      *node
	name      string
	raw       string // as the manifest has it
	kind      depKind
	accept    string // of acceptDependencies: good enough too
	hasAccept bool
	to        *node        // what it gets; nil if it is missing
	overrides *overrideSet // the rule that changes it, if any
}

func (e *edge) peer() bool     { return e.kind == peerDep || e.kind == peerOptionalDep }
func (e *edge) optional() bool { return e.kind == optionalDep || e.kind == peerOptionalDep }

// edge returns n's dependency of that name.
func (n *node) edge(name string) *edge {
	i := sort.Search(len(n.edges), func(i int) bool { return n.edges[i].name >= name })
	if i < len(n.edges) && n.edges[i].name == name {
		return n.edges[i]
	}
	return nil
}

// link computes all edges of the tree afresh.
func (t *tree) link() {
	t.bundling = false
	for _, n := range t.nodes {
		n.edges, n.in = nil, nil
		t.bundling = t.bundling || len(bundles(n.pkg)) > 0
	}
	for _, n := range t.ordered() {
		if n.isLink() {
			continue
		}
		n.edges = t.dependencies(n)
		for _, e := range n.edges {
			if e.to = n.resolve(e.name); e.to != nil {
				e.to.in = append(e.to.in, e)
			}
		}
	}
	t.applyOverrides()
}

// dependencies lists what a manifest asks for. A name in several tables counts once: a later kind
// replaces an earlier one, as in npm.
func (t *tree) dependencies(n *node) []*edge {
	found := map[string]*edge{}
	if n == t.root {
		for name, dir := range t.workspaces {
			found[name] = &edge{from: n, name: name, raw: "file:" + dir, kind: workspaceDep}
		}
	}
	accept := obj(n.pkg, "acceptDependencies")
	add := func(deps object, kind func(string) depKind) {
		for name, v := range deps {
			want, ok := v.(string)
			if !ok || name == "" || found[name] != nil && found[name].kind == workspaceDep {
				continue
			}
			e := &edge{from: n, name: name, raw: want, kind: kind(name)}
			e.accept, e.hasAccept = accept[name].(string)
			found[name] = e
		}
	}
	always := func(k depKind) func(string) depKind { return func(string) depKind { return k } }
	if !t.opt.legacyPeerDeps {
		meta := obj(n.pkg, "peerDependenciesMeta")
		add(obj(n.pkg, "peerDependencies"), func(name string) depKind {
			if truthy(obj(meta, name)["optional"]) {
				return peerOptionalDep
			}
			return peerDep
		})
	}
	add(obj(n.pkg, "dependencies"), always(prodDep))
	add(obj(n.pkg, "optionalDependencies"), always(optionalDep))
	if n.isTop() {
		add(obj(n.pkg, "devDependencies"), always(devDep))
	}
	out := make([]*edge, 0, len(found))
	for _, name := range sortedKeys(found) {
		out = append(out, found[name])
	}
	return out
}

// spec is what the edge asks for once the app's overrides are applied.
func (t *tree) spec(e *edge) string {
	o := e.overrides
	if o == nil || o.value == "" || o.value == "*" || o.name != e.name {
		return e.raw
	}
	if ref, ok := strings.CutPrefix(o.value, "$"); ok {
		for _, pkg := range []object{t.root.pkg, e.from.pkg} {
			for _, key := range []string{"devDependencies", "optionalDependencies", "dependencies", "peerDependencies"} {
				if v := str(obj(pkg, key), ref); v != "" {
					return v
				}
			}
		}
		return e.raw
	}
	return o.value
}

// valid reports whether the edge is fine: what it leads to satisfies it, or it may be missing.
func (t *tree) valid(e *edge) bool {
	if e.to == nil {
		return e.optional()
	}
	if e.peer() && e.from == e.to.parent && !e.from.isTop() {
		return false
	}
	return t.satisfied(e)
}

func (t *tree) satisfied(e *edge) bool {
	n := e.to
	dir := t.fromDir(e)
	check := func(want string) bool {
		return t.depValid(e, want, dir) || e.hasAccept && t.depValid(e, e.accept, dir)
	}
	if n.shrinkwrap || n.inShrinkwrap() || t.bundler(n) != nil || e.overrides == nil || e.overrides.keySpec == "" {
		if n.shrinkwrap || n.inShrinkwrap() || t.bundler(n) != nil {
			return check(e.raw)
		}
		return check(t.spec(e))
	}
	if check(t.spec(e)) {
		return true
	}
	// It may satisfy what the manifest asks for, where the override isn't about that version.
	return check(e.raw) && !check(e.overrides.keySpec)
}

// fromDir is the directory from which the file: specifications of an edge count.
func (t *tree) fromDir(e *edge) string {
	if o := e.overrides; o != nil && o.name == e.name && o.value != "" {
		return ""
	}
	if p, ok := strings.CutPrefix(e.from.resolved, "file:"); ok && reArchive.MatchString(p) {
		if d := path.Dir(path.Clean(p)); d != "." {
			return d
		}
		return ""
	}
	return e.from.loc
}

func (t *tree) depValid(e *edge, want, dir string) bool {
	n := e.to
	if want == "" {
		want = "*"
	}
	s := t.versions.spec(want, dir)
	if s.kind == specAlias {
		s = *s.sub
	}
	switch s.kind {
	case specRange, specVersion:
		return s.value == "*" && s.kind == specRange || t.versions.satisfies(n.version(), s.value)
	case specDirectory:
		if t.opt.installLinks && !t.isWorkspace(n) {
			return !n.isLink()
		}
		return n.isLink() && (n.link == s.value || path.IsAbs(s.value))
	case specFile:
		p, ok := strings.CutPrefix(n.resolved, "file:")
		return ok && !n.isLink() && (path.Clean(p) == s.value || path.IsAbs(s.value))
	case specTag:
		// Which version a tag meant isn't recorded; that it came from a registry must do. Where
		// the lockfile leaves out what registries gave, a version is the sign of that.
		return parseSpec(n.resolved, "").kind == specRemote || n.resolved == "" && n.version() != ""
	case specRemote:
		return n.resolved == s.value
	case specGit:
		g, ok := parseGit(s.value)
		return ok && parseSpec(n.resolved, "").kind == specGit && g.satisfiedBy(t, n.resolved, n.version(), t.lockedSpec(e))
	}
	return false
}

// lockedSpec is what the lockfile says that the edge asked for when it was made.
func (t *tree) lockedSpec(e *edge) string {
	for _, key := range []string{"dependencies", "optionalDependencies", "devDependencies", "peerDependencies"} {
		if v := str(obj(t.locked[e.from.loc], key), e.name); v != "" {
			return v
		}
	}
	return ""
}

// versionCache remembers what was parsed: a tree asks for the same few again and again.
type versionCache struct {
	specs    map[string]spec
	versions map[string]*semver.Version
	ranges   map[string]*versionRange
}

func newVersionCache() *versionCache {
	return &versionCache{map[string]spec{}, map[string]*semver.Version{}, map[string]*versionRange{}}
}

// spec is parseSpec; paths depend on the directory and aren't remembered.
func (c *versionCache) spec(raw, dir string) spec {
	s, ok := c.specs[raw]
	if !ok {
		s = parseSpec(raw, dir)
		if s.kind != specFile && s.kind != specDirectory {
			c.specs[raw] = s
		}
	}
	return s
}

func (c *versionCache) satisfies(version, rng string) bool {
	m := mode{loose: true}
	v, ok := c.versions[version]
	if !ok {
		v = parseVersion(version, m)
		c.versions[version] = v
	}
	r, ok := c.ranges[rng]
	if !ok {
		r, _ = parseRange(rng, m)
		c.ranges[rng] = r
	}
	return v != nil && r != nil && r.matches(v)
}
