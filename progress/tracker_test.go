// Tests of the model against recorded streams and made-up ones.

package progress

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"
)

// record reads a recorded stream.
func record(t testing.TB, name string) []*client.SolveStatus {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out []*client.SolveStatus
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var st client.SolveStatus
		if err := json.Unmarshal(s.Bytes(), &st); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out = append(out, &st)
	}
	if len(out) == 0 {
		t.Fatalf("%s: no status", name)
	}
	return out
}

func id(kind, pkg string) graph.ID { return graph.ID{Ecosystem: "go", Kind: kind, Package: pkg} }

// recordedNodes are the nodes of the recorded builds, by the vertex's name.
func recordedNodes(names ...string) map[string]graph.Node {
	all := map[string]graph.Node{
		"src": {ID: id("source", "src"), Action: &graph.Local{}}, "bin": {ID: id("source", "bin"), Action: &graph.Local{}},
		"write": {ID: id("write", "write"), Action: &graph.Write{}}, "write2": {ID: id("write", "write2"), Action: &graph.Write{}},
		"a": runNode("a"), "b": runNode("b"), "c": runNode("c"), "d": runNode("d"), "x": runNode("x"),
		"merge": {ID: id("merge", "merge"), Action: &graph.Merge{}}, "helper": {ID: id("import", "helper"), Action: &graph.Import{}},
	}
	out := map[string]graph.Node{}
	for _, n := range names {
		out[n] = all[n]
	}
	return out
}

func runNode(name string) graph.Node {
	return graph.Node{ID: id("compile", name), Action: &graph.Run{Run: action.Run{
		Tasks: []action.Task{{Commands: []action.Command{{Args: []string{"compile", "-o", "/out/" + name, "a b.go"}}}}},
	}}}
}

// byName maps the vertices of a stream to nodes by their names.
func byName(nodes map[string]graph.Node, stream []*client.SolveStatus) func(digest.Digest) ([]graph.ID, bool) {
	m := map[digest.Digest][]graph.ID{}
	for _, s := range stream {
		for _, v := range s.Vertexes {
			if n, ok := nodes[v.Name]; ok {
				m[v.Digest] = []graph.ID{n.ID}
			}
		}
	}
	return func(d digest.Digest) ([]graph.ID, bool) { ids, ok := m[d]; return ids, ok }
}

func values(nodes map[string]graph.Node) []graph.Node {
	var out []graph.Node
	for _, n := range nodes { // the tracker sorts
		out = append(out, n)
	}
	return out
}

var mainNodes = []string{"src", "bin", "write", "write2", "a", "b", "c", "d", "merge"}

func TestRecordedStreams(t *testing.T) {
	tests := []struct {
		stream string
		nodes  []string
		sent   string
		ok     bool
		want   string
	}{
		{"cold", mainNodes, "src", true, "a=executed b=executed bin=cached c=executed d=executed merge=executed src=executed write2=executed write=executed"},
		{"warm", mainNodes, "", true, "a=cached b=cached bin=cached c=cached d=cached merge=cached src=cached write2=cached write=cached"},
		{"cutoff", mainNodes, "", true, "a=executed b=cached bin=cached c=cached d=cached merge=cached src=cached write2=cached write=cached"},
		{"fail", mainNodes, "", false, "a=cached b=cached bin=cached c=failed d=cached merge=pending src=cached write2=cached write=pending"},
		{"import-cold", []string{"x", "helper"}, "", true, "helper=executed x=executed"},
		{"import-warm", []string{"x", "helper"}, "", true, "helper=cached x=executed"},
	}
	for _, tt := range tests {
		t.Run(tt.stream, func(t *testing.T) {
			stream := record(t, tt.stream)
			nodes := recordedNodes(tt.nodes...)
			// The same stream twice is two solves that share all vertices: nothing counts twice.
			for _, solves := range []int{1, 2} {
				tr := NewTracker(Config{Nodes: values(nodes), NodeOf: byName(nodes, stream)})
				for range solves {
					feed := tr.Solve()
					for _, s := range stream {
						feed(s)
					}
				}
				if tt.sent != "" {
					tr.Transferred(nodes[tt.sent].ID, 1, 11)
				}
				tr.Finish(tt.ok)
				if got := states(tr, nodes); got != tt.want {
					t.Errorf("%d solves:\n got %s\nwant %s", solves, got, tt.want)
				}
			}
		})
	}
}

func states(tr *Tracker, nodes map[string]graph.Node) string {
	var out []string
	for name, n := range nodes {
		s, _ := tr.State(n.ID)
		out = append(out, name+"="+s.String())
	}
	return joinSorted(out)
}

func TestFailureOfRecordedStream(t *testing.T) {
	stream := record(t, "fail")
	nodes := recordedNodes(mainNodes...)
	tr := NewTracker(Config{
		Nodes: values(nodes), NodeOf: byName(nodes, stream),
		Chain:   func(g graph.ID) []graph.ID { return []graph.ID{id("link", "main"), id("merge", "merge"), g} },
		PathMap: func(s string) string { return strings.ReplaceAll(s, "c.go", "sub/c.go") },
	})
	feed := tr.Solve()
	for _, s := range stream {
		feed(s)
	}
	tr.Finish(false)
	got := tr.Failures()
	if len(got) != 1 {
		t.Fatalf("%d failures, want 1: %v", len(got), got)
	}
	want := `error: go/compile/c: exit code: 3
  sub/c.go:1: bad
  command: compile -o /out/c 'a b.go'
  needed by:
    go/merge/merge
    go/link/main`
	if d := cmp.Diff(want, got[0].String()); d != "" {
		t.Errorf("rendered failure (-want +got):\n%s", d)
	}
}

// ev makes a status with one vertex. at counts seconds; end < 0 is an attempt that lasts.
func ev(name string, leaf bool, at, end float64, cached bool, errText string) *client.SolveStatus {
	v := &client.Vertex{Digest: digest.FromString(name), Name: name, Cached: cached, Error: errText}
	if !leaf {
		v.Inputs = []digest.Digest{"sha256:input"}
	}
	if at >= 0 {
		v.Started = stamp(at)
	}
	if end >= 0 {
		v.Completed = stamp(end)
	}
	return &client.SolveStatus{Vertexes: []*client.Vertex{v}}
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func stamp(sec float64) *time.Time {
	t := epoch.Add(time.Duration(sec * float64(time.Second)))
	return &t
}

func TestAttempts(t *testing.T) {
	const never = -1
	type step struct {
		solve int
		s     *client.SolveStatus
	}
	exec := func(solve int, at, end float64, cached bool, err string) step {
		return step{solve, ev("v", false, at, end, cached, err)}
	}
	leaf := func(solve int, at, end float64, cached bool, err string) step {
		return step{solve, ev("v", true, at, end, cached, err)}
	}
	tests := []struct {
		name      string
		steps     []step
		live      State
		succeeded State
		failed    State
	}{
		{"untouched", nil, Pending, Cached, Pending},
		{"announced", []step{exec(0, never, never, false, "")}, Pending, Cached, Pending},
		{"runs", []step{exec(0, 1, never, false, "")}, Running, Cached, Pending},
		{"ran", []step{exec(0, 1, never, false, ""), exec(0, 1, 2, false, "")}, Executed, Executed, Executed},
		{"loaded", []step{exec(0, 1, 1, true, "")}, Cached, Cached, Cached},
		{"cancelled", []step{exec(0, 1, 2, false, "process killed: context canceled")}, Pending, Cached, Pending},
		{"cancelled, then loaded", []step{exec(0, 1, 2, false, "context canceled"), exec(0, 3, 3, true, "")}, Cached, Cached, Cached},
		{"loaded, then run by another solve", []step{exec(0, 1, 1, true, ""), exec(1, 2, 3, false, "")}, Executed, Executed, Executed},
		{"run, then loaded by another solve", []step{exec(0, 1, 2, false, ""), exec(1, 3, 3, true, "")}, Executed, Executed, Executed},
		{"loading after a run", []step{exec(0, 1, 2, false, ""), exec(1, 3, never, true, "")}, Executed, Executed, Executed},
		{"failed", []step{exec(0, 1, 2, false, "exit code: 1")}, Failed, Failed, Failed},
		{"failed, then cancelled", []step{exec(0, 1, 2, false, "exit code: 1"), exec(1, 3, 4, false, "context canceled")}, Failed, Failed, Failed},
		{"retried", []step{exec(0, 1, 2, false, "connection reset"), exec(0, 3, 4, false, "")}, Executed, Executed, Executed},
		{"a late repetition of the start", []step{exec(0, 1, 2, false, ""), exec(1, 1, never, false, "")}, Executed, Executed, Executed},
		{"failed before it began", []step{{0, ev("v", false, never, never, false, "unknown op")}}, Failed, Failed, Failed},
		{"leaf: cache request", []step{leaf(0, 1, 2, false, "")}, Pending, Cached, Pending},
		{"leaf: request and run", []step{leaf(0, 1, 2, false, ""), leaf(0, 3, 4, false, "")}, Executed, Executed, Executed},
		{"leaf: request and load", []step{leaf(0, 1, 2, false, ""), leaf(0, 3, 4, true, "")}, Cached, Cached, Cached},
		{"leaf: requests of two solves", []step{leaf(0, 1, 2, false, ""), leaf(1, 3, 4, false, "")}, Pending, Cached, Pending},
		{"leaf: failed request", []step{leaf(0, 1, 2, false, "no such host")}, Failed, Failed, Failed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, ok := range []bool{true, false} {
				n := graph.Node{ID: id("write", "v"), Action: &graph.Write{}}
				tr := NewTracker(Config{Nodes: []graph.Node{n}, NodeOf: func(digest.Digest) ([]graph.ID, bool) { return []graph.ID{n.ID}, true }})
				feeds := []func(*client.SolveStatus){tr.Solve(), tr.Solve()}
				for _, s := range tt.steps {
					feeds[s.solve](s.s)
				}
				if got, _ := tr.State(n.ID); got != tt.live {
					t.Errorf("while it runs: %v, want %v", got, tt.live)
				}
				tr.Finish(ok)
				want := tt.failed
				if ok {
					want = tt.succeeded
				}
				if got, _ := tr.State(n.ID); got != want {
					t.Errorf("finished(%v): %v, want %v", ok, got, want)
				}
				tot := tr.Totals()
				if sum := tot.Cached + tot.Executed + tot.Failed; tot.Nodes != 1 || sum > 1 || (sum == 0) != (want == Pending) {
					t.Errorf("finished(%v): totals %+v", ok, tot)
				}
			}
		})
	}
}

func TestNodeOfSeveralVertices(t *testing.T) {
	n := runNode("n")
	tr := NewTracker(Config{Nodes: []graph.Node{n}, NodeOf: func(digest.Digest) ([]graph.ID, bool) { return []graph.ID{n.ID}, true }})
	feed := tr.Solve()
	check := func(want State) {
		t.Helper()
		if got, _ := tr.State(n.ID); got != want {
			t.Fatalf("state %v, want %v", got, want)
		}
	}
	feed(ev("exec", false, -1, -1, false, ""))
	feed(ev("doc", true, 1, 1, false, ""))
	check(Pending)
	feed(ev("doc", true, 2, 3, false, ""))
	check(Running) // the document is written, the program has yet to run
	feed(ev("exec", false, 4, -1, false, ""))
	check(Running)
	feed(ev("exec", false, 4, 6, false, ""))
	check(Executed)
	tr.Finish(true)
	r := tr.Report().Nodes[0]
	if !r.Start.Equal(*stamp(1)) || !r.End.Equal(*stamp(6)) {
		t.Errorf("ran from %v to %v, want 1 s to 6 s", r.Start, r.End)
	}
}

func TestSharedTransferBlamesTheNamedNode(t *testing.T) {
	nodes := []graph.Node{{ID: id("source", "a"), Action: &graph.Local{}}, {ID: id("source", "b"), Action: &graph.Local{}}}
	tr := NewTracker(Config{Nodes: nodes, NodeOf: func(digest.Digest) ([]graph.ID, bool) {
		return []graph.ID{nodes[0].ID, nodes[1].ID}, true
	}})
	tr.Solve()(ev("local", true, 1, 2, false, nodes[1].ID.String()+": b.go: no such file"))
	tr.Finish(false)
	fs := tr.Failures()
	if len(fs) != 1 || fs[0].Node != nodes[1].ID || len(fs[0].Others) != 0 {
		t.Errorf("failures %v, want one of %v", fs, nodes[1].ID)
	}
	if got := tr.Totals(); got.Failed != 1 {
		t.Errorf("totals %+v, want one failed", got)
	}
}

// TestJoinedFetches are several nodes of one op: all have its status and times, and of those that
// failed the helper tells.
func TestJoinedFetches(t *testing.T) {
	var nodes []graph.Node
	var ids []graph.ID
	for _, name := range []string{"is-odd", "odd", "even"} {
		n := graph.Node{ID: id("fetch", name), Action: &graph.Fetch{Fetch: action.Fetch{Items: []action.Item{{Name: name + "@1.0.0"}}}}}
		nodes, ids = append(nodes, n), append(ids, n.ID)
	}
	run := func(output string, s *client.SolveStatus) *Tracker {
		tr := NewTracker(Config{Nodes: nodes, NodeOf: func(digest.Digest) ([]graph.ID, bool) { return ids, true }})
		s.Logs = append(s.Logs, &client.VertexLog{Vertex: s.Vertexes[0].Digest, Data: []byte(output)})
		tr.Solve()(s)
		tr.Finish(s.Vertexes[0].Error == "")
		return tr
	}
	const (
		retry  = "odd@1.0.0: https://registry.example.com/odd: 503; trying again in 1s (2 of 5)\n"
		failed = `process "/x/helper fetch {\"items\":[{\"name\":\"even@1.0.0: \"}]}" did not complete successfully: exit code: 1`
	)
	tr := run(retry+action.Fetched("odd@1.0.0", 7)+"\n"+action.Fetched("even@1.0.0", 5)+"\n", ev("bucket", false, 1, 3, false, ""))
	for _, n := range tr.Report().Nodes {
		if n.Status != "executed" || !n.Start.Equal(*stamp(1)) || !n.End.Equal(*stamp(3)) {
			t.Errorf("%+v", n)
		}
		if want := map[string]int64{"odd": 7, "even": 5}[n.Package]; n.Bytes != want {
			t.Errorf("%s: %d bytes, want %d", n.Package, n.Bytes, want)
		}
	}
	for _, e := range tr.take(false) {
		if strings.Contains(e.text, "bytes") {
			t.Errorf("what is counted is shown, too: %q", e.text)
		}
	}
	if got := tr.Totals(); got.Executed != 3 {
		t.Errorf("totals %+v", got)
	}
	for _, tt := range []struct {
		output string
		want   []graph.ID
	}{
		{retry + "mergefest-helper: is-odd@1.0.0: https://registry.example.com/is-odd: 404 Not Found\n", ids[:1]},
		{retry + "mergefest-helper: even@1.0.0: wrong\nis-odd@1.0.0: wrong\n", []graph.ID{ids[2], ids[0]}},
		{retry + "mergefest-helper: the network settings are not a valid JSON document\n", []graph.ID{ids[2], ids[0], ids[1]}},
		{"", []graph.ID{ids[2], ids[0], ids[1]}},
	} {
		tr := run(tt.output, ev("bucket", false, 1, 2, false, failed))
		fs := tr.Failures()
		if len(fs) != 1 {
			t.Fatalf("failures %v", fs)
		}
		if got := append([]graph.ID{fs[0].Node}, fs[0].Others...); !slices.Equal(got, tt.want) {
			t.Errorf("%q: blamed %v, want %v", tt.output, got, tt.want)
		}
		if got := tr.Totals(); got.Failed != len(tt.want) {
			t.Errorf("%q: totals %+v", tt.output, got)
		}
	}
}

func TestFailureWithoutNode(t *testing.T) {
	tr := NewTracker(Config{})
	long := strings.Repeat("x", 100000)
	tr.Solve()(ev("exporting to client", false, 1, 2, false, `process "`+long+"\n"+`" did not complete successfully: exit code: 137`))
	fs := tr.Failures()
	if len(fs) != 1 || fs[0].String() != "error: exporting to client: exit code: 137 (after 1.0 s)" {
		t.Errorf("failures %v", fs)
	}
}

func TestSplitHeader(t *testing.T) {
	for _, tt := range []struct{ in, command, rest string }{
		{"# a\n$ compile -p a\na.go:1: bad\n", "compile -p a", "a.go:1: bad\n"},
		{"# a\n$ compile -p a\n", "compile -p a", ""},
		{"# a\n$ x\none\n# b\n$ y\ntwo\n", "", "# a\n$ x\none\n# b\n$ y\ntwo\n"},
		{"early\n# a\n$ x\nlate\n", "x", "early\nlate\n"},
		{"# a\n$ yarn\n$ vite\n", "yarn", "$ vite\n"},
		{"early # a\n$ x\n", "", "early # a\n$ x\n"},
		{"# a\nno command\n", "", "# a\nno command\n"},
		{"plain\n", "", "plain\n"},
		{"", "", ""},
	} {
		if c, r := splitHeader(tt.in); c != tt.command || r != tt.rest {
			t.Errorf("splitHeader(%q) = %q, %q", tt.in, c, r)
		}
	}
}

func TestConcurrentSolves(t *testing.T) {
	stream := record(t, "cold")
	nodes := recordedNodes(mainNodes...)
	tr := NewTracker(Config{Nodes: values(nodes), NodeOf: byName(nodes, stream)})
	d, err := Open(Options{Mode: Plain, Out: new(bytes.Buffer), Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	d.Attach(tr)
	var wg sync.WaitGroup
	for range 4 {
		feed := d.Solve()
		wg.Go(func() {
			for _, s := range stream {
				feed(s)
			}
		})
	}
	wg.Go(func() { d.Printf("note"); d.Phase("x") })
	wg.Wait()
	d.Close(Succeeded)
	if got, want := tr.Totals(), (Totals{Nodes: 9, Cached: 2, Executed: 7}); got != want {
		t.Errorf("totals %+v, want %+v", got, want)
	}
}

func TestWorkOfAnEarlierBuildIsCached(t *testing.T) {
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(s int) *time.Time { v := begun.Add(time.Duration(s) * time.Second); return &v }
	id := graph.ID{Ecosystem: "go", Kind: "compile", Package: "p"}
	for _, c := range []struct {
		name       string
		start, end *time.Time
		want       State
	}{
		{"ended before", at(-9), at(-1), Cached},
		{"shared with another build", at(-9), at(1), Executed},
		{"ours", at(1), at(2), Executed},
	} {
		tr := NewTracker(Config{
			Nodes:  []graph.Node{{ID: id, Action: &graph.Run{}}},
			NodeOf: func(digest.Digest) ([]graph.ID, bool) { return []graph.ID{id}, true },
			Begun:  begun,
		})
		tr.Solve()(&client.SolveStatus{Vertexes: []*client.Vertex{{Digest: "sha256:1", Inputs: []digest.Digest{"sha256:0"}, Started: c.start, Completed: c.end}}})
		if got, _ := tr.State(id); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
