// The model of a build under way: status streams in, states of nodes and events for views out.

package progress

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"
)

// Config describes what a Tracker follows. The zero value follows a build without nodes.
type Config struct {
	// Nodes are all nodes that the build needs, in any order.
	Nodes []graph.Node
	// NodeOf returns the nodes that a vertex belongs to. ok is false for a vertex of no node,
	// such as an export: it is shown while it runs and counted nowhere. Nil knows no vertex.
	NodeOf func(digest.Digest) (ids []graph.ID, ok bool)
	// Chain returns why the build needs a node: the path from a root to the node, both included.
	// Nil or an empty result leaves it out of messages.
	Chain func(graph.ID) []graph.ID
	// PathMap turns text with paths inside the engine into text with paths that the user knows.
	// It is applied to every program's output, which it gets whole or in pieces of whole lines. Nil
	// changes nothing.
	PathMap func(string) string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Begun is when the build began, by the engine's clock as far as it is known. The engine tells
	// of what it did before, too, as long as another build needs it: work that had ended by then
	// was another build's, and to this one its result was there. Zero takes everything for this
	// build's.
	Begun time.Time
}

// Tracker folds the status streams of any number of concurrent solves into the states of a
// graph's nodes. Its methods may be called from any goroutine.
type Tracker struct {
	cfg Config

	mu       sync.Mutex
	nodes    []*node // in canonical order
	byID     map[graph.ID]*node
	byDigest map[digest.Digest]*vertex
	groups   []*group // in canonical order
	running  map[*node]struct{}
	extra    map[*vertex]struct{} // running vertices of no node
	solves   int
	events   []event
	failures []Failure
	finished bool
	stopped  bool    // by Stop
	speaker  *vertex // whose output was the last to be shown as it came
}

// group counts the nodes of one ecosystem and kind.
type group struct {
	ecosystem, kind string
	counts          [numStates]int
}

// event is something that a view tells once, in the order that it happened.
type event struct {
	kind     eventKind
	node     graph.ID
	label    string
	duration time.Duration
	text     string
	action   graph.Action
	failure  Failure
	more     bool // of output: some of the same program's has been shown before
}

type eventKind int

const (
	eventDone    eventKind = iota // a node has executed
	eventOutput                   // a program that succeeded, or takes long, has said something
	eventFailed                   // a vertex has failed
	eventWarning                  // the engine warns
)

// NewTracker returns a tracker of a build that has not begun. Of nodes with the same ID only the
// first counts.
func NewTracker(cfg Config) *Tracker {
	if cfg.NodeOf == nil {
		cfg.NodeOf = func(digest.Digest) ([]graph.ID, bool) { return nil, false }
	}
	if cfg.Chain == nil {
		cfg.Chain = func(graph.ID) []graph.ID { return nil }
	}
	if cfg.PathMap == nil {
		cfg.PathMap = func(s string) string { return s }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	t := &Tracker{
		cfg:      cfg,
		byID:     make(map[graph.ID]*node, len(cfg.Nodes)),
		byDigest: map[digest.Digest]*vertex{},
		running:  map[*node]struct{}{},
		extra:    map[*vertex]struct{}{},
	}
	for _, n := range cfg.Nodes {
		if t.byID[n.ID] == nil {
			nn := &node{Node: n, label: n.ID.String()}
			t.byID[n.ID] = nn
			t.nodes = append(t.nodes, nn)
		}
	}
	slices.SortFunc(t.nodes, func(a, b *node) int { return a.ID.Compare(b.ID) })
	t.group()
	return t
}

// group sorts the nodes into groups.
func (t *Tracker) group() {
	type key struct{ ecosystem, kind string }
	groups := map[key]*group{}
	for _, n := range t.nodes {
		k := key{n.ID.Ecosystem, n.ID.Kind}
		g := groups[k]
		if g == nil {
			g = &group{ecosystem: k.ecosystem, kind: k.kind}
			groups[k] = g
			t.groups = append(t.groups, g)
		}
		n.group = g
		g.counts[Pending]++
	}
	slices.SortFunc(t.groups, func(a, b *group) int {
		if c := strings.Compare(a.ecosystem, b.ecosystem); c != 0 {
			return c
		}
		return strings.Compare(a.kind, b.kind)
	})
}

// Solve begins a solve and returns the receiver of its status stream. Each concurrent or
// repeated solve needs one of its own.
func (t *Tracker) Solve() func(*client.SolveStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.solves++
	solve := t.solves
	return func(s *client.SolveStatus) { t.update(solve, s) }
}

// Transferred says that a Local node's files were sent to the engine: how many, and their size
// in bytes. A node for which it isn't called, or with no files, was there already.
func (t *Tracker) Transferred(id graph.ID, files int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.byID[id]; n != nil && files > 0 {
		n.sent, n.bytes = true, bytes
		t.refold(n)
	}
}

// Stop says that the solves are being ended from outside: by an interrupt, or because one of them
// failed. What fails from now on fails for that, in words that needn't tell so ("EOF"), and counts as
// not reached.
func (t *Tracker) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
}

// Finish says that all solves are over. If ok, what the engine never touched was cached; if not,
// it wasn't reached. Later statuses are ignored.
func (t *Tracker) Finish(ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finished {
		return
	}
	t.finished = true
	clear(t.running)
	clear(t.extra)
	for _, n := range t.nodes {
		switch {
		case n.state == Failed || n.state == Cached || n.state == Executed:
		case !ok:
			t.set(n, Pending)
		case slices.ContainsFunc(n.vertices, func(v *vertex) bool { return v.state == Executed }):
			t.set(n, Executed)
		default:
			t.set(n, Cached)
		}
	}
}

// update folds one status of a solve.
func (t *Tracker) update(solve int, s *client.SolveStatus) {
	if s == nil {
		return
	}
	now := t.cfg.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finished {
		return
	}
	// Logs and statuses come first: a status often brings the end of a vertex together with its
	// last output.
	for _, l := range s.Logs {
		if l != nil {
			t.vertex(l.Vertex).log.add(l)
		}
	}
	for _, st := range s.Statuses {
		if st != nil {
			t.vertex(st.Vertex).load(st)
		}
	}
	changed := make(map[*vertex]struct{}, len(s.Vertexes))
	for _, cv := range s.Vertexes {
		if cv == nil {
			continue
		}
		v := t.vertex(cv.Digest)
		v.name, v.leaf = cv.Name, len(cv.Inputs) == 0
		failure := cv.Error
		if t.stopped && failure != "" && !v.told {
			failure = context.Canceled.Error()
		}
		if cv.Started != nil {
			r := run{start: *cv.Started, seen: now, cached: cv.Cached, err: failure}
			if cv.Completed != nil {
				r.end = *cv.Completed
				r.cached = r.cached || r.end.Before(t.cfg.Begun) && r.err == ""
			}
			v.add(solve, r)
			changed[v] = struct{}{}
		} else if failure != "" {
			// An op that could not even begin, for instance an unknown kind of op.
			v.add(solve, run{start: now, end: now, seen: now, err: failure})
			changed[v] = struct{}{}
		}
	}
	for _, st := range s.Statuses {
		if st != nil {
			changed[t.vertex(st.Vertex)] = struct{}{}
		}
	}
	t.refoldAll(changed)
	for _, w := range s.Warnings {
		if w != nil {
			t.events = append(t.events, event{kind: eventWarning, text: t.text(string(w.Short))})
		}
	}
}

// vertex returns the record of a vertex, a new one if it is unknown.
func (t *Tracker) vertex(d digest.Digest) *vertex {
	if v := t.byDigest[d]; v != nil {
		return v
	}
	v := &vertex{digest: d}
	t.byDigest[d] = v
	ids, _ := t.cfg.NodeOf(d)
	for _, id := range ids {
		n := t.byID[id]
		if n == nil || slices.Contains(v.nodes, n) {
			continue
		}
		v.nodes = append(v.nodes, n)
		n.vertices = append(n.vertices, v)
		switch n.Action.(type) {
		case *graph.Image, *graph.Import:
			v.image = true
		}
	}
	return v
}

// load records a transfer within a vertex.
func (v *vertex) load(s *client.VertexStatus) {
	layer, unpacking := strings.CutPrefix(s.ID, "extracting ")
	if strings.HasPrefix(layer, "sha256:") {
		v.unpacked = true
	}
	// "transferring NAME:" counts the exchange of metadata too; Transferred knows better.
	if unpacking || s.Current == 0 || strings.HasPrefix(s.ID, "transferring ") {
		return
	}
	if v.loaded == nil {
		v.loaded = map[string]int64{}
	}
	v.loaded[s.ID] = max(v.loaded[s.ID], s.Current)
}

// refoldAll derives the states of the vertices, and then of their nodes.
func (t *Tracker) refoldAll(changed map[*vertex]struct{}) {
	order := make([]*vertex, 0, len(changed))
	for v := range changed {
		order = append(order, v)
	}
	slices.SortFunc(order, func(a, b *vertex) int { return strings.Compare(string(a.digest), string(b.digest)) })
	for _, v := range order {
		v.fold()
		if len(v.nodes) == 0 {
			delete(t.extra, v)
			if v.state == Running {
				t.extra[v] = struct{}{}
			}
		}
		if v.state == Failed && !v.told {
			v.told = true
			t.fail(v)
		}
		for _, n := range v.nodes {
			t.refold(n)
		}
	}
}

// refold derives the state of a node and announces what is new.
func (t *Tracker) refold(n *node) {
	if t.finished && !n.sent {
		return
	}
	old := n.state
	state := n.fold()
	if state == old {
		return
	}
	t.set(n, state)
	delete(t.running, n)
	switch state {
	case Running:
		n.seen = t.cfg.Now()
		t.running[n] = struct{}{}
	case Executed:
		t.executed(n)
	}
}

// set changes the state of a node and the counts.
func (t *Tracker) set(n *node, s State) {
	n.group.counts[n.state]--
	n.group.counts[s]++
	n.state = s
}

// text makes output readable for the user.
func (t *Tracker) text(s string) string { return t.cfg.PathMap(cleanText(s)) }

// take returns the events since the last call. With stream they tell of the output of programs that
// take long as it comes, else when they have ended.
func (t *Tracker) take(stream bool) []event {
	t.mu.Lock()
	defer t.mu.Unlock()
	if stream {
		t.stream()
	}
	evs := t.events
	t.events = nil
	return evs
}
