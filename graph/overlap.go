// The order of a merge's parts: which of them have paths in common, so that it matters.

package graph

// overlaps has paths with numbers, and finds the largest number among the paths that have something
// in common with another one: that are it, contain it, or are inside of it.
type overlaps struct {
	at    map[string]int // of a path itself
	under map[string]int // of everything at or below a path
}

func newOverlaps() *overlaps { return &overlaps{at: map[string]int{}, under: map[string]int{}} }

func (x *overlaps) add(p string, number int) {
	raise(x.at, p, number)
	for up := range upwards(p) {
		raise(x.under, up, number)
	}
}

func raise(m map[string]int, p string, number int) {
	if old, ok := m[p]; !ok || number > old {
		m[p] = number
	}
}

// most returns the largest number, or -1 if nothing has anything in common with p.
func (x *overlaps) most(p string) int {
	most := -1
	if n, ok := x.under[p]; ok {
		most = n
	}
	for up := range upwards(p) {
		if n, ok := x.at[up]; ok {
			most = max(most, n)
		}
	}
	return most
}

// made returns paths such that everything that a part brings to a merge is at or below one of them.
func (g *Graph) made(in Input) []string {
	n := g.nodes[g.index[in.From]]
	var paths []string
	switch a := n.Action.(type) {
	case *Fetch, *Run:
		for _, o := range declared(n) {
			paths = append(paths, o.path)
		}
	case *Write:
		for _, f := range a.Files {
			paths = append(paths, f.Path)
		}
	default:
		return []string{in.Target}
	}
	if in.Path != "" {
		return []string{in.Target}
	}
	for i, p := range paths {
		paths[i] = under(in.Target, p)
	}
	return paths
}

// misplaced returns the parts of a merge that would come before an earlier part with which they have
// paths in common, if each part went from its own place to at[i] <= i. made has each part's paths.
func misplaced(made [][]string, at []int) []int {
	var out []int
	x := newOverlaps()
	for i, paths := range made {
		for _, p := range paths {
			if at[i] < i && x.most(p) > at[i] {
				out = append(out, i)
				break
			}
		}
		for _, p := range paths {
			x.add(p, at[i])
		}
	}
	return out
}
