package npm

// Why a package is in the tree, for messages about nodes that fail.

import (
	"slices"

	"github.com/mergefest/mergefest/graph"
)

// why returns the way from the app to the package that a node is of, by dependencies, with the node
// itself in the end: the merge that every package is part of says nothing. It is nil for other nodes.
func (a *app) why(id graph.ID) []graph.ID {
	n := a.nodeOf[id]
	if n == nil {
		return nil
	}
	cause := map[*node]*edge{n: nil} // the dependency that leads on towards n
	queue := []*node{n}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if at == a.tree.root {
			return a.way(at, cause, id)
		}
		in := at.in
		if at.parent == nil { // what a link leads to: what depends on the link
			for _, l := range a.tree.ordered() {
				if l.isLink() && l.target == at {
					in = append(slices.Clip(in), l.in...)
				}
			}
		}
		for _, e := range in {
			if _, seen := cause[e.from]; !seen {
				cause[e.from] = e
				queue = append(queue, e.from)
			}
		}
	}
	return nil
}

func (a *app) way(from *node, cause map[*node]*edge, id graph.ID) []graph.ID {
	out := []graph.ID{{Ecosystem: "npm", Kind: "app", Package: packageLabel(a.manifests[""]), Version: a.tree.root.version()}}
	for e := cause[from]; e != nil; {
		to := e.to.target
		next := cause[to]
		if next != nil {
			out = append(out, graph.ID{Ecosystem: "npm", Kind: "package", Package: to.packageName(), Version: to.version()})
		}
		e = next
	}
	return append(out, id)
}
