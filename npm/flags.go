package npm

// Which packages are needed, and by what kind of dependency: npm's dev, optional, peer and
// extraneous flags, and what is left out for a platform or on request.

// calcFlags computes the flags from scratch. All start set, and an edge from a package without a
// flag clears it in its target, until nothing changes.
func (t *tree) calcFlags() {
	for _, n := range t.nodes {
		n.flags = flags{true, true, true, true, true}
	}
	t.root.flags = flags{}
	seen := map[*node]bool{}
	queue := []*node{t.root}
	for len(queue) > 0 {
		n := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		seen[n] = true
		if !n.flags.extraneous {
			for up := n.above(); up != nil && up.flags.extraneous; up = up.above() {
				up.flags.extraneous = false
			}
		}
		if n.isLink() {
			if clearFlags(n.target, n.flags) || !seen[n.target] {
				queue = append(queue, n.target)
			}
			continue
		}
		for _, e := range n.edges {
			if e.to != nil && e.clearTarget() {
				queue = append(queue, e.to)
			}
		}
	}
	for n := range seen {
		if n != t.root && n.flags.devOptional && (n.flags.dev || n.flags.optional) {
			n.flags.devOptional = false
		}
	}
}

// clearFlags drops from n what from doesn't have, and reports a change.
func clearFlags(n *node, from flags) bool {
	old := n.flags
	n.flags.dev = n.flags.dev && from.dev
	n.flags.optional = n.flags.optional && from.optional
	n.flags.devOptional = n.flags.devOptional && from.devOptional
	n.flags.peer = n.flags.peer && from.peer
	n.flags.extraneous = n.flags.extraneous && from.extraneous
	return n.flags != old
}

// clearTarget drops from the target of e what this dependency rules out, and reports a change.
func (e *edge) clearTarget() bool {
	f, to := e.from.flags, e.to
	old := to.flags
	// Something that only optional peers ask for stays extraneous.
	if !f.extraneous && e.kind != peerOptionalDep {
		to.flags.extraneous = false
	}
	if !f.dev && e.kind != devDep {
		to.flags.dev = false
	}
	if !f.optional && !e.optional() {
		to.flags.optional = false
	}
	if !f.devOptional && !f.dev && !f.optional && e.kind != devDep && !e.optional() {
		to.flags.devOptional = false
	}
	if !f.peer && !e.peer() {
		to.flags.peer = false
	}
	return to.flags != old
}

// prune removes what nothing needs, and what lies below it.
func (t *tree) prune() {
	for _, n := range t.ordered() {
		if n.flags.extraneous && n.parent != nil && t.nodes[n.loc] == n {
			t.remove(n)
		}
	}
	t.link()
}

// optionalSet is what falls away with an optional package that can't be installed: whatever needs
// it without being optional itself, and what only those need.
func optionalSet(n *node) map[*node]bool {
	set := map[*node]bool{n: true}
	queue := []*node{n}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range at.in {
			if !e.optional() && !set[e.from] {
				set[e.from] = true
				queue = append(queue, e.from)
			}
		}
	}
	counts := func(e *edge) bool { return !set[e.to] && !e.from.inert }
	deps := map[*node]bool{}
	for at := range set {
		deps[at] = true
		queue = append(queue, at)
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range at.edges {
			if e.to != nil && counts(e) && !deps[e.to] {
				deps[e.to] = true
				queue = append(queue, e.to)
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for at := range deps {
			for _, e := range at.in {
				if !deps[e.from] && counts(e) {
					delete(deps, at)
					changed = true
					break
				}
			}
		}
	}
	return deps
}

// omitSet has the kinds of dependencies that aren't wanted.
type omitSet struct{ dev, optional, peer bool }

func (t *tree) omitted(n *node, o omitSet) bool {
	if o == (omitSet{}) {
		return false
	}
	if top := n.top(); top != t.root && !t.isWorkspace(top) {
		return false
	}
	f := n.flags
	return f.peer && o.peer || f.dev && o.dev || f.optional && o.optional ||
		f.devOptional && o.optional && o.dev
}
