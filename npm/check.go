package npm

// Whether the lockfile still fits package.json: what npm ci refuses to install.

import "fmt"

// checkSync lists where dependencies aren't met by the lockfile. npm would ask the registry for
// what is missing; a build must not, so this says what a new lockfile is needed for. absent are optional
// dependencies of packages that aren't there.
func (a *app) checkSync() (errs Errors, absent []*edge) {
	t, lock, manifests := a.tree, a.lock.doc, a.manifests
	for _, n := range a.evaluated() {
		if n.shrinkwrap {
			continue // its own shrinkwrap says what it gets
		}
		bundled := map[string]bool{}
		local := manifests[n.loc] != nil
		if !local {
			for _, name := range bundles(n.pkg) {
				bundled[name] = true
			}
		}
		for _, e := range n.edges {
			if bundled[e.name] || e.to != nil && e.to.inShrinkwrap() {
				continue
			}
			switch msg := t.problem(e, local); {
			case msg != "":
				errs = append(errs, t.outOfSync(e, msg, lock, manifests))
			case e.to == nil && e.kind == optionalDep && !t.inDepBundle(n):
				absent = append(absent, e)
			default:
				if msg := a.conflict(e); msg != "" {
					errs = append(errs, t.outOfSync(e, msg, lock, manifests))
				}
			}
		}
	}
	return errs, absent
}

// evaluated lists the packages whose dependencies npm ci looks at: what the app reaches without going
// through links, and the packages that it links to, and they; what those depend on is taken as locked. Of
// a lockfile of version 1, packages count only if something was wrong before their manifests were known.
func (a *app) evaluated() []*node {
	t := a.tree
	seen := map[*node]bool{t.root: true}
	linked := map[*node]bool{t.root: true} // the app, and what is linked to from there
	queue := []*node{t.root}
	var out []*node
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		if n.external() {
			continue
		}
		if linked[n] || a.suspects == nil || a.suspects[n.loc] {
			out = append(out, n)
		}
		for _, e := range n.edges {
			if e.to == nil || seen[e.to.target] {
				continue
			}
			to, link := e.to.target, e.to.isLink()
			if link && linked[n] || !link && (n == t.root || !linked[n]) {
				seen[to], linked[to] = true, link
				queue = append(queue, to)
			}
		}
	}
	return out
}

// suspect lists the locations of packages with a dependency that isn't met.
func (a *app) suspect() map[string]bool {
	out := map[string]bool{}
	for _, n := range a.tree.ordered() {
		for _, e := range n.edges {
			if e.kind != peerOptionalDep && (e.to == nil || !a.tree.valid(e)) {
				out[n.loc] = true
			}
		}
	}
	return out
}

// problem describes what is wrong with an edge in npm's words, or returns "".
func (t *tree) problem(e *edge, local bool) string {
	if e.kind == peerOptionalDep || t.valid(e) && (e.to != nil || !local) {
		return ""
	}
	if e.to == nil {
		if e.optional() && !local || t.inDepBundle(e.from) {
			return ""
		}
		return fmt.Sprintf("Missing: %s@%s from lock file", e.name, t.spec(e))
	}
	// A peer that others don't agree on is npm's to tolerate; that was decided when it locked.
	if e.peer() && !local || t.inDepBundle(e.from) {
		return ""
	}
	return fmt.Sprintf("Invalid: lock file's %s does not satisfy %s@%s", e.to.id(), e.name, t.spec(e))
}

func (t *tree) outOfSync(e *edge, msg string, lock *document, manifests map[string]*document) *Error {
	out := &Error{Reason: OutOfSync, Package: e.name, Msg: msg,
		Advice: "run npm install and commit the new lockfile"}
	if e.from != t.root {
		out.Msg += fmt.Sprintf(" (wanted by %s)", e.from.id())
	}
	if e.kind == peerDep {
		out.Advice += ", or set legacy-peer-deps in .npmrc if it was made so"
	}
	doc := manifests[e.from.loc]
	if doc == nil {
		return lock.errorIn(out, "packages", e.from.loc)
	}
	keys := map[depKind]string{prodDep: "dependencies", devDep: "devDependencies", peerDep: "peerDependencies",
		optionalDep: "optionalDependencies", workspaceDep: "workspaces"}
	if e.kind == workspaceDep {
		return doc.errorIn(out, keys[e.kind])
	}
	return doc.errorIn(out, keys[e.kind], e.name)
}
