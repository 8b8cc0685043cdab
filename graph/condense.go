// Joining nodes: groups that need each other.

package graph

import "slices"

// Condense groups nodes by a key, so that joining the groups makes no cycle. Nodes for which key
// returns false stay alone.
//
// Two groups need each other if members of each need members of the other one (as the packages of
// Go modules can), perhaps by way of other nodes. If everything on the way consists of runs of one
// platform, it becomes one group, under the smallest of the keys; otherwise the groups are given up
// and their members stay alone. Groups of one are left out. Members are in canonical order.
func Condense(g *Graph, key func(Node) (group ID, ok bool)) map[ID][]ID {
	// Classes are the groups and the nodes without one.
	class := make([]int, len(g.nodes))
	var members [][]int
	var keys []ID // the zero ID for a node without a group
	byKey := map[ID]int{}
	for i, n := range g.nodes {
		k, ok := key(n)
		c, known := byKey[k]
		if !ok || !known {
			c = len(members)
			members = append(members, nil)
			if ok {
				byKey[k] = c
				keys = append(keys, k)
			} else {
				keys = append(keys, ID{})
			}
		}
		class[i] = c
		members[c] = append(members[c], i)
	}
	edges := make([][]int, len(members))
	for i := range g.nodes {
		for _, in := range g.inputs[i] {
			if class[in] != class[i] {
				edges[class[i]] = append(edges[class[i]], class[in])
			}
		}
	}
	groups := map[ID][]ID{}
	for _, component := range components(edges) {
		var all []int
		var name ID
		for _, c := range component {
			all = append(all, members[c]...)
			if k := keys[c]; k != (ID{}) && (name == (ID{}) || k.Compare(name) < 0) {
				name = k
			}
		}
		if len(all) < 2 || name == (ID{}) || len(component) > 1 && !g.alike(all) || len(component) == 1 && g.detour(all) {
			continue
		}
		slices.Sort(all)
		groups[name] = g.ids(all)
	}
	return groups
}

// alike reports whether nodes are runs of one platform.
func (g *Graph) alike(nodes []int) bool {
	for _, i := range nodes {
		if KindOf(g.nodes[i].Action) != "run" || g.nodes[i].Platform != g.nodes[nodes[0]].Platform {
			return false
		}
	}
	return true
}

// detour reports whether a group reads from itself though it isn't made of runs, which alone can.
func (g *Graph) detour(nodes []int) bool {
	in := map[int]bool{}
	for _, i := range nodes {
		in[i] = true
	}
	for _, i := range nodes {
		for _, from := range g.inputs[i] {
			if in[from] && !g.alike(nodes) {
				return true
			}
		}
	}
	return false
}

// components returns the strongly connected components (Tarjan's algorithm, without recursion, for
// deep graphs), each sorted.
func components(edges [][]int) [][]int {
	const unseen = -1
	n := len(edges)
	index, low, open := make([]int, n), make([]int, n), make([]bool, n)
	for i := range index {
		index[i] = unseen
	}
	var out [][]int
	var stack []int
	next := 0
	type frame struct{ node, edge int }
	for start := range n {
		if index[start] != unseen {
			continue
		}
		work := []frame{{start, 0}}
		for len(work) > 0 {
			f := &work[len(work)-1]
			v := f.node
			if f.edge == 0 {
				index[v], low[v], open[v] = next, next, true
				next++
				stack = append(stack, v)
			}
			if f.edge < len(edges[v]) {
				w := edges[v][f.edge]
				f.edge++
				if index[w] == unseen {
					work = append(work, frame{w, 0})
				} else if open[w] {
					low[v] = min(low[v], index[w])
				}
				continue
			}
			work = work[:len(work)-1]
			if len(work) > 0 {
				up := work[len(work)-1].node
				low[up] = min(low[up], low[v])
			}
			if low[v] != index[v] {
				continue
			}
			at := len(stack) - 1
			for stack[at] != v {
				at--
			}
			component := slices.Clone(stack[at:])
			for _, w := range component {
				open[w] = false
			}
			stack = stack[:at]
			slices.Sort(component)
			out = append(out, component)
		}
	}
	return out
}
