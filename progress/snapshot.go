// What a tracker knows at one moment: totals, single states, and what views draw.

package progress

import (
	"slices"
	"strings"
	"time"

	"github.com/mergefest/mergefest/graph"
)

// Totals are numbers of nodes. Nodes is more than the sum of the others while the build runs
// and when it failed before it had reached all of them.
type Totals struct {
	Nodes    int `json:"nodes"`
	Cached   int `json:"cached"`
	Executed int `json:"executed"`
	Failed   int `json:"failed"`
}

// Totals counts the nodes by their present state.
func (t *Tracker) Totals() Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	var sum Totals
	for _, g := range t.groups {
		sum.Cached += g.counts[Cached]
		sum.Executed += g.counts[Executed]
		sum.Failed += g.counts[Failed]
	}
	sum.Nodes = len(t.nodes)
	return sum
}

// State returns the present state of a node; ok is false if the node isn't one of the build's.
func (t *Tracker) State(id graph.ID) (s State, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byID[id]
	if n == nil {
		return Pending, false
	}
	return n.state, true
}

// busy is something that runs now.
type busy struct {
	label string
	seen  time.Time
}

// snapshot is what views draw: counts by group, and the slowest running nodes.
type snapshot struct {
	groups  []group
	totals  Totals
	running int
	slowest []busy // longest first, at most limit
}

// snapshot takes at most limit slowest nodes. It costs time for the groups and what runs, not
// for the nodes.
func (t *Tracker) snapshot(limit int) snapshot {
	totals := t.Totals()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := snapshot{totals: totals, running: len(t.running)}
	for _, g := range t.groups {
		s.groups = append(s.groups, *g)
	}
	for n := range t.running {
		s.slowest = append(s.slowest, busy{label: n.label, seen: n.seen})
	}
	for v := range t.extra {
		s.slowest = append(s.slowest, busy{label: cleanLine(v.name), seen: v.since()})
	}
	slices.SortFunc(s.slowest, func(a, b busy) int {
		if c := a.seen.Compare(b.seen); c != 0 {
			return c
		}
		return strings.Compare(a.label, b.label)
	})
	s.slowest = s.slowest[:min(limit, len(s.slowest))]
	return s
}
