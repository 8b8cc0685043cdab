// Tests of the live view on a virtual terminal: what the user sees, and what a frame costs.

package progress

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"
	"github.com/tonistiigi/vt100"
)

// terminal is a virtual terminal that counts what is written to it.
type terminal struct {
	*vt100.VT100
	raw    bytes.Buffer
	writes int
}

func (v *terminal) Write(p []byte) (int, error) {
	v.writes++
	v.raw.Write(p)
	for r := bytes.NewReader(p); r.Len() > 0; {
		cmd, err := vt100.Decode(r)
		if err != nil {
			return 0, err
		}
		_ = v.Process(cmd) // it reports sequences that it doesn't know, as terminals ignore them
		// vt100 scrolls only when the next character is drawn; terminals do at the line feed.
		for ; v.Cursor.Y >= v.Height; v.Cursor.Y-- {
			blank := vt100.NewVT100(1, v.Width)
			v.Content = append(v.Content[1:], blank.Content[0])
			v.Format = append(v.Format[1:], blank.Format[0])
		}
	}
	return len(p), nil
}

// text returns what a user sees.
func (v *terminal) text() string {
	var out []string
	for _, row := range v.Content {
		out = append(out, strings.TrimRight(string(row), " "))
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

func openTTY(t *testing.T, w, h int, env map[string]string, nodes ...graph.Node) (*clockwork, *terminal) {
	t.Helper()
	v := &terminal{VT100: vt100.NewVT100(h, w)}
	c := open(t, Options{
		Mode: Auto, Out: v,
		Size: func() (int, int, bool) { return v.Width, v.Height, true },
		Env: func(k string) string {
			if k == "TERM" {
				return "xterm"
			}
			return env[k]
		},
	}, nodes...)
	return c, v
}

func see(t *testing.T, v *terminal, want string) {
	t.Helper()
	want = strings.Trim(want, "\n")
	if d := cmp.Diff(want, v.text()); d != "" {
		t.Fatalf("the terminal shows (-want +got):\n%s", d)
	}
}

func TestTTY(t *testing.T) {
	c, v := openTTY(t, 100, 30, map[string]string{"NO_COLOR": "1"}, runNode("a"), runNode("b"), runNode("c"), runNode("d"), write("w"))
	c.Phase("loading packages")
	c.draw()
	see(t, v, `0.0 s  loading packages`)
	c.Phase("")
	c.begin()
	c.at(1)
	c.feed(ev("b", false, 1, -1, false, ""))
	c.at(2)
	c.feed(ev("a", false, 2, -1, false, ""))
	c.feed(ev("w", false, 2, 2, true, ""))
	c.at(3.5)
	c.draw()
	see(t, v, `
3.5 s  1 of 5 nodes
go compile  ------------------------------  0/4  0 cached, 2 running
go write    ==============================  1/1  1 cached, 0 running
    2.5 s  go/compile/b
    1.5 s  go/compile/a`)
	before := v.writes
	c.draw()
	if v.writes != before {
		t.Error("a frame that shows nothing new was written")
	}
	// A failure is shown at once, above the live lines, and stays.
	c.log("b", "b.go:1: bad\n")
	c.feed(ev("b", false, 1, 3.5, false, "exit code: 2"))
	c.draw()
	failure := `
error: go/compile/b: exit code: 2 (after 2.5 s)
  b.go:1: bad
  command: compile -o /out/b 'a b.go'
  needed by:
    go/link/cmd/app`
	see(t, v, failure+`
3.5 s  2 of 5 nodes
go compile  =======-----------------------  1/4  0 cached, 1 running, 1 failed
go write    ==============================  1/1  1 cached, 0 running
    1.5 s  go/compile/a`)
	c.at(4)
	c.Close(Unsuccessful)
	see(t, v, failure+`
failed after 4.0 s: of 5 nodes, 1 cached, 0 executed, 1 failed, 3 not reached`)
	if strings.Contains(v.raw.String(), "\x1b[3") || strings.Contains(v.raw.String(), "\x1b[1m") {
		t.Error("colours in spite of NO_COLOR")
	}
}

func TestTTYCursorIsNeverLeftHidden(t *testing.T) {
	c, v := openTTY(t, 80, 24, nil, runNode("a"))
	c.begin()
	for i := range 5 {
		c.at(float64(i))
		c.draw()
		raw := v.raw.String()
		if hide, show := strings.LastIndex(raw, "\x1b[?25l"), strings.LastIndex(raw, "\x1b[?25h"); hide < 0 || show < hide {
			t.Fatalf("frame %d ends with a hidden cursor: %q", i, raw)
		}
	}
	if v.writes != 5 {
		t.Errorf("%d writes for 5 frames; a frame must be one write", v.writes)
	}
}

func TestTTYNarrowShortAndResized(t *testing.T) {
	var nodes []graph.Node
	for i := range 12 {
		n := runNode(fmt.Sprintf("package/with/a/long/name/%d", i))
		n.ID.Kind = fmt.Sprintf("kind%02d", i)
		nodes = append(nodes, n)
	}
	c, v := openTTY(t, 120, 40, map[string]string{"LANG": "C.UTF-8"}, nodes...)
	c.begin()
	for i := range nodes {
		c.feed(ev(nodes[i].ID.Package, false, 0, -1, false, ""))
	}
	c.draw()
	if got := strings.Count(v.text(), "\n"); got != 12+4 {
		t.Errorf("%d rows, want a heading, 12 kinds and 4 nodes:\n%s", got+1, v.text())
	}
	// A real terminal wraps what it shows when it becomes narrower: every row of more than 40
	// columns takes several then. Do the same, and see that no line is left over.
	rows := strings.Split(v.text(), "\n")
	wrapped := vt100.NewVT100(200, 40)
	wrapped.Write([]byte(strings.Join(rows, "\n") + "\n"))
	v.VT100 = wrapped
	c.at(1)
	c.draw()
	for _, row := range strings.Split(v.text(), "\n") {
		if width(row) > 39 {
			t.Errorf("row of %d columns on a terminal of 40: %q", width(row), row)
		}
	}
	if got := strings.Count(v.text(), " nodes"); got != 1 {
		t.Errorf("%d headings after the terminal became narrower:\n%s", got, v.text())
	}
	v.VT100 = vt100.NewVT100(6, 40)
	c.at(2)
	c.draw()
	see(t, v, `
2.0 s  0 of 12 nodes
go kind00  0/1  0 cached, 1 running
go kind01  0/1  0 cached, 1 running
    2.0 s  go/kind00/package/with/a/lo…
    2.0 s  go/kind01/package/with/a/lo…`)
}

func TestTTYLongOutputScrolls(t *testing.T) {
	c, v := openTTY(t, 60, 8, map[string]string{"NO_COLOR": "1"}, runNode("a"), runNode("b"))
	c.begin()
	c.feed(ev("b", false, 0, -1, false, ""))
	c.draw()
	for i := range 50 {
		c.log("a", fmt.Sprintf("a.go:%d: %s\n", i, strings.Repeat("wide ", 20)))
	}
	c.feed(ev("a", false, 0, 1, false, "exit code: 1"))
	c.at(1)
	c.draw()
	c.at(2)
	c.draw()
	if got := strings.Count(v.text(), " nodes"); got != 1 {
		t.Errorf("%d headings after long output:\n%s", got, v.text())
	}
	if !strings.HasSuffix(v.text(), "    2.0 s  go/compile/b") {
		t.Errorf("the live lines aren't last:\n%s", v.text())
	}
}

// BenchmarkFrame shows what a frame costs while 10,000 nodes are known: it must not grow with them.
func BenchmarkFrame(b *testing.B) {
	for _, n := range []int{100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var nodes []graph.Node
			for i := range n {
				nodes = append(nodes, runNode(fmt.Sprintf("p%05d", i)))
			}
			tr := NewTracker(Config{Nodes: nodes})
			v := newTTYView(Options{Out: &bytes.Buffer{}, Env: func(string) string { return "" }, Size: func() (int, int, bool) { return 100, 30, true }}, style{})
			v.screen.w = discard{}
			for i := 0; b.Loop(); i++ {
				v.frame(frame{elapsed: time.Duration(i) * 100 * time.Millisecond, known: true, events: tr.take(false), snap: tr.snapshot(slowest)})
			}
		})
	}
}

// BenchmarkUpdate shows what the statuses of a cached build of 10,000 nodes cost in all.
func BenchmarkUpdate(b *testing.B) {
	var nodes []graph.Node
	var stream []*client.SolveStatus
	ids := map[digest.Digest][]graph.ID{}
	for i := range 10000 {
		n := runNode(fmt.Sprintf("p%05d", i))
		nodes = append(nodes, n)
		ids[digest.FromString(n.ID.Package)] = []graph.ID{n.ID}
		stream = append(stream, ev(n.ID.Package, false, 1, 1, true, ""))
	}
	for b.Loop() {
		tr := NewTracker(Config{Nodes: nodes, NodeOf: func(d digest.Digest) ([]graph.ID, bool) { v, ok := ids[d]; return v, ok }})
		feed := tr.Solve()
		for _, s := range stream {
			feed(s)
		}
		tr.Finish(true)
		tr.Report()
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func TestTTYShowsTheLastLine(t *testing.T) {
	c, v := openTTY(t, 60, 8, map[string]string{"NO_COLOR": "1"}, runNode("a"), runNode("b"))
	c.tracker.cfg.PathMap = func(s string) string { return strings.ReplaceAll(s, "/in/", "src/") }
	c.begin()
	c.feed(ev("a", false, 0, -1, false, ""))
	c.feed(ev("b", false, 0, -1, false, ""))
	c.at(1)
	for _, tt := range []struct{ log, want string }{
		{"", ""},
		{"first\n", "  first"},
		{"second", "  second"},
		{"\n\n \x1b[0m\n", "  second"},
		{"\x1b[32mto /in/x.go\x1b[0m\tok\x1b[2K\x1b[1A\n", "  to src/x.go ok"},
		{"10%\r", "  10%"},
		{"20%\r 30%\r", "  30%"},
		{"\n\u202ee\u200d\ufe0f\u2028|\n", "  e |"},
		{"mergefest-helper: a: exit status 1\n", "  e |"},
		{strings.Repeat("wide ", 20) + "\n", "  " + strings.Repeat("wide ", 6) + "wid…"},
		{strings.Repeat("世界", 2000) + "\n", "  " + strings.Repeat("世界", 8) + "…"},
	} {
		c.log("a", tt.log)
		c.draw()
		// The virtual terminal draws a wide character in one column.
		see(t, v, `
1.0 s  0 of 2 nodes
go compile  0/2  0 cached, 2 running
    1.0 s  go/compile/a`+tt.want+`
    1.0 s  go/compile/b`)
	}
	c.feed(ev("a", false, 0, 1, false, ""))
	c.draw()
	if got := v.text(); !strings.HasSuffix(got, "1 executed\n    1.0 s  go/compile/b") {
		t.Errorf("after the end:\n%s", got)
	}
}

func TestTTYNarrowWithLastLine(t *testing.T) {
	for w := 1; w < 40; w++ {
		c, _ := openTTY(t, w, 8, nil, runNode("a"))
		c.begin()
		c.feed(ev("a", false, 0, -1, false, ""))
		c.log("a", "a wide 世界 line of text\n")
		c.draw()
		for _, l := range c.view.(*ttyView).live(c.frame(), w-1, 7) {
			if l.width() >= w {
				t.Errorf("line of %d columns on a terminal of %d", l.width(), w)
			}
		}
	}
}
