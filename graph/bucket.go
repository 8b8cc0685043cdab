// Joining fetches: which ones can share an op.

package graph

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Bucket groups fetches for Join, at most a number of them in each group, so that every merge still
// gets the same. It is for engines on which an op costs more than a download.
//
// Only fetches whose whole outputs go to merges, and to nothing else, are grouped: those that go to
// the same merges, and have the same ecosystem, kind and platform. Their outputs have no paths in
// common, and each can be merged where the first of its group is without hiding, or being hidden by,
// what it wasn't before.
//
// Which group a fetch is in depends on its package's name and on how many others there are around
// it, not on versions: when a package is replaced by another version, one group changes. When one
// comes or goes, at most one group is split or united with another one.
func Bucket(g *Graph, most int) map[ID][]ID {
	b := &bucketing{g: g, uses: map[int][]use{}, made: map[int][][]string{}, group: map[int]ID{}}
	b.candidates()
	b.rank()
	byKey := map[string][]int{}
	for i := range b.uses {
		k := b.key(i)
		byKey[k] = append(byKey[k], i)
	}
	for k, nodes := range byKey {
		slices.Sort(nodes)
		sum := sha256.Sum256([]byte(k))
		first := g.nodes[nodes[0]].ID
		b.split(nodes, most, ID{Ecosystem: first.Ecosystem, Kind: first.Kind, Package: "bucket", Variant: hex.EncodeToString(sum[:6])})
	}
	for b.evict() {
	}
	groups := map[ID][]ID{}
	for i := range g.nodes {
		if id, ok := b.group[i]; ok {
			groups[id] = append(groups[id], g.nodes[i].ID)
		}
	}
	for id, members := range groups {
		if len(members) < 2 {
			delete(groups, id)
		}
	}
	return groups
}

type bucketing struct {
	g     *Graph
	uses  map[int][]use      // of each candidate, by merge
	made  map[int][][]string // the paths of each part of a merge that has candidates
	group map[int]ID         // of each member
}

// use is a place of a fetch in a merge.
type use struct{ merge, part, rank int }

// candidates finds the fetches that only merges read, once each and as a whole.
func (b *bucketing) candidates() {
	g := b.g
	asked := map[ID]bool{}
	for _, r := range g.roots {
		asked[r.From] = true
	}
	for i, n := range g.nodes {
		if f, ok := n.Action.(*Fetch); ok && !asked[n.ID] && selfContained(n, f) {
			b.uses[i] = nil
		}
	}
	for m, n := range g.nodes {
		merge, isMerge := n.Action.(*Merge)
		parts := map[int]bool{}
		for p, in := range n.Action.Inputs() {
			i := g.index[in.From]
			if _, ok := b.uses[i]; !ok {
				continue
			}
			if !isMerge || in.Path != "" || in.Target != "" || parts[i] {
				delete(b.uses, i)
				continue
			}
			parts[i] = true
			b.uses[i] = append(b.uses[i], use{merge: m, part: p})
			b.made[m] = nil
		}
		if _, ok := b.made[m]; ok && isMerge {
			for _, in := range merge.Parts {
				b.made[m] = append(b.made[m], g.made(in))
			}
		}
	}
}

// selfContained reports whether a fetch's files depend on nothing but its own items.
func selfContained(n Node, f *Fetch) bool {
	for _, file := range f.Files {
		if file.If != "" && !slices.ContainsFunc(declared(n), func(o output) bool { return below(file.If, o.path) }) {
			return false
		}
	}
	return true
}

// rank tells apart what has paths in common: in each merge, a part's rank is larger than those of
// the earlier parts with which it has any.
func (b *bucketing) rank() {
	ranks := map[int][]int{}
	for m, made := range b.made {
		x := newOverlaps()
		ranks[m] = make([]int, len(made))
		for i, paths := range made {
			for _, p := range paths {
				ranks[m][i] = max(ranks[m][i], x.most(p)+1)
			}
			for _, p := range paths {
				x.add(p, ranks[m][i])
			}
		}
	}
	for _, uses := range b.uses {
		for i, u := range uses {
			uses[i].rank = ranks[u.merge][u.part]
		}
	}
}

// key is what the fetches of a group have in common.
func (b *bucketing) key(i int) string {
	n := b.g.nodes[i]
	var k strings.Builder
	fmt.Fprintf(&k, "%q", []string{n.ID.Ecosystem, n.ID.Kind, n.Platform})
	for _, u := range b.uses[i] {
		fmt.Fprintf(&k, " %s %d", b.g.nodes[u.merge].ID, u.rank)
	}
	return k.String()
}

// split divides nodes by the bits of a digest of their packages' names until few enough are together.
// The group's version has the bits that its members have in common.
func (b *bucketing) split(nodes []int, most int, name ID) {
	const bits = 32
	if len(nodes) <= most || len(name.Version) == bits {
		for _, i := range nodes {
			b.group[i] = name
		}
		return
	}
	var halves [2][]int
	for _, i := range nodes {
		sum := sha256.Sum256([]byte(b.g.nodes[i].ID.Package))
		bit := binary.BigEndian.Uint32(sum[:]) >> (bits - 1 - len(name.Version)) & 1
		halves[bit] = append(halves[bit], i)
	}
	for bit, half := range halves {
		to := name
		to.Version += string(rune('0' + bit))
		if len(half) > 0 {
			b.split(half, most, to)
		}
	}
}

// evict leaves alone the fetches that can't be merged where the first of their group is, and reports
// whether there were any.
func (b *bucketing) evict() bool {
	evicted := false
	for m, made := range b.made {
		at := make([]int, len(made))
		first := map[ID]int{}
		for p, in := range b.g.nodes[m].Action.Inputs() {
			at[p] = p
			id, ok := b.group[b.g.index[in.From]]
			if !ok {
				continue
			}
			if f, ok := first[id]; ok {
				at[p] = f
			} else {
				first[id] = p
			}
		}
		for _, p := range misplaced(made, at) {
			evicted = true
			delete(b.group, b.g.index[b.g.nodes[m].Action.Inputs()[p].From])
		}
	}
	return evicted
}
