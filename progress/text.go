// Small matters of text: durations, styles, and output that must not drive the terminal.

package progress

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"
	"github.com/morikuni/aec"
)

// FormatDuration prints a duration for people: "42 ms", "1.2 s", "3 m 5 s", "2 h 10 m".
func FormatDuration(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", max(0, d).Milliseconds())
	case d < time.Minute-50*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d m %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%d h %d m", int(d.Hours()), int(d.Minutes())%60)
}

// cleanText removes terminal control sequences and control characters other than newline and
// tab. A carriage return that isn't part of a line end starts the line anew, as a terminal shows
// it: progress bars of programs leave their last state.
func cleanText(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		return strings.ToValidUTF8(s, "�")
	}
	var b strings.Builder
	for i, line := range strings.Split(strings.ToValidUTF8(s, "�"), "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		line = strings.TrimRight(line, "\r")
		if i := strings.LastIndexByte(line, '\r'); i >= 0 {
			line = line[i+1:]
		}
		b.WriteString(stripControls(line))
	}
	return b.String()
}

// cleanLine is cleanText for something that must stay on one line.
func cleanLine(s string) string {
	return strings.Join(strings.Fields(cleanText(s)), " ")
}

// stripControls removes escape sequences (ECMA-48 CSI and OSC) and control characters.
func stripControls(s string) string {
	var b strings.Builder
	rs := []rune(s)
	for i := 0; i < len(rs); i++ {
		switch r := rs[i]; {
		case r == 0x1b && i+1 < len(rs) && rs[i+1] == '[', r == 0x9b:
			if r == 0x1b {
				i++
			}
			for i++; i < len(rs) && (rs[i] < 0x40 || rs[i] > 0x7e); i++ {
			}
		case r == 0x1b && i+1 < len(rs) && rs[i+1] == ']':
			for i += 2; i < len(rs) && rs[i] != 0x07 && rs[i] != 0x1b; i++ {
			}
			if i+1 < len(rs) && rs[i] == 0x1b && rs[i+1] == '\\' {
				i++
			}
		case r == 0x1b:
			i++
		case r == '\t' || !unicode.IsControl(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// width returns the number of columns of a line without control characters.
func width(s string) int { return condition().StringWidth(s) }

// truncate cuts a line to at most w columns.
func truncate(s string, w int) string {
	if w <= 0 {
		return ""
	}
	return condition().Truncate(strings.ReplaceAll(s, "\t", " "), w, "…")
}

// condition measures text the same way in every locale.
func condition() *runewidth.Condition { return &runewidth.Condition{StrictEmojiNeutral: true} }

// style colours text; the zero style leaves it as it is.
type style struct{ color bool }

func (s style) apply(text string, a aec.ANSI) string {
	if !s.color || text == "" {
		return text
	}
	return a.Apply(text)
}

func (s style) failed(text string) string   { return s.apply(text, aec.RedF.With(aec.Bold)) }
func (s style) bold(text string) string     { return s.apply(text, aec.Bold) }
func (s style) cached(text string) string   { return s.apply(text, aec.CyanF) }
func (s style) executed(text string) string { return s.apply(text, aec.GreenF) }
func (s style) faint(text string) string    { return s.apply(text, aec.Faint) }
func (s style) warning(text string) string  { return s.apply(text, aec.YellowF) }
