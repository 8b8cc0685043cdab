package npm

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestMergeOrder orders the tarballs of random trees: what is below another comes after it, and each
// place stays in one tarball.
func TestMergeOrder(t *testing.T) {
	splits := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		list, places := randomTarballs(r)
		before := len(list)
		got := mergeOrder(list)
		if len(got) > before {
			splits++
		}
		at := map[*node]int{}
		for i, f := range got {
			for _, c := range f.places {
				if _, twice := at[c.node]; twice {
					t.Fatalf("seed %d: a place is in two tarballs", seed)
				}
				at[c.node] = i
			}
		}
		if len(at) != places {
			t.Fatalf("seed %d: %d of %d places are left", seed, len(at), places)
		}
		for n, i := range at {
			for up := n.parent; up != nil; up = up.parent {
				if j, ok := at[up]; ok && j > i {
					t.Fatalf("seed %d: %s is merged before %s, which is around it", seed, got[i].name, got[j].name)
				}
			}
		}
	}
	if splits == 0 || splits == 300 {
		t.Errorf("tarballs were split in %d of 300 trees: the test covers one way only", splits)
	}
}

// TestMergeOrderKeepsGroups has a tarball in several places that a sequence can serve.
func TestMergeOrderKeepsGroups(t *testing.T) {
	root := &node{}
	s, p := &node{parent: root}, &node{parent: root}
	leaf, deep := &node{parent: s}, &node{parent: &node{parent: p}}
	list := []*tarball{
		{name: "leaf", places: []*carried{{node: leaf}}},
		{name: "p", places: []*carried{{node: p}}},
		{name: "s", places: []*carried{{node: s}, {node: deep}}},
	}
	var names []string
	for _, f := range mergeOrder(list) {
		names = append(names, f.name)
	}
	if got := fmt.Sprint(names); got != "[p s leaf]" {
		t.Errorf("got %s, want [p s leaf]", got)
	}
}

func randomTarballs(r *rand.Rand) (list []*tarball, places int) {
	nodes := []*node{{}}
	for i := range 3 + r.IntN(5) {
		list = append(list, &tarball{name: fmt.Sprint("t", i)})
	}
	for range 4 + r.IntN(12) {
		n := &node{parent: nodes[r.IntN(len(nodes))]}
		nodes = append(nodes, n)
		if r.IntN(6) == 0 {
			continue // bundled: it comes in no tarball of its own
		}
		f := list[r.IntN(len(list))]
		f.places = append(f.places, &carried{node: n})
		places++
	}
	var used []*tarball
	for _, f := range list {
		if len(f.places) > 0 {
			used = append(used, f)
		}
	}
	return used, places
}
