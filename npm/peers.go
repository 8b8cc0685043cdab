package npm

// Peer dependencies that the lockfile breaks, and whether npm ci would put up with it.

import "fmt"

// conflict says why npm ci refuses a peer that is there in a version that doesn't satisfy the edge, or
// returns "". Deep in the tree it overrides what packages ask for, with a warning. It doesn't where the
// project itself asks for both: for the package that wants the peer, and for the version that it gets.
// Such lockfiles are made with legacy-peer-deps or force, and need the same setting again.
func (a *app) conflict(e *edge) string {
	t := a.tree
	if e.kind != peerDep || e.to == nil || a.opt.Config.is("force") || e.to.inShrinkwrap() || t.valid(e) || t.inDepBundle(e.from) {
		return ""
	}
	if !a.opt.Config.is("strict-peer-deps") && !(t.asked(e.from) && t.pinned(e.to)) {
		return ""
	}
	return fmt.Sprintf("Conflict: %s wants the peer %s@%s, and the lock file has %s", e.from.id(), e.name, t.spec(e), e.to.id())
}

// asked reports whether the project depends on n, itself or through peers of what it depends on.
func (t *tree) asked(n *node) bool {
	seen := map[*node]bool{n: true}
	queue := []*node{n}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range at.in {
			switch {
			case e.from == t.root || t.isWorkspace(e.from):
				return true
			case e.peer() && !seen[e.from]:
				seen[e.from] = true
				queue = append(queue, e.from)
			}
		}
	}
	return false
}

// pinned reports whether the project asks for n in this version.
func (t *tree) pinned(n *node) bool {
	for _, e := range n.in {
		if (e.from == t.root || t.isWorkspace(e.from)) && t.valid(e) {
			return true
		}
	}
	return false
}
