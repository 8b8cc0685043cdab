package graph

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
)

// packages returns a random graph of fetches that are nested in each other, and of merges that take
// some of them, in an order that respects the nesting more or less.
func packages(r *rand.Rand, n int) ([]Node, []Root) {
	var nodes []Node
	dirs := []string{""}
	for i := range n {
		f := &Fetch{}
		name := fmt.Sprintf("p%d", r.IntN(n))
		for range 1 + r.IntN(8)/7 {
			dest := path.Join(dirs[r.IntN(len(dirs))], "m", name)
			if slices.ContainsFunc(f.Items, func(it action.Item) bool { return it.Dests[0] == dest }) {
				continue
			}
			if !slices.Contains(dirs, dest) {
				dirs = append(dirs, dest)
			}
			f.Items = append(f.Items, action.Item{Name: fmt.Sprintf("%s@%d", name, i), URLs: []string{"https://registry.example.com/x"},
				Integrity: []string{"sha256-AAAA"}, Unpack: &action.Unpack{Format: "tar"}, Dests: []string{dest}})
			if r.IntN(4) == 0 {
				f.Files = append(f.Files, action.File{Path: path.Join(path.Dir(dest), ".bin", fmt.Sprint(name, i, len(f.Files))), Link: "x",
					If: path.Join([]string{dest, "m/p1"}[r.IntN(8)/7], "cli")})
			}
		}
		nodes = append(nodes, Node{ID: ID{"t", "fetch", name, fmt.Sprint(i), ""}, Action: f})
	}
	var roots []Root
	for i := range 1 + r.IntN(3) {
		m := &Merge{}
		order := r.Perm(n)
		depth := func(i int) int { return strings.Count(declared(nodes[i])[0].path, "/m/") }
		slices.SortStableFunc(order, func(a, b int) int { return depth(a) - depth(b) })
		for _, j := range order {
			in := Input{From: nodes[j].ID}
			switch r.IntN(12 * n) {
			case 0:
				continue
			case 1:
				in.Target = "elsewhere"
			case 2:
				in.Path = declared(nodes[j])[0].path
			case 3:
				m.Parts = append(m.Parts, in)
			}
			m.Parts = append(m.Parts, in)
		}
		if r.IntN(2) == 0 {
			w := Node{ID: id(fmt.Sprint("files", i)), Action: &Write{Files: []action.File{{Path: dirs[len(dirs)-1] + "/content", Text: "x"}}}}
			nodes = append(nodes, w)
			m.Parts = slices.Insert(m.Parts, r.IntN(len(m.Parts)+1), Input{From: w.ID})
		}
		tree := Node{ID: id(fmt.Sprint("tree", i)), Action: m}
		nodes = append(nodes, tree)
		roots = append(roots, Root{Name: tree.ID.Package, From: tree.ID, Dest: tree.ID.Package})
	}
	return nodes, roots
}

// TestBucketKeepsResults expects that Join takes what Bucket gives, that no merge needs a member
// picked out, and that every root gets what it got before.
func TestBucketKeepsResults(t *testing.T) {
	joined, fetches := 0, 0
	for seed := range uint64(400) {
		r := newRand(seed)
		g := must(New(packages(r, 2+r.IntN(40))))
		most := 2 + r.IntN(6)
		groups := Bucket(g, most)
		h, err := Join(g, groups)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, g.Text())
		}
		want, got := delivered(g), delivered(h)
		if !maps.Equal(got, want) {
			t.Fatalf("seed %d: %v\ngot  %v\nwant %v\nfrom\n%s\nto\n%s", seed, groups, got, want, g.Text(), h.Text())
		}
		wanted := g.Len()
		for name, members := range groups {
			if len(members) < 2 || len(members) > most && members[0].Package != members[len(members)-1].Package {
				t.Errorf("seed %d: the group %s has %d members", seed, name, len(members))
			}
			wanted -= len(members) - 1
			joined += len(members)
		}
		if h.Len() != wanted {
			t.Fatalf("seed %d: %d nodes instead of %d: a member is picked out", seed, h.Len(), wanted)
		}
		for _, n := range g.Nodes() {
			if KindOf(n.Action) == "fetch" {
				fetches++
			}
		}
	}
	if joined < fetches/2 {
		t.Errorf("only %d of %d fetches were joined", joined, fetches)
	}
}

// TestBucketStable expects that a new version changes one group, and a new package a few.
func TestBucketStable(t *testing.T) {
	const most = 20
	lock := func(versions map[string]string) (*Graph, map[ID][]ID) {
		var b Builder
		m := &Merge{}
		for _, name := range slices.Sorted(maps.Keys(versions)) {
			f := &Fetch{Fetch: action.Fetch{Items: []action.Item{{Name: name, URLs: []string{"https://registry.example.com/" + name},
				Integrity: []string{"sha256-AAAA"}, Dests: []string{"m/" + name}}}}}
			m.Parts = append(m.Parts, Input{From: b.Add(Node{ID: ID{"t", "fetch", name, versions[name], ""}, Action: f})})
		}
		b.Root(Root{Name: "tree", From: b.Add(Node{ID: id("tree"), Action: m})})
		g := must(b.Build())
		return g, Bucket(g, most)
	}
	changed := func(a, b map[ID][]ID) int {
		n := 0
		for id, members := range b {
			if !slices.Equal(members, a[id]) {
				n++
			}
		}
		return n
	}
	versions := map[string]string{}
	for i := range 1000 {
		versions[fmt.Sprint("package-", i)] = "1.0.0"
	}
	g, groups := lock(versions)
	if len(groups) < 1000/most || len(groups) > 2*1000/most {
		t.Errorf("%d groups of at most %d for 1000 fetches", len(groups), most)
	}
	for id := range groups {
		if _, err := ParseID(id.String()); err != nil {
			t.Error(err)
		}
	}
	if h := must(Join(g, groups)); h.Len() != len(groups)+1 {
		t.Errorf("%d nodes for %d groups", h.Len(), len(groups))
	}
	versions["package-7"] = "2.0.0"
	if _, bumped := lock(versions); changed(groups, bumped) != 1 {
		t.Errorf("a new version changes %d groups", changed(groups, bumped))
	}
	for i := range 20 {
		_, before := lock(versions)
		versions[fmt.Sprint("new-", i)] = "1.0.0"
		if _, after := lock(versions); changed(before, after) > 2 {
			t.Errorf("the new package %d changes %d groups", i, changed(before, after))
		}
	}
}

func BenchmarkBucket(b *testing.B) {
	g := must(New(packages(newRand(1), 2000)))
	for b.Loop() {
		must(Join(g, Bucket(g, 30)))
	}
}
