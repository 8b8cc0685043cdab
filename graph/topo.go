// Topological order and cycles.

package graph

import "container/heap"

// sort fills in the topological order (Kahn's algorithm with the smallest ready node first), or
// returns a cycle.
func (g *Graph) sort() error {
	waits := make([]int, len(g.nodes))
	ready := intHeap{}
	for i, in := range g.inputs {
		if waits[i] = len(in); waits[i] == 0 {
			ready = append(ready, i) // ascending, and so a heap
		}
	}
	g.order = make([]int, 0, len(g.nodes))
	for len(ready) > 0 {
		n := heap.Pop(&ready).(int)
		g.order = append(g.order, n)
		for _, d := range g.dependents[n] {
			if waits[d]--; waits[d] == 0 {
				heap.Push(&ready, d)
			}
		}
	}
	if len(g.order) == len(g.nodes) {
		g.ranks = make([]int, len(g.nodes))
		for at, n := range g.order {
			g.ranks[n] = at
		}
		return nil
	}
	return &CycleError{IDs: g.ids(cycle(g.inputs, waits))}
}

// cycle returns a cycle among the nodes that still wait, beginning with its smallest node. Each of
// them has an input that waits too, or it would have become ready: following the first such input
// must come back to where it was.
func cycle(inputs [][]int, waits []int) []int {
	start := 0
	for waits[start] == 0 {
		start++
	}
	seenAt := map[int]int{}
	var path []int
	for n := start; ; {
		if at, seen := seenAt[n]; seen {
			path = path[at:]
			break
		}
		seenAt[n] = len(path)
		path = append(path, n)
		for _, in := range inputs[n] {
			if waits[in] > 0 {
				n = in
				break
			}
		}
	}
	least := 0
	for i, n := range path {
		if n < path[least] {
			least = i
		}
	}
	return append(append([]int(nil), path[least:]...), path[:least]...)
}

type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
