// The graph: canonical order, look-ups, and paths through it.

package graph

import (
	"cmp"
	"errors"
	"slices"
	"sync"
)

// Graph is an application's directed acyclic graph of nodes, and the roots that somebody asked for.
// It is immutable: what the accessors return must not be changed. The zero Graph is empty.
type Graph struct {
	nodes      []Node // in canonical order
	roots      []Root // by platform, then name
	index      map[ID]int
	inputs     [][]int // of each node, in the order of Action.Inputs, without repetitions
	dependents [][]int // the reverse, ascending
	order      []int   // topological
	ranks      []int   // the place of each node in order

	digests func() []string
}

// New makes a graph of nodes and roots, in any order. It takes over what the actions refer to: the
// caller must not change it afterwards.
//
// New checks everything that can be checked without executing anything: that IDs are unique and
// well formed, that inputs exist, that paths are clean and stay inside, that the actions are
// possible, and that there is no cycle. It reports every problem that it finds, joined
// (errors.Join): each is an *Error, a *ConflictError or a *CycleError.
func New(nodes []Node, roots []Root) (*Graph, error) {
	g := &Graph{nodes: make([]Node, len(nodes)), roots: slices.Clone(roots)}
	for i, n := range nodes {
		g.nodes[i] = normal(n)
	}
	for i := range g.roots {
		g.roots[i].Path = normalPath(g.roots[i].Path)
		g.roots[i].Dest = normalPath(g.roots[i].Dest)
	}
	slices.SortStableFunc(g.nodes, func(a, b Node) int { return a.ID.Compare(b.ID) })
	slices.SortStableFunc(g.roots, compareRoots)

	g.index = make(map[ID]int, len(g.nodes))
	var errs []error
	for i, n := range g.nodes {
		if first, dup := g.index[n.ID]; dup {
			errs = append(errs, conflict(g.nodes[first], n))
			continue
		}
		g.index[n.ID] = i
	}
	for _, n := range g.nodes {
		errs = append(errs, g.checkNode(n)...)
	}
	errs = append(errs, g.checkRoots()...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	g.link()
	if cycle := g.sort(); cycle != nil {
		return nil, cycle
	}
	g.digests = sync.OnceValue(g.computeDigests)
	return g, nil
}

func compareRoots(a, b Root) int {
	return cmp.Or(cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Name, b.Name))
}

// link fills in the edges.
func (g *Graph) link() {
	g.inputs = make([][]int, len(g.nodes))
	g.dependents = make([][]int, len(g.nodes))
	seen := make([]int, len(g.nodes)) // the consumer+1 that saw the node last
	for i, n := range g.nodes {
		for _, in := range n.Action.Inputs() {
			from := g.index[in.From]
			if seen[from] == i+1 {
				continue
			}
			seen[from] = i + 1
			g.inputs[i] = append(g.inputs[i], from)
			g.dependents[from] = append(g.dependents[from], i)
		}
	}
}

// Len returns the number of nodes.
func (g *Graph) Len() int { return len(g.nodes) }

// Nodes returns the nodes in canonical order.
func (g *Graph) Nodes() []Node { return slices.Clone(g.nodes) }

// Node returns the node with that ID.
func (g *Graph) Node(id ID) (Node, bool) {
	i, ok := g.index[id]
	if !ok {
		return Node{}, false
	}
	return g.nodes[i], true
}

// Roots returns the roots, ordered by platform and name.
func (g *Graph) Roots() []Root { return slices.Clone(g.roots) }

// Topo returns all IDs so that each comes after those that it needs; of those that could come
// next, the smallest is first.
func (g *Graph) Topo() []ID { return g.ids(g.order) }

// Inputs returns the IDs of the nodes that a node reads directly, each once, in the order of its
// action; nil for an unknown one.
func (g *Graph) Inputs(id ID) []ID {
	i, ok := g.index[id]
	if !ok {
		return nil
	}
	return g.ids(g.inputs[i])
}

// Dependents returns the IDs of the nodes that read a node directly, in canonical order; nil for
// an unknown one.
func (g *Graph) Dependents(id ID) []ID {
	i, ok := g.index[id]
	if !ok {
		return nil
	}
	return g.ids(g.dependents[i])
}

func (g *Graph) ids(indices []int) []ID {
	ids := make([]ID, len(indices))
	for i, n := range indices {
		ids[i] = g.nodes[n].ID
	}
	return ids
}

// Chain returns a shortest path from a root's node to a node, both included: each needs the next
// one. It is what an error message shows to say why a node is there. Of several paths it is always
// the same one. It is nil if no root needs the node.
func (g *Graph) Chain(id ID) []ID {
	target, ok := g.index[id]
	if !ok {
		return nil
	}
	const unseen = -2
	from := make([]int, len(g.nodes))
	for i := range from {
		from[i] = unseen
	}
	var queue []int
	for _, r := range g.roots {
		if i := g.index[r.From]; from[i] == unseen {
			from[i] = -1
			queue = append(queue, i)
		}
	}
	for len(queue) > 0 && from[target] == unseen {
		n := queue[0]
		queue = queue[1:]
		for _, in := range g.inputs[n] {
			if from[in] == unseen {
				from[in] = n
				queue = append(queue, in)
			}
		}
	}
	if from[target] == unseen {
		return nil
	}
	var path []int
	for i := target; i >= 0; i = from[i] {
		path = append(path, i)
	}
	slices.Reverse(path)
	return g.ids(path)
}
