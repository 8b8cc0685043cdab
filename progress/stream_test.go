// Tests of output that is shown while programs run.

package progress

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// streaming is a plain display of a build whose nodes began at 0 s. Each call of its function
// draws a frame and returns what was written.
func streaming(t *testing.T, names ...string) (*clockwork, func() string) {
	t.Helper()
	var nodes []graph.Node
	for _, name := range names {
		n := runNode(name)
		n.Action.(*graph.Run).Tasks[0].Name = name
		nodes = append(nodes, n)
	}
	var out bytes.Buffer
	c := open(t, Options{Mode: Plain, Out: &out}, nodes...)
	c.begin()
	for _, name := range names {
		c.feed(ev(name, false, 0, -1, false, ""))
	}
	c.draw()
	out.Reset()
	return c, func() string {
		c.draw()
		defer out.Reset()
		return out.String()
	}
}

func wrote(t *testing.T, got, want string) {
	t.Helper()
	if d := cmp.Diff(strings.TrimPrefix(want, "\n"), got); d != "" {
		t.Fatalf("written (-want +got):\n%s", d)
	}
}

func TestStream(t *testing.T) {
	c, frame := streaming(t, "a", "b")
	c.tracker.cfg.PathMap = func(s string) string { return strings.ReplaceAll(s, "/in/", "src/") }
	c.at(1.9)
	c.log("a", "\n\x1b[31mone\x1b[0m\n\ntwo\npart")
	wrote(t, frame(), "")
	c.at(2)
	wrote(t, frame(), `
[   2.0s] output of go/compile/a:
  one
  
  two
`)
	wrote(t, frame(), "")
	// What goes on has no heading, whatever else happens unseen.
	c.at(2.1)
	c.log("a", "ly in /in/x.go\n 10%\r 20%\r")
	wrote(t, frame(), "  partly in src/x.go\n")
	c.log("a", " 30%\n")
	wrote(t, frame(), "   30%\n")
	// Blank lines wait for what follows them.
	c.log("a", "\n\n")
	wrote(t, frame(), "")
	c.log("a", "three\n")
	wrote(t, frame(), "  \n  \n  three\n")
	c.Printf("a note")
	c.log("a", "four\n")
	wrote(t, frame(), `
[   2.1s] a note
[   2.1s] output of go/compile/a:
  four
`)
	// In the end there is only the rest, in front of the node's line. Others are as ever.
	c.at(3)
	c.log("a", "end\nof it")
	c.feed(ev("a", false, 0, 3, false, ""))
	c.log("b", "short\n")
	c.feed(ev("b", false, 0, 3, false, ""))
	wrote(t, frame(), `
  end
  of it
[   3.0s] go/compile/a (3.0 s)
[   3.0s] go/compile/b (3.0 s)
[   3.0s] output of go/compile/b:
  short
`)
}

func TestStreamTakesTurns(t *testing.T) {
	c, frame := streaming(t, "a", "b")
	say := func() {
		c.log("b", "b says\n")
		c.log("a", "a says\n")
	}
	c.at(4)
	say()
	wrote(t, frame(), "[   4.0s] output of go/compile/a:\n  a says\n[   4.0s] output of go/compile/b:\n  b says\n")
	for range 3 { // b goes on, and a waits for its turn
		say()
		wrote(t, frame(), "  b says\n")
	}
	c.at(5)
	say()
	wrote(t, frame(), "  b says\n[   5.0s] output of go/compile/a:\n"+strings.Repeat("  a says\n", 4))
}

func TestStreamedFailure(t *testing.T) {
	lines := func(from, to int) string {
		var b strings.Builder
		for i := from; i <= to; i++ {
			fmt.Fprintf(&b, "line %d\n", i)
		}
		return b.String()
	}
	const exit = "mergefest-helper: a: compile: exit status 1\n"
	tests := []struct {
		name, early, late string
		want              string // the failure's output
	}{
		{"little", lines(1, 3), "bad\n", lines(1, 3) + "bad\n"},
		{"much before", lines(1, 50), "bad\n", earlierAbove + lines(42, 50) + "bad\n"},
		{"nothing new", lines(1, 50), "", earlierAbove + lines(41, 50)},
		{"much that is new", lines(1, 50), lines(51, 90), earlierAbove + lines(51, 90)},
		{"nothing before", "", lines(1, 50), lines(1, 50)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, frame := streaming(t, "a")
			c.log("a", tt.early)
			c.at(3)
			frame()
			// What the helper says in the end isn't shown twice, however late the end comes.
			c.log("a", "# a\n$ compile\n"+tt.late+exit)
			wrote(t, frame(), "")
			c.feed(ev("a", false, 0, 4, false, "exit code: 1"))
			var want strings.Builder
			want.WriteString("error: go/compile/a: exit code: 1 (after 4.0 s)\n")
			indent(&want, tt.want)
			want.WriteString("  command: compile\n  needed by:\n    go/link/cmd/app\n")
			wrote(t, frame(), want.String())
			if got := c.tracker.Failures()[0].Output; strings.Contains(got, earlierAbove) || !strings.HasSuffix(got, tt.late) {
				t.Errorf("the failure itself has the output %q", got)
			}
		})
	}
}

func TestStreamOfBigOutput(t *testing.T) {
	c, frame := streaming(t, "a")
	c.at(2)
	big := func() {
		for i := range 50000 {
			c.log("a", fmt.Sprintf("line %d\n", i))
		}
	}
	big()
	got := frame()
	const start = "[   2.0s] output of go/compile/a:\n  (earlier output is left out)\n  line "
	if !strings.HasPrefix(got, start) || !strings.HasSuffix(got, "  line 49999\n") {
		t.Errorf("%d bytes were written, beginning %.100q", len(got), got)
	}
	c.log("a", "more\n")
	wrote(t, frame(), "  more\n")
	// A failure shows all that is kept if some of what came before was never shown.
	big()
	c.feed(ev("a", false, 0, 2, false, "exit code: 1"))
	got = frame()
	if !strings.Contains(got, "\n  (earlier output is left out)\n  line ") || strings.Contains(got, "above") || len(got) < logLimit {
		t.Errorf("the failure has %d bytes, beginning %.100q", len(got), got)
	}
}

func TestBody(t *testing.T) {
	one := action.Run{Tasks: []action.Task{{Name: "site build"}}}
	two := action.Run{Tasks: []action.Task{{Name: "site build"}, {Name: "other"}}}
	for _, tt := range []struct {
		run      action.Run
		in, want string
	}{
		{one, "", ""},
		{one, "part", ""},
		{one, "a\nb\npart", "a\nb\n"},
		{one, "\n\na\n \n\n", "\n\na\n"},
		{one, "\n", ""},
		{one, "a\n# site build\n$ npm run build\nlast\n", "a\n"},
		{one, "a\n# site\nb\n", "a\n# site\nb\n"},
		{two, "# site build\n$ npm run build\na\n", "# site build\n$ npm run build\na\n"},
		{two, "a\n\nmergefest-helper: other: sh: exit status 1\nx\n", "a\n"},
	} {
		v := &vertex{nodes: []*node{{Node: graph.Node{Action: &graph.Run{Run: tt.run}}}}}
		v.log.write([]byte("shown\n" + tt.in))
		v.log.show(len("shown\n"))
		if got := v.log.show(v.body()); got != tt.want {
			t.Errorf("%q: shows %q, want %q", tt.in, got, tt.want)
		}
	}
}

// What isn't a program's output is shown in the end, and only a log shows output as it comes.
func TestNotStreamed(t *testing.T) {
	var out bytes.Buffer
	fetch := graph.Node{ID: id("fetch", "f"), Action: &graph.Fetch{}}
	c := open(t, Options{Mode: Plain, Out: &out}, fetch)
	c.begin()
	c.feed(ev("f", false, 0, -1, false, ""))
	c.draw()
	out.Reset()
	c.at(5)
	c.log("f", "trying again\n")
	c.draw()
	if out.Len() > 0 {
		t.Errorf("a fetch shows %q", out.String())
	}
	c, _ = streaming(t, "a")
	c.view, c.stream = &plainView{w: io.Discard}, false
	c.log("a", "text\n")
	c.at(5)
	c.draw()
	c.feed(ev("a", false, 0, 5, false, ""))
	if got := c.tracker.take(false); len(got) != 2 || got[0].kind != eventDone || got[1].text != "text\n" || got[1].more {
		t.Errorf("events %+v", got)
	}
}

func TestInterrupted(t *testing.T) {
	c, frame := streaming(t, "a", "b", "c", "d")
	c.log("a", "shown\n")
	c.log("d", "done\n")
	c.feed(ev("d", false, 0, 1, false, ""))
	c.at(2)
	frame()
	for i := range 25 {
		c.log("b", fmt.Sprintf("line %d\n", i))
	}
	c.log("a", "# a\n\x1b[1mpart")
	// The engine tells of the end of some, and not of others.
	c.tracker.Stop()
	c.feed(ev("a", false, 0, 2.5, false, "EOF"))
	c.tracker.Finish(false)
	c.at(3)
	var out bytes.Buffer
	c.view.(*plainView).w = &out
	c.Close(Interrupted)
	want := "  # a\n  part\n[   3.0s] output of go/compile/b:\n  (earlier output is left out)\n"
	for i := 5; i < 25; i++ {
		want += fmt.Sprintf("  line %d\n", i)
	}
	wrote(t, out.String(), want+"interrupted after 3.0 s: of 4 nodes, 0 cached, 1 executed, 0 failed, 3 not reached\n")
}

// A build that failed says why; what else was running then is beside the point.
func TestOutputOfOthersWhenOneFails(t *testing.T) {
	c, _ := streaming(t, "a", "b")
	c.log("b", "text\n")
	c.feed(ev("a", false, 0, 1, false, "exit code: 1"))
	var out bytes.Buffer
	c.view.(*plainView).w = &out
	c.Close(Unsuccessful)
	if strings.Contains(out.String(), "text") {
		t.Errorf("written: %s", out.String())
	}
}
