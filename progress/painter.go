// Painting of live lines: which bytes turn the last frame into the next one.

package progress

import (
	"io"
	"strings"

	"github.com/morikuni/aec"
)

// span is a piece of a line in one style. Its text has no control characters.
type span struct {
	text  string
	paint func(string) string // nil leaves it plain
}

// line is one line of the screen.
type line []span

// truncate cuts the line to at most w columns.
func (l line) truncate(w int) line {
	out := make(line, 0, len(l))
	for _, s := range l {
		s.text = truncate(s.text, w)
		w -= width(s.text)
		if s.text != "" {
			out = append(out, s)
		}
	}
	return out
}

// width is the number of columns that the line takes.
func (l line) width() int {
	n := 0
	for _, s := range l {
		n += width(s.text)
	}
	return n
}

func (l line) render(b *strings.Builder) {
	for _, s := range l {
		if s.paint != nil {
			b.WriteString(s.paint(s.text))
		} else {
			b.WriteString(s.text)
		}
	}
}

// painter keeps some lines at the bottom of a terminal's output. Each frame is one write that
// overwrites the last frame in place, which terminals show without flicker. The cursor is hidden
// and shown again within that write: whatever happens to the process, it is never left hidden.
// No line is as wide as the terminal, so that none ever wraps.
type painter struct {
	w    io.Writer
	size func() (width, height int)

	widths []int // of the lines of the last frame
	last   string
}

// The terminal shows what is between these at once, if it knows them (DEC private mode 2026);
// others ignore them.
const (
	beginSync = "\x1b[?2026h"
	endSync   = "\x1b[?2026l"
)

// paint writes text for good, which is empty or ends in a newline, and below it the lines.
// Lines are narrower than the terminal, and fewer than its rows.
func (p *painter) paint(text string, lines []line) {
	cols, rows := p.size()
	var frame strings.Builder
	widths := make([]int, len(lines))
	clearRight := aec.EraseLine(aec.EraseModes.Tail).String()
	for i, l := range lines {
		l.render(&frame)
		frame.WriteString(clearRight + "\n")
		widths[i] = l.width()
	}
	if text == "" && frame.String() == p.last && p.rows(cols) == len(p.widths) {
		return
	}
	var b strings.Builder
	b.WriteString(beginSync + aec.Hide.String())
	if up := min(p.rows(cols), rows-1); up > 0 {
		b.WriteString(aec.Up(uint(up)).String())
	}
	b.WriteString("\r")
	if text != "" {
		// Text may wrap, so what it overwrites can't be cleared line by line.
		b.WriteString(aec.EraseDisplay(aec.EraseModes.Tail).String() + text)
	}
	b.WriteString(frame.String())
	b.WriteString(aec.EraseDisplay(aec.EraseModes.Tail).String())
	b.WriteString(aec.Show.String() + endSync)
	io.WriteString(p.w, b.String()) // a terminal that went away doesn't stop a build
	p.widths, p.last = widths, frame.String()
}

// rows returns how many rows the last frame takes on a terminal of so many columns: one that has
// become narrower has wrapped it.
func (p *painter) rows(cols int) int {
	n := 0
	for _, w := range p.widths {
		n += 1 + max(0, w-1)/max(1, cols)
	}
	return n
}
