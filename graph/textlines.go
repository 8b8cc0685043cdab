// The parser of the text notation: from text to indented lines of words.

package graph

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// textLine is a line with its words and with the lines that are indented below it.
type textLine struct {
	pos      Position
	indent   int
	words    []string // at least one
	children []*textLine
	block    string // the text of "|" lines below it
}

// readLines returns the lines without indentation, and every error.
func readLines(file, text string) (top []*textLine, errs []error) {
	var open []*textLine // the last line, with its parents
	for i, raw := range strings.Split(text, "\n") {
		body := strings.TrimLeft(raw, " ")
		indent := len(raw) - len(body)
		pos := Position{File: file, Line: i + 1, Column: indent + 1}
		if strings.TrimRight(body, "\r") == "" || body[0] == '#' {
			continue
		}
		fail := func(err error) { errs = append(errs, &SyntaxError{Pos: pos, Err: err}) }
		if body[0] == '\t' {
			fail(errors.New("indent with spaces, not with tabs"))
			continue
		}
		for len(open) > 0 && open[len(open)-1].indent >= indent {
			open = open[:len(open)-1]
		}
		if body[0] == '|' {
			if len(open) == 0 || open[len(open)-1].words[0] != "file" {
				fail(errors.New("a line of text must be indented below its file"))
				continue
			}
			open[len(open)-1].block += blockLine(strings.TrimSuffix(body, "\r"))
			continue
		}
		words, err := splitWords(strings.TrimRight(body, "\r"))
		if err != nil {
			fail(err)
			continue
		}
		l := &textLine{pos: pos, indent: indent, words: words}
		switch {
		case len(open) > 0:
			parent := open[len(open)-1]
			parent.children = append(parent.children, l)
		case indent > 0:
			fail(errors.New("the line is indented, but there is nothing that it could belong to"))
			continue
		default:
			top = append(top, l)
		}
		open = append(open, l)
	}
	return top, errs
}

func blockLine(body string) string {
	if rest, ok := strings.CutPrefix(body, "|-"); ok {
		return strings.TrimPrefix(rest, " ")
	}
	return strings.TrimPrefix(body[1:], " ") + "\n"
}

// splitWords splits at spaces; a word, or the value of an attribute, may be a Go string.
func splitWords(s string) (words []string, err error) {
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		end := strings.IndexAny(s, ` "`)
		if end < 0 {
			return append(words, s), nil
		}
		w := s[:end]
		if s[end] == ' ' {
			words, s = append(words, w), s[end:]
			continue
		}
		if w != "" && !strings.HasSuffix(w, "=") {
			return nil, fmt.Errorf("a quote in the middle of the word %q", w)
		}
		quoted, err := strconv.QuotedPrefix(s[end:])
		if err != nil {
			return nil, fmt.Errorf("%s isn't a complete string", s[end:])
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%s isn't a string: %w", quoted, err)
		}
		s = s[end+len(quoted):]
		if s != "" && s[0] != ' ' {
			return nil, fmt.Errorf("a space is missing after %s", quoted)
		}
		words = append(words, w+value)
	}
	return words, nil
}
