// The views without live lines: plain for logs, quiet for errors, rawjson for programs.

package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client"
)

// heartbeat is how often the plain view says where the build is.
const heartbeat = 10 * time.Second

// longNode is how long a node must take to get a line of its own in the plain view even if it is
// of a kind that only moves files.
const longNode = time.Second

// plainView writes a line for each node that did work, failures with their output, and the counts
// every now and then. Cached nodes have no lines: a build has thousands. Output has a heading; what a
// program that takes long prints has it again only where something else was written in between.
type plainView struct {
	w     io.Writer
	st    style
	phase string
	known bool
	last  time.Duration // when the last heartbeat was
	open  string        // the node whose output was written last, if nothing came after it
}

func (p *plainView) frame(f frame) {
	var b strings.Builder
	if f.phase != p.phase {
		p.phase = f.phase
		if f.phase != "" {
			p.line(&b, f, f.phase)
		}
	}
	if f.known && !p.known {
		p.known = true
		p.last = f.elapsed
		p.line(&b, f, fmt.Sprintf("building %s", plural(f.snap.totals.Nodes, "node")))
	}
	for _, n := range f.notes {
		p.line(&b, f, n)
	}
	for _, e := range f.events {
		p.event(&b, f, e)
	}
	if f.known && f.elapsed-p.last >= heartbeat {
		p.last = f.elapsed
		p.line(&b, f, p.counts(f))
	}
	if b.Len() > 0 {
		io.WriteString(p.w, b.String()) // a log that can't be written doesn't stop a build
	}
}

// line writes a line with the time since the start.
func (p *plainView) line(b *strings.Builder, f frame, text string) {
	fmt.Fprintf(b, "[%6.1fs] %s\n", f.elapsed.Seconds(), text)
	p.open = ""
}

func (p *plainView) event(b *strings.Builder, f frame, e event) {
	switch e.kind {
	case eventDone:
		switch e.action.(type) {
		case *graph.Write, *graph.Local, *graph.Merge:
			if e.duration < longNode {
				return
			}
		}
		p.line(b, f, fmt.Sprintf("%s (%s)", e.label, FormatDuration(e.duration)))
	case eventOutput:
		if !e.more || p.open != e.label {
			p.line(b, f, "output of "+e.label+":")
			e.text = strings.TrimLeft(e.text, "\n")
		}
		indentLines(b, e.text)
		p.open = e.label
	case eventWarning:
		p.line(b, f, p.st.warning("warning:")+" "+e.text)
	case eventFailed:
		b.WriteString(e.failure.unseen().render(p.st) + "\n")
		p.open = ""
	}
}

// counts says where the build is.
func (p *plainView) counts(f frame) string {
	t := f.snap.totals
	s := fmt.Sprintf("%d of %s done: %d cached, %d executed, %d failed; %d running",
		t.Cached+t.Executed+t.Failed, plural(t.Nodes, "node"), t.Cached, t.Executed, t.Failed, f.snap.running)
	for i, r := range f.snap.slowest {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		s += fmt.Sprintf("%s%s (%s)", sep, r.label, FormatDuration(f.now.Sub(r.seen)))
	}
	return s
}

func (p *plainView) close(f frame, o Outcome) {
	p.last = f.elapsed
	p.frame(f)
	if f.known {
		fmt.Fprintln(p.w, summary(f, o))
	}
}

// indent writes text with two spaces before each line, without blank lines around it.
func indent(b *strings.Builder, text string) { indentLines(b, strings.TrimLeft(text, "\n")) }

// indentLines is indent for text that goes on: blank lines before it are part of it.
func indentLines(b *strings.Builder, text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		b.WriteString("  " + strings.TrimRight(line, "\n") + "\n")
	}
}

// plural returns "1 node", "2 nodes".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// summary is the last line of a build.
func summary(f frame, o Outcome) string {
	t := f.snap.totals
	nodes, took := plural(t.Nodes, "node"), FormatDuration(f.elapsed)
	if o == Succeeded && t.Failed == 0 {
		return fmt.Sprintf("built %s: %d cached, %d executed in %s", nodes, t.Cached, t.Executed, took)
	}
	word := "failed"
	if o == Interrupted {
		word = "interrupted"
	}
	return fmt.Sprintf("%s after %s: of %s, %d cached, %d executed, %d failed, %d not reached",
		word, took, nodes, t.Cached, t.Executed, t.Failed, t.Nodes-t.Cached-t.Executed-t.Failed)
}

// quietView writes failures and nothing else.
type quietView struct {
	w  io.Writer
	st style
}

func (q *quietView) frame(f frame) {
	for _, e := range f.events {
		if e.kind == eventFailed {
			io.WriteString(q.w, e.failure.render(q.st)+"\n")
		}
	}
}

func (q *quietView) close(f frame, _ Outcome) { q.frame(f) }

// rawView writes the engine's status events as they come, in the form of BuildKit's rawjson.
type rawView struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func newRawView(w io.Writer) *rawView { return &rawView{enc: json.NewEncoder(w)} }

func (r *rawView) status(s *client.SolveStatus) {
	if s == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.enc.Encode(s)
}

func (r *rawView) frame(frame)          {}
func (r *rawView) close(frame, Outcome) {}
