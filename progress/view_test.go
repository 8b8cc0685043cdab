// Tests of the views: golden text for logs, a virtual terminal for live lines.

package progress

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got; rewrite with -update):\n%s", path, d)
	}
}

func joinSorted(s []string) string {
	slices.Sort(s)
	return strings.Join(s, " ")
}

// clockwork is a display whose frames and clock are driven by the test.
type clockwork struct {
	*Display
	now     time.Time
	tracker *Tracker
	feed    func(*client.SolveStatus)
}

// open returns a display that draws only when the test asks for a frame. nodes are Run nodes, by
// the name of their only vertex.
func open(t *testing.T, o Options, nodes ...graph.Node) *clockwork {
	t.Helper()
	c := &clockwork{now: epoch}
	clock := func() time.Time { return c.now }
	o.Now, o.Interval = clock, time.Hour
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	byDigest := map[digest.Digest][]graph.ID{}
	for _, n := range nodes {
		byDigest[digest.FromString(n.ID.Package)] = []graph.ID{n.ID}
	}
	c.Display = d
	c.tracker = NewTracker(Config{
		Nodes: nodes, Now: clock,
		NodeOf: func(d digest.Digest) ([]graph.ID, bool) { ids, ok := byDigest[d]; return ids, ok },
		Chain:  func(g graph.ID) []graph.ID { return []graph.ID{id("link", "cmd/app"), g} },
	})
	return c
}

// at moves the clock to a time in seconds.
func (c *clockwork) at(sec float64) { c.now = *stamp(sec) }

func (c *clockwork) begin() {
	c.Attach(c.tracker)
	c.feed = c.Solve()
}

func (c *clockwork) log(name, text string) {
	c.feed(&client.SolveStatus{Logs: []*client.VertexLog{{Vertex: digest.FromString(name), Data: []byte(text)}}})
}

func write(name string) graph.Node {
	return graph.Node{ID: id("write", name), Action: &graph.Write{}}
}

func TestPlain(t *testing.T) {
	var out bytes.Buffer
	c := open(t, Options{Mode: Plain, Out: &out}, runNode("a"), runNode("b"), runNode("c"), runNode("d"), runNode("e"), write("w"))
	c.Phase("loading packages")
	c.draw()
	c.at(0.5)
	c.Phase("")
	c.begin()
	c.draw()
	c.at(1)
	c.feed(ev("a", false, 1, -1, false, ""))
	c.feed(ev("b", false, 1, 1, true, ""))
	c.feed(ev("w", false, 1, 1.1, false, ""))
	c.log("a", "\x1b[33ma.go:1: warning: odd\x1b[0m\n")
	c.Printf("a note")
	c.draw()
	c.at(2.25)
	c.feed(ev("a", false, 1, 2.25, false, ""))
	c.feed(ev("c", false, 2.25, -1, false, ""))
	c.feed(ev("exporting to client", false, 2.25, -1, false, ""))
	c.draw()
	c.at(10.6)
	c.draw()
	c.at(12)
	c.log("c", "# c\n$ compile c.go\nc.go:3:5: undefined: y\nmergefest-helper: c: compile: exit status 1\n")
	c.feed(ev("c", false, 2.25, 12, false, `process "x" did not complete successfully: exit code: 1`))
	c.draw()
	c.Close(Unsuccessful)
	c.Close(Unsuccessful)
	golden(t, "plain.txt", out.Bytes())
}

func TestSummary(t *testing.T) {
	var out bytes.Buffer
	c := open(t, Options{Mode: Plain, Out: &out}, runNode("a"), runNode("b"))
	c.begin()
	c.feed(ev("a", false, 0, 1, false, ""))
	c.at(1.2)
	c.Close(Succeeded)
	if !strings.HasSuffix(out.String(), "\nbuilt 2 nodes: 1 cached, 1 executed in 1.2 s\n") {
		t.Errorf("plain output ends %q", out.String())
	}
}

func TestQuietShowsFailuresOnly(t *testing.T) {
	var out bytes.Buffer
	c := open(t, Options{Mode: Quiet, Out: &out}, runNode("a"), runNode("b"))
	c.begin()
	c.Printf("a note")
	c.feed(ev("a", false, 0, 1, false, ""))
	c.draw()
	if out.Len() != 0 {
		t.Errorf("quiet wrote %q", out.String())
	}
	c.feed(ev("b", false, 0, 0.1, false, "boom"))
	c.Close(Unsuccessful)
	if !strings.HasPrefix(out.String(), "error: go/compile/b: boom\n") {
		t.Errorf("quiet wrote %q", out.String())
	}
}

func TestRawJSON(t *testing.T) {
	var out bytes.Buffer
	stream := record(t, "cold")
	c := open(t, Options{Mode: RawJSON, Out: &out})
	c.begin()
	for _, s := range stream {
		c.feed(s)
	}
	c.Close(Succeeded)
	dec := json.NewDecoder(&out)
	for i, want := range stream {
		var got client.SolveStatus
		if err := dec.Decode(&got); err != nil {
			t.Fatalf("status %d: %v", i, err)
		}
		if d := cmp.Diff(want, &got); d != "" {
			t.Fatalf("status %d (-want +got):\n%s", i, d)
		}
	}
	if dec.More() {
		t.Error("there is more than the engine's statuses")
	}
}

func TestModes(t *testing.T) {
	notATerminal := func() (int, int, bool) { return 0, 0, false }
	terminal := func() (int, int, bool) { return 80, 24, true }
	tests := []struct {
		mode Mode
		size func() (int, int, bool)
		term string
		want string
	}{
		{Auto, notATerminal, "xterm", "*progress.plainView"},
		{"", terminal, "xterm", "*progress.ttyView"},
		{Auto, terminal, "dumb", "*progress.plainView"},
		{Auto, terminal, "", "*progress.plainView"},
		{Plain, terminal, "xterm", "*progress.plainView"},
		{TTY, notATerminal, "xterm", "error"},
		{"fancy", terminal, "xterm", "error"},
	}
	for _, tt := range tests {
		d, err := Open(Options{Mode: tt.mode, Out: new(bytes.Buffer), Size: tt.size, Env: func(k string) string {
			if k == "TERM" {
				return tt.term
			}
			return ""
		}})
		got := "error"
		var me *ModeError
		if err == nil {
			got = fmt.Sprintf("%T", d.view)
			d.Close(Succeeded)
		} else if !errors.As(err, &me) {
			t.Errorf("%q: %v isn't a *ModeError", tt.mode, err)
		}
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.mode, got, tt.want)
		}
	}
	for _, m := range Modes() {
		if got, err := ParseMode(string(m)); err != nil || got != m {
			t.Errorf("ParseMode(%q) = %q, %v", m, got, err)
		}
	}
	if _, err := ParseMode("TTY"); err == nil {
		t.Error("ParseMode accepts TTY")
	}
}
