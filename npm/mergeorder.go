package npm

import "sort"

// mergeOrder sorts tarballs so that each comes after those whose places are around its own: what a
// tarball has at another package's place, in a node_modules of its own, must not hide that package,
// and of a merge the last wins. One sequence can't do that for tarballs that lie around each
// other (in different places); those are unpacked by one node for each place.
func mergeOrder(list []*tarball) []*tarball {
	for {
		sort.SliceStable(list, func(i, j int) bool { return list[i].depth() < list[j].depth() })
		s := &orderer{at: map[*node]*tarball{}, state: map[*tarball]int{}}
		for _, f := range list {
			for _, c := range f.places {
				s.at[c.node] = f
			}
		}
		for _, f := range list {
			if s.visit(f); s.cycle != nil {
				break
			}
		}
		if s.cycle == nil {
			return s.out
		}
		list = split(list, s.cycle)
	}
}

// orderer visits tarballs depth first.
type orderer struct {
	at    map[*node]*tarball
	state map[*tarball]int // how far its visit is: visiting or visited
	stack []*tarball
	out   []*tarball
	cycle []*tarball // the first that was found
}

const (
	visiting = 1
	visited  = 2
)

func (s *orderer) visit(f *tarball) {
	switch {
	case s.cycle != nil || s.state[f] == visited:
		return
	case s.state[f] == visiting:
		for i, g := range s.stack {
			if g == f {
				s.cycle = append(s.cycle, s.stack[i:]...)
			}
		}
		return
	}
	s.state[f] = visiting
	s.stack = append(s.stack, f)
	for _, c := range f.places {
		if g := s.around(c.node); g != nil && g != f {
			s.visit(g)
		}
	}
	s.stack = s.stack[:len(s.stack)-1]
	s.state[f] = visited
	s.out = append(s.out, f)
}

// around is the tarball of the next package above n that comes in one, nil if there is none.
func (s *orderer) around(n *node) *tarball {
	for up := n.parent; up != nil; up = up.parent {
		if g := s.at[up]; g != nil {
			return g
		}
	}
	return nil
}

// split gives each place of the tarballs of a cycle a tarball of its own. Places lie around each
// other in one way only, so that a cycle has a tarball with several.
func split(list, cycle []*tarball) []*tarball {
	in := map[*tarball]bool{}
	for _, f := range cycle {
		in[f] = true
	}
	var out []*tarball
	for _, f := range list {
		if !in[f] {
			out = append(out, f)
			continue
		}
		for _, c := range f.places {
			one := *f
			one.places = []*carried{c}
			out = append(out, &one)
		}
	}
	return out
}
