// The bounded end of a program's output.

package progress

import (
	"bytes"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
	"github.com/moby/buildkit/client"
)

// logLimit is how much output is kept for each vertex that has not ended, in bytes. Compilers
// that say more than this are rarely read to the end, and ten thousand vertices must fit in memory.
const logLimit = 64 << 10

// logTail keeps the last logLimit bytes that were written, cut at the beginning of a line, and how
// many of them have been shown.
type logTail struct {
	data    []byte
	shown   int  // bytes of data, whole lines
	dropped bool // something before data is gone
	lost    bool // and nobody has seen it
	added   map[logEntry]struct{}
}

// logEntry tells the entries of a log apart: no two that one stream writes have the same time.
type logEntry struct {
	at     int64
	stream int
}

// add appends an entry, once: each of several solves that share a vertex tells of all its entries.
func (l *logTail) add(e *client.VertexLog) {
	if !e.Timestamp.IsZero() {
		key := logEntry{e.Timestamp.UnixNano(), e.Stream}
		if _, ok := l.added[key]; ok {
			return
		}
		if l.added == nil {
			l.added = map[logEntry]struct{}{}
		}
		l.added[key] = struct{}{}
	}
	l.write(e.Data)
}

// write appends p.
func (l *logTail) write(p []byte) {
	l.data = append(l.data, p...)
	// Trimming at twice the limit makes the copying cost constant for each byte.
	if len(l.data) > 2*logLimit {
		l.trim()
	}
}

// trim cuts the tail down to its limit.
func (l *logTail) trim() {
	if len(l.data) <= logLimit {
		return
	}
	cut := l.data[len(l.data)-logLimit:]
	if i := bytes.IndexByte(cut, '\n'); i >= 0 && i+1 < len(cut) {
		cut = cut[i+1:]
	}
	gone := len(l.data) - len(cut)
	l.lost = l.lost || gone > l.shown
	l.shown = max(0, l.shown-gone)
	l.data = append([]byte(nil), cut...)
	l.dropped = true
}

// show returns what hasn't been shown up to an end in data as clean text, and counts it as shown.
// The end is that of a line, so that text that is cleaned in pieces is like text that is cleaned whole.
func (l *logTail) show(end int) string {
	if end <= l.shown {
		return ""
	}
	text := leftOut(l.lost, cleanText(string(l.data[l.shown:end])))
	l.shown, l.lost = end, false
	return text
}

// rest returns what hasn't been shown as clean text, and changes nothing.
func (l *logTail) rest() string {
	l.trim()
	return leftOut(l.lost, cleanText(string(l.data[l.shown:])))
}

// skip forgets what has been shown.
func (l *logTail) skip() {
	l.data, l.shown, l.dropped = l.data[l.shown:], 0, l.lost
}

// output takes a vertex's output without what the helper says of its downloads, which is counted.
func (v *vertex) output() string {
	text := v.log.take()
	if !slices.ContainsFunc(v.nodes, func(n *node) bool { _, ok := n.Action.(*graph.Fetch); return ok }) {
		return text
	}
	var rest strings.Builder
	for line := range strings.Lines(text) {
		name, bytes, ok := action.ParseFetched(strings.TrimSuffix(line, "\n"))
		if !ok {
			rest.WriteString(line)
			continue
		}
		// A vertex can have the downloads of several nodes.
		i := max(0, slices.IndexFunc(v.nodes, func(n *node) bool { return downloads(n, name) }))
		v.nodes[i].bytes += bytes
	}
	return rest.String()
}

// downloads says whether a node downloads the item of that name.
func downloads(n *node, name string) bool {
	f, ok := n.Action.(*graph.Fetch)
	return ok && slices.ContainsFunc(f.Items, func(it action.Item) bool { return it.Name == name })
}

// take returns the output as clean text and forgets it.
func (l *logTail) take() string {
	l.trim()
	text := leftOut(l.dropped, cleanText(string(l.data)))
	*l = logTail{}
	return text
}

// leftOut says before text that something is missing.
func leftOut(missing bool, text string) string {
	if missing && text != "" {
		return "(earlier output is left out)\n" + text
	}
	return text
}
