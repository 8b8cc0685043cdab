// The states of nodes and vertices, and how the attempts at a vertex add up to one.

package progress

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mergefest/mergefest/graph"
	digest "github.com/opencontainers/go-digest"
)

// State is where a node is.
type State int

// The states of a node.
const (
	Pending  State = iota // nothing happened yet; after a failed build: not reached
	Running               // at work
	Cached                // its result was there already
	Executed              // its action was carried out
	Failed                // its action failed
	numStates
)

// String returns the state as the report writes it.
func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Running:
		return "running"
	case Cached:
		return "cached"
	case Executed:
		return "executed"
	case Failed:
		return "failed"
	}
	return "unknown"
}

// node is the state of one node of the graph.
type node struct {
	graph.Node
	label    string // "go/compile example.com/a@v1.0.0"
	group    *group
	vertices []*vertex
	state    State
	start    time.Time // by the engine's clock; zero if it never ran
	end      time.Time
	seen     time.Time // by our clock: when it began to run
	bytes    int64
	sent     bool // files of a Local node were transferred
}

// vertex is the state of one vertex of BuildKit.
type vertex struct {
	digest   digest.Digest
	name     string
	leaf     bool // has no inputs
	image    bool // gives the content of an image
	nodes    []*node
	runs     map[int64]*run // by start time
	requests map[int]int    // of a leaf: uncached attempts, by solve
	loaded   map[string]int64
	unpacked bool
	log      logTail
	state    State
	err      string
	told     bool      // the failure has been announced
	spoke    time.Time // when output was last shown while it ran, by our clock; zero if never
	// lastWords is the helper's error, once the failure has been announced.
	lastWords string
}

// run is one attempt at a vertex.
type run struct {
	start, end time.Time // end is zero while it lasts
	seen       time.Time // start by our own clock, which needn't agree with the engine's
	cached     bool
	err        string
}

// ok says whether the attempt ended well.
func (r *run) ok() bool { return !r.end.IsZero() && r.err == "" }

// canceled says whether err, the text of a vertex's error, tells of a cancellation. Errors of
// vertices cross the wire as text, and BuildKit's own views test for this suffix too.
func canceled(err string) bool {
	return strings.HasSuffix(err, context.Canceled.Error())
}

// add records the attempt r of a solve.
func (v *vertex) add(solve int, r run) {
	key := r.start.UnixNano()
	old, known := v.runs[key]
	if !known {
		if v.runs == nil {
			v.runs = map[int64]*run{}
		}
		old = &run{seen: r.seen}
		v.runs[key] = old
		if v.leaf && !r.cached {
			if v.requests == nil {
				v.requests = map[int]int{}
			}
			v.requests[solve]++
		}
	}
	if known && !old.end.IsZero() && r.end.IsZero() {
		return // a late repetition of the start by another solve
	}
	seen := old.seen
	*old = r
	old.seen = seen
}

// executedUncached says whether successful uncached attempts are executions and not mere
// requests for the cache key.
func (v *vertex) executedUncached() bool {
	if !v.leaf {
		return true
	}
	if v.image {
		return v.unpacked
	}
	for _, n := range v.requests {
		if n > 1 {
			return true
		}
	}
	return false
}

// fold derives the vertex's state from its attempts.
func (v *vertex) fold() {
	var failed, last *run // the last real failure; the last attempt of all that wasn't cancelled
	var running, cached, uncached bool
	for _, r := range v.runs {
		switch {
		case r.end.IsZero():
			running = true
		case r.ok() && r.cached:
			cached = true
		case r.ok():
			uncached = true
		case canceled(r.err):
			continue
		case failed == nil || r.start.After(failed.start):
			failed = r
		}
		if last == nil || r.start.After(last.start) {
			last = r
		}
	}
	v.err = ""
	switch {
	case failed != nil && failed == last:
		v.state, v.err = Failed, failed.err
	case running && !(uncached && v.executedUncached()):
		v.state = Running
	case uncached && v.executedUncached():
		v.state = Executed
	case cached:
		v.state = Cached
	default:
		v.state = Pending
	}
}

// fold derives the node's state from its vertices.
func (n *node) fold() State {
	if _, ok := n.Action.(*graph.Local); ok {
		return n.foldLocal()
	}
	var has [numStates]bool
	for _, v := range n.vertices {
		if v.state == Failed && !v.blames(n) {
			continue
		}
		has[v.state] = true
	}
	switch {
	case has[Failed]:
		return Failed
	case has[Running], has[Executed] && has[Pending]:
		// The second case: one of its vertices is done and the next has not begun.
		return Running
	case has[Executed]:
		return Executed
	case has[Cached]:
		return Cached
	}
	return Pending
}

// foldLocal is fold for nodes whose vertex is shared and runs in every build.
func (n *node) foldLocal() State {
	if n.sent {
		return Executed
	}
	state := Pending
	for _, v := range n.vertices {
		switch v.state {
		case Failed:
			if v.blames(n) {
				return Failed
			}
		case Executed, Cached:
			state = Cached
		}
	}
	return state
}

// blames says whether the vertex's failure is the node's. A vertex that carries several nodes (the
// transfer of local files does, and joined fetches do) blames those that are named, or else all.
func (v *vertex) blames(n *node) bool {
	return len(v.nodes) == 1 || v.names(n) || !slices.ContainsFunc(v.nodes, v.names)
}

// names says whether the failed vertex's error has the node's ID, or the end of its output begins a
// line with the name of one of the node's downloads, as the helper does.
func (v *vertex) names(n *node) bool {
	if strings.Contains(v.err, n.ID.String()) {
		return true
	}
	f, ok := n.Action.(*graph.Fetch)
	if !ok {
		return false
	}
	for line := range strings.Lines(v.lastWords) {
		line = strings.TrimPrefix(line, helperPrefix)
		for _, it := range f.Items {
			if strings.HasPrefix(line, it.Name+": ") {
				return true
			}
		}
	}
	return false
}

// helperPrefix begins the line in which the helper says why it failed. Lines before it may tell of
// what went well in the end.
const helperPrefix = "mergefest-helper: "

// lastWords is the end of an output, from the helper's error on; empty if there is none.
func lastWords(out string) string {
	at := strings.LastIndex("\n"+out, "\n"+helperPrefix)
	if at < 0 {
		return ""
	}
	return out[at:]
}

// span returns the time from the first to the last attempt that did the work (or failed), by the
// engine's clock. ok is false if there is none.
func (n *node) span() (start, end time.Time, ok bool) {
	for _, v := range n.vertices {
		for _, r := range v.runs {
			if r.cached || r.end.IsZero() || canceled(r.err) {
				continue
			}
			if start.IsZero() || r.start.Before(start) {
				start = r.start
			}
			if r.end.After(end) {
				end = r.end
			}
		}
	}
	return start, end, !start.IsZero()
}
