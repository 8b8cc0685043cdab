// The bounded end of a program's output.

package progress

import "bytes"

// logLimit is how much output is kept for each vertex that has not ended, in bytes. Compilers
// that say more than this are rarely read to the end, and ten thousand vertices must fit in memory.
const logLimit = 64 << 10

// logTail keeps the last logLimit bytes that were written, cut at the beginning of a line.
type logTail struct {
	data    []byte
	dropped bool
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
	l.data = append([]byte(nil), cut...)
	l.dropped = true
}

// take returns the output as clean text and forgets it.
func (l *logTail) take() string {
	l.trim()
	text := cleanText(string(l.data))
	if l.dropped && text != "" {
		text = "(earlier output is left out)\n" + text
	}
	*l = logTail{}
	return text
}
