// The view for terminals: a few live lines below what has been said.

package progress

import (
	"fmt"
	"strings"
	"time"
)

// ttyView shows one line for each ecosystem and kind, and the slowest running nodes with the last line
// that each has printed. Failures, and the output of nodes that have ended, are written above, at once,
// and stay.
type ttyView struct {
	screen painter
	st     style
	bar    barRunes
}

// barRunes draw a bar.
type barRunes struct{ done, left string }

func newTTYView(o Options, st style) *ttyView {
	bar := barRunes{"=", "-"}
	if utf8Locale(o.Env) {
		bar = barRunes{"█", "░"}
	}
	size := func() (int, int) {
		w, h, ok := o.Size()
		if !ok {
			w, h = 80, 24
		}
		return w, h
	}
	return &ttyView{screen: painter{w: o.Out, size: size}, st: st, bar: bar}
}

// utf8Locale says whether the locale's encoding is UTF-8; the first variable that is set decides.
func utf8Locale(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := env(name); v != "" {
			v = strings.ToLower(strings.ReplaceAll(v, "-", ""))
			return strings.Contains(v, "utf8")
		}
	}
	return false
}

func (t *ttyView) frame(f frame) {
	w, h := t.screen.size()
	t.screen.paint(t.above(f), t.live(f, w-1, h-1))
}

func (t *ttyView) close(f frame, o Outcome) {
	above := t.above(f)
	if f.known {
		line := summary(f, o)
		if o != Succeeded || f.snap.totals.Failed > 0 {
			line = t.st.failed(line)
		}
		above += line + "\n"
	}
	t.screen.paint(above, nil)
}

// above returns what is said once.
func (t *ttyView) above(f frame) string {
	var b strings.Builder
	for _, n := range f.notes {
		b.WriteString(n + "\n")
	}
	for _, e := range f.events {
		switch e.kind {
		case eventOutput:
			b.WriteString(t.st.bold("output of "+e.label+":") + "\n")
			indent(&b, e.text)
		case eventWarning:
			b.WriteString(t.st.warning("warning:") + " " + e.text + "\n")
		case eventFailed:
			b.WriteString(e.failure.render(t.st) + "\n")
		}
	}
	return b.String()
}

// live returns the live lines, at most h, each at most w columns wide.
func (t *ttyView) live(f frame, w, h int) []line {
	head := clock(f.elapsed)
	if f.known {
		s := f.snap.totals
		head += fmt.Sprintf("  %d of %s", s.Cached+s.Executed+s.Failed, plural(s.Nodes, "node"))
	}
	if f.phase != "" {
		head += "  " + f.phase
	}
	lines := []line{{{text: truncate(head, w)}}}
	groups := t.groups(f.snap, w)
	// What runs now is worth more than kinds that are done, when there isn't room for both.
	room := h - len(lines) - min(len(f.snap.slowest), 2)
	if len(groups) > room {
		groups = groups[:max(0, room)]
	}
	lines = append(lines, groups...)
	for _, r := range f.snap.slowest {
		l := line{{text: fmt.Sprintf("%9s  %s", clock(f.now.Sub(r.seen)), r.label)}}
		if r.said != "" {
			l = append(l, span{text: "  " + r.said, paint: t.st.faint})
		}
		lines = append(lines, l.truncate(w))
	}
	return lines[:max(0, min(len(lines), h))]
}

// clock prints a time that runs: always in tenths of seconds during the first minute, so that
// its width doesn't jump.
func clock(d time.Duration) string {
	if d < time.Minute-50*time.Millisecond {
		return fmt.Sprintf("%.1f s", max(0, d).Truncate(100*time.Millisecond).Seconds())
	}
	return FormatDuration(d)
}

// groups returns the lines of the kinds, in canonical order.
func (t *ttyView) groups(s snapshot, w int) []line {
	labels, counts := 0, 0
	for _, g := range s.groups {
		labels = max(labels, width(g.label()))
		counts = max(counts, len(g.progress()))
	}
	// label, bar, done/all, words: the bar takes what is left, and vanishes on narrow terminals.
	bar := min(30, w-labels-counts-50)
	if bar < 8 {
		bar = 0
	}
	var lines []line
	for _, g := range s.groups {
		l := line{{text: fmt.Sprintf("%-*s  ", labels, g.label())}}
		if bar > 0 {
			l = append(l, t.drawBar(g, bar)...)
			l = append(l, span{text: "  "})
		}
		l = append(l, span{text: fmt.Sprintf("%*s  ", counts, g.progress())})
		l = append(l, t.words(g)...)
		lines = append(lines, l.truncate(w))
	}
	return lines
}

// label names a group.
func (g *group) label() string { return g.ecosystem + " " + g.kind }

// all is the number of the group's nodes.
func (g *group) all() int {
	sum := 0
	for _, n := range g.counts {
		sum += n
	}
	return sum
}

// done is the number of the group's nodes that have ended.
func (g *group) done() int { return g.counts[Cached] + g.counts[Executed] + g.counts[Failed] }

func (g *group) progress() string { return fmt.Sprintf("%d/%d", g.done(), g.all()) }

// drawBar draws n columns: what is done, and what is left.
func (t *ttyView) drawBar(g group, n int) line {
	done := n * g.done() / max(1, g.all())
	paint := t.st.executed
	if g.counts[Failed] > 0 {
		paint = t.st.failed
	}
	return line{
		{text: strings.Repeat(t.bar.done, done), paint: paint},
		{text: strings.Repeat(t.bar.left, n-done)},
	}
}

// words says how the group's nodes are. Cached and running are always there, so that the line
// doesn't jump.
func (t *ttyView) words(g group) line {
	l := line{
		{text: fmt.Sprintf("%d cached", g.counts[Cached]), paint: t.st.cached},
		{text: fmt.Sprintf(", %d running", g.counts[Running])},
	}
	if n := g.counts[Executed]; n > 0 {
		l = append(l, span{text: fmt.Sprintf(", %d executed", n), paint: t.st.executed})
	}
	if n := g.counts[Failed]; n > 0 {
		l = append(l, span{text: fmt.Sprintf(", %d failed", n), paint: t.st.failed})
	}
	return l
}
