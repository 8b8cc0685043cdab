// Output of programs that still run, and of those that have ended.

package progress

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/mergefest/mergefest/graph"
)

const (
	// streamAfter is how long a program runs before its output is shown as it comes. What most
	// programs say is shown in one piece, when they have ended.
	streamAfter = 2 * time.Second
	// streamTurn is how often a program's output is shown while another one's is: not each line of
	// two that run at once needs to say whose it is.
	streamTurn = time.Second
)

// repeated is how many lines a failure shows at least, though they were shown as they came: others may
// have printed since.
const repeated = 10

// earlierAbove stands for lines that were shown before.
const earlierAbove = "(earlier output is above)\n"

// program returns the node whose program the vertex runs, the first one if it carries several; nil
// if there is none. What other vertices say is of use only when they have ended.
func (v *vertex) program() *node {
	i := slices.IndexFunc(v.nodes, func(n *node) bool { _, ok := n.Action.(*graph.Run); return ok })
	if i < 0 {
		return nil
	}
	return v.nodes[i]
}

// since returns when the vertex's oldest attempt that lasts began, by our own clock.
func (v *vertex) since() time.Time {
	var first time.Time
	for _, r := range v.runs {
		if r.end.IsZero() && (first.IsZero() || r.seen.Before(first)) {
			first = r.seen
		}
	}
	return first
}

// streamed says whether some of the vertex's output has been shown while it ran.
func (v *vertex) streamed() bool { return !v.spoke.IsZero() }

// body returns where the whole lines end that a vertex that runs may show. Blank lines wait for what
// follows them. What the helper says in the end of a program that failed is not the program's: it is
// part of the failure, and comes within moments.
func (v *vertex) body() int {
	header := ""
	if r, ok := v.nodes[0].Action.(*graph.Run); ok && len(v.nodes) == 1 && len(r.Tasks) == 1 {
		header = "# " + r.Tasks[0].Name + "\n" // where several tasks print, all have headers
	}
	at, end := v.log.shown, v.log.shown
	for line := range bytes.Lines(v.log.data[at:]) {
		if line[len(line)-1] != '\n' || string(line) == header || bytes.HasPrefix(line, []byte(helperPrefix)) {
			break
		}
		at += len(line)
		if len(bytes.TrimSpace(line)) > 0 {
			end = at
		}
	}
	return end
}

// stream announces the lines that long programs have printed since the last call.
func (t *Tracker) stream() {
	now := t.cfg.Now()
	for _, v := range t.speakers(now) {
		text := t.text(v.log.show(v.body()))
		if strings.TrimSpace(text) == "" {
			continue
		}
		n := v.program()
		t.events = append(t.events, event{kind: eventOutput, node: n.ID, label: n.label, text: text, more: v.streamed()})
		v.spoke, t.speaker = now, v
	}
}

// speakers returns the vertices whose turn it is to show output: the one that showed some last, so
// that it goes on without a heading, and then the others by name.
func (t *Tracker) speakers(now time.Time) []*vertex {
	var out []*vertex
	for n := range t.running {
		for _, v := range n.vertices {
			switch {
			case v.state != Running || len(v.log.data) == v.log.shown || v.program() == nil:
			case now.Sub(v.since()) < streamAfter:
			case v != t.speaker && now.Sub(v.spoke) < streamTurn:
			case slices.Contains(out, v): // it carries several nodes
			default:
				out = append(out, v)
			}
		}
	}
	slices.SortFunc(out, func(a, b *vertex) int {
		switch {
		case a == t.speaker:
			return -1
		case b == t.speaker:
			return 1
		}
		return byProgram(a, b)
	})
	return out
}

// executed announces that a node has executed, and the output that hasn't been shown yet. The rest
// of what was shown as it came follows that at once; other output has the node's line before it.
func (t *Tracker) executed(n *node) {
	var rest, whole []event
	for _, v := range n.vertices {
		v.log.skip()
		out := t.text(v.output())
		if strings.TrimSpace(out) == "" {
			continue
		}
		e := event{kind: eventOutput, node: n.ID, label: n.label, text: out, more: v.streamed()}
		if e.more {
			rest = append(rest, e)
		} else {
			whole = append(whole, e)
		}
	}
	start, end, _ := n.span()
	t.events = append(t.events, rest...)
	t.events = append(t.events, event{kind: eventDone, node: n.ID, label: n.label, duration: max(0, end.Sub(start)), action: n.Action})
	t.events = append(t.events, whole...)
}

// lastLines is how many lines are shown of what a program had printed that was interrupted.
const lastLines = 20

// interrupted announces the last lines that programs had printed and that haven't been shown, where
// the programs were stopped before they ended. Call it after Finish.
func (t *Tracker) interrupted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var stopped []*vertex
	for _, v := range t.byDigest {
		// A vertex that was cancelled is pending.
		if (v.state == Running || v.state == Pending) && len(v.log.data) > v.log.shown && v.program() != nil {
			stopped = append(stopped, v)
		}
	}
	slices.SortFunc(stopped, byProgram)
	for _, v := range stopped {
		text := t.text(v.log.rest())
		if more := countLines(text) - lastLines; more > 0 {
			text = leftOut(true, dropLines(text, more))
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		n := v.program()
		t.events = append(t.events, event{kind: eventOutput, node: n.ID, label: n.label, text: text, more: v.streamed()})
	}
}

// byProgram orders vertices that run programs.
func byProgram(a, b *vertex) int {
	if c := a.program().ID.Compare(b.program().ID); c != 0 {
		return c
	}
	return strings.Compare(string(a.digest), string(b.digest))
}

// countLines counts the lines that indent writes.
func countLines(text string) int {
	text = strings.Trim(text, "\n")
	if text == "" {
		return 0
	}
	return 1 + strings.Count(text, "\n")
}

// dropLines cuts the first n lines off.
func dropLines(text string, n int) string {
	text = strings.Trim(text, "\n")
	for ; n > 0; n-- {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}
