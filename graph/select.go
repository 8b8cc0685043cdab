// Parts of a graph, and graphs put together.

package graph

import (
	"errors"
	"maps"
	"slices"
)

// SelectOptions says which roots to keep. The zero value keeps all.
type SelectOptions struct {
	// Roots are names of roots; empty means all.
	Roots []string
	// Platforms keeps roots for one of them, and those that are for any; empty means all.
	Platforms []string
}

// Select returns the graph of the roots asked for and of the nodes that they need. A name or
// platform without a root is a *RootError.
func (g *Graph) Select(o SelectOptions) (*Graph, error) {
	var roots []Root
	found := map[string]bool{}
	names, platforms := map[string]bool{}, map[string]bool{}
	for _, r := range g.roots {
		names[r.Name], platforms[r.Platform] = true, true
		name := len(o.Roots) == 0 || slices.Contains(o.Roots, r.Name)
		platform := len(o.Platforms) == 0 || r.Platform == "" || slices.Contains(o.Platforms, r.Platform)
		if name && platform {
			roots = append(roots, r)
			found[r.Name] = true
		}
	}
	var errs []error
	for _, name := range o.Roots {
		if !found[name] {
			errs = append(errs, &RootError{Name: name, Have: slices.Sorted(maps.Keys(names))})
		}
	}
	for _, p := range o.Platforms {
		if !platforms[p] && !platforms[""] {
			errs = append(errs, &RootError{Name: p, Have: slices.Sorted(maps.Keys(platforms))})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return New(g.closure(roots), roots)
}

// Reachable returns the graph without the nodes that no root needs.
func (g *Graph) Reachable() *Graph {
	nodes := g.closure(g.roots)
	if len(nodes) == len(g.nodes) {
		return g
	}
	sub, err := New(nodes, g.roots)
	if err != nil {
		panic("graph: a closed part of a valid graph is valid: " + err.Error())
	}
	return sub
}

func (g *Graph) closure(roots []Root) []Node {
	keep := make([]bool, len(g.nodes))
	var stack []int
	push := func(i int) {
		if !keep[i] {
			keep[i] = true
			stack = append(stack, i)
		}
	}
	for _, r := range roots {
		push(g.index[r.From])
	}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, in := range g.inputs[n] {
			push(in)
		}
	}
	var nodes []Node
	for i, n := range g.nodes {
		if keep[i] {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Union returns one graph with the nodes and roots of all. Equal nodes are shared; two different
// nodes of one ID, or roots of one name and platform, are a *ConflictError.
func Union(graphs ...*Graph) (*Graph, error) {
	var b Builder
	for _, g := range graphs {
		for _, n := range g.nodes {
			b.Add(n)
		}
		for _, r := range g.roots {
			b.Root(r)
		}
	}
	return b.Build()
}

// Builder collects nodes and roots, each as often as it comes up. The zero Builder is ready to use.
type Builder struct {
	nodes map[ID]Node
	roots map[[2]string]Root
	errs  []error
}

// Add adds a node and returns its ID. Adding an equal node again does nothing; a different one of
// the same ID is reported by Build.
func (b *Builder) Add(n Node) ID {
	n = normal(n)
	if old, ok := b.nodes[n.ID]; ok {
		if field := difference(old, n); field != "" {
			b.errs = append(b.errs, &ConflictError{Node: n.ID, Field: field})
		}
		return n.ID
	}
	if b.nodes == nil {
		b.nodes = map[ID]Node{}
	}
	b.nodes[n.ID] = n
	return n.ID
}

// Has reports whether a node was added.
func (b *Builder) Has(id ID) bool {
	_, ok := b.nodes[id]
	return ok
}

// Root adds a root. Adding an equal one again does nothing; a different one of the same name and
// platform is reported by Build.
func (b *Builder) Root(r Root) {
	r.Path, r.Dest = normalPath(r.Path), normalPath(r.Dest)
	key := [2]string{r.Platform, r.Name}
	if old, ok := b.roots[key]; ok {
		if old != r {
			b.errs = append(b.errs, &ConflictError{Root: r.Name, Field: rootDifference(old, r)})
		}
		return
	}
	if b.roots == nil {
		b.roots = map[[2]string]Root{}
	}
	b.roots[key] = r
}

// Build returns the graph of what was added; see New for the errors.
func (b *Builder) Build() (*Graph, error) {
	g, err := New(slices.Collect(maps.Values(b.nodes)), slices.Collect(maps.Values(b.roots)))
	if err = errors.Join(append(slices.Clone(b.errs), err)...); err != nil {
		return nil, err
	}
	return g, nil
}
