// What a tracker knows at one moment: totals, single states, and what views draw.

package progress

import (
	"bytes"
	"slices"
	"strings"
	"time"
	"unicode"

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
	node  *node  // nil for a vertex of no node
	said  string // the last line that the node's program printed, safe to show anywhere in a line
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
		s.slowest = append(s.slowest, busy{label: n.label, seen: n.seen, node: n})
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
	for i, b := range s.slowest {
		if b.node != nil {
			s.slowest[i].said = t.said(b.node)
		}
	}
	return s
}

// said returns the last line that the node's program has printed, whether it has ended or not; empty
// if there is none.
func (t *Tracker) said(n *node) string {
	for _, v := range n.vertices {
		if v.state != Running || v.program() == nil {
			continue
		}
		data := v.log.data
		for range 20 { // some may have nothing to see
			var line []byte
			data = bytes.TrimRight(data, "\n")
			at := bytes.LastIndexByte(data, '\n') + 1
			data, line = data[:at], data[at:]
			if bytes.HasPrefix(line, []byte(helperPrefix)) {
				continue
			}
			if said := t.inLine(line); said != "" {
				return said
			}
		}
	}
	return ""
}

// maxSaid is how much of a line is looked at for each frame, in bytes: more than terminals are wide.
const maxSaid = 1 << 10

// inLine is text for a part of one line on a terminal. Format characters and selectors of variants are
// left out: terminals don't agree on what they change, and the line must not become wider than it is
// taken for.
func (t *Tracker) inLine(raw []byte) string {
	raw = bytes.TrimRight(raw, "\r")
	raw = raw[bytes.LastIndexByte(raw, '\r')+1:]
	text := cleanLine(t.text(string(raw[:min(len(raw), maxSaid)])))
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || unicode.Is(unicode.Variation_Selector, r) {
			return -1
		}
		return r
	}, text)
}
