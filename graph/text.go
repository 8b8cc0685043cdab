// The text notation, version 1, for people and for golden tests.
//
//	graph 1
//	node go/compile/example.com/a on linux/amd64
//	  run
//	    mount /in/src from go/local/example.com/a
//	    task example.com/a
//	      exec /in/go/compile -o /out/a.x /in/src/a.go
//	    output a.x
//	root a from=go/compile/example.com/a path=a.x dest=lib/a.x
//
// A line is a keyword, its words, and "name=word" attributes; what is indented below it belongs to
// it. A word with spaces or quotes is a Go string. The text of a file is written as lines that begin
// with "| " ("|- " for a last line without a line break) where it is printable. A line that begins
// with "#" is a comment. Canonical order and an indentation of two spaces are what Text writes;
// ParseText takes any order.

package graph

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mergefest/mergefest/graph/action"
)

// TextVersion is the version of the text notation that this package reads and writes.
const TextVersion = 1

// Text returns the text notation. The same graph always gives the same text.
func (g *Graph) Text() string {
	t := &textWriter{}
	t.line(0, "graph", strconv.Itoa(TextVersion))
	for _, n := range g.nodes {
		t.node(n)
	}
	for _, r := range g.roots {
		t.line(0, "root", word(r.Name), "from="+r.From.String(), attr("path", r.Path), attr("dest", r.Dest), attr("platform", r.Platform), flag("discard", r.Discard))
	}
	return t.b.String()
}

// WriteText writes what Text returns.
func (g *Graph) WriteText(w io.Writer) error {
	_, err := io.WriteString(w, g.Text())
	return err
}

// NodeText returns the text notation of one node.
func NodeText(n Node) string {
	t := &textWriter{}
	t.node(normal(n))
	return t.b.String()
}

type textWriter struct{ b strings.Builder }

// line writes a line; empty words are left out.
func (t *textWriter) line(depth int, words ...string) {
	for range depth {
		t.b.WriteString("  ")
	}
	for i, w := range words {
		if w == "" {
			continue
		}
		if i > 0 {
			t.b.WriteByte(' ')
		}
		t.b.WriteString(w)
	}
	t.b.WriteByte('\n')
}

// word writes a word so that it is read back as one.
func word(s string) string {
	if s == "" || s[0] == '#' || s[0] == '|' {
		return strconv.Quote(s)
	}
	for _, r := range s {
		if r == ' ' || r == '"' || r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}

// attr writes an attribute; an empty value leaves it out.
func attr(name, value string) string {
	if value == "" {
		return ""
	}
	return name + "=" + word(value)
}

func attrMode(name string, m uint32) string {
	if m == 0 {
		return ""
	}
	return fmt.Sprintf("%s=%04o", name, m)
}

func flag(name string, set bool) string {
	if set {
		return name
	}
	return ""
}

func (t *textWriter) node(n Node) {
	if n.Platform == "" {
		t.line(0, "node", n.ID.String())
	} else {
		t.line(0, "node", n.ID.String(), "on", word(n.Platform))
	}
	switch a := n.Action.(type) {
	case *Fetch:
		t.fetch(a)
	case *Run:
		t.run(a)
	case *Write:
		t.line(1, "write")
		t.files(a.Files)
	case *Local:
		t.line(1, "local", attr("root", a.Root))
		for _, f := range a.Files {
			t.line(2, "file", word(f.Path), attr("source", f.Source), attrMode("mode", f.Mode))
		}
	case *Merge:
		t.line(1, "merge")
		for _, in := range a.Parts {
			t.line(2, "part", in.From.String(), attr("path", in.Path), attr("target", in.Target), flag("writable", in.Writable))
		}
	case *Image:
		t.line(1, "image", word(a.Ref))
	case *Git:
		t.line(1, "git", word(a.URL), word(a.Commit), flag("submodules", a.Submodules))
	case *Import:
		t.line(1, "import", word(a.Digest), attr("name", a.Name))
	}
}

func (t *textWriter) fetch(f *Fetch) {
	t.line(1, "fetch")
	for _, it := range f.Items {
		t.line(2, "item", word(it.Name))
		for _, u := range it.URLs {
			t.line(3, "url", word(u))
		}
		if len(it.AnyFailure) > 0 {
			words := []string{"anyFailure"}
			for _, any := range it.AnyFailure {
				words = append(words, strconv.FormatBool(any))
			}
			t.line(3, words...)
		}
		for _, s := range it.Integrity {
			t.line(3, "integrity", word(s))
		}
		if it.Unverified {
			t.line(3, "unverified")
		}
		if it.Unless != "" {
			t.line(3, "unless", word(it.Unless))
		}
		if it.Auth != "" {
			t.line(3, "auth", word(it.Auth), attr("host", it.AuthHost))
		}
		if u := it.Unpack; u != nil {
			t.line(3, "unpack", word(u.Format), textStrip(u.Strip), attr("prefix", u.Prefix), attrMode("set", u.SetMode),
				attrMode("clear", u.ClearMode), attr("links", u.Links), flag("hashbang", u.Hashbang), flag("skipdirs", u.SkipDirs), flag("rawstrip", u.RawStrip))
			for _, p := range u.Executable {
				t.line(4, "executable", word(p))
			}
			for _, from := range slices.Sorted(maps.Keys(u.Rename)) {
				t.line(4, "rename", word(from), word(u.Rename[from]))
			}
		}
		for _, d := range it.Dests {
			t.line(3, "dest", word(d))
		}
		if it.Mode != 0 {
			t.line(3, "mode", fmt.Sprintf("%04o", it.Mode))
		}
	}
	t.files(f.Files)
}

func textStrip(n int) string {
	if n == 0 {
		return ""
	}
	return "strip=" + strconv.Itoa(n)
}

func (t *textWriter) run(r *Run) {
	t.line(1, "run")
	if r.Base != nil {
		t.line(2, "base", r.Base.From.String(), attr("path", r.Base.Path), attr("target", r.Base.Target), flag("writable", r.Base.Writable))
	}
	for _, m := range r.Mounts {
		t.line(2, "mount", word(m.Target), "from", m.From.String(), attr("path", m.Path), flag("writable", m.Writable))
	}
	if r.Network {
		t.line(2, "network")
	}
	for _, s := range r.Secrets {
		t.line(2, "secret", word(s.Name), attr("target", s.Target), attr("env", s.Env), flag("optional", s.Optional))
	}
	for _, in := range slices.Sorted(maps.Keys(r.Internal)) {
		t.line(2, "internal", word(in), word(r.Internal[in]))
	}
	t.files(r.Files)
	for _, task := range r.Tasks {
		t.line(2, "task", word(task.Name), attr("after", textList(task.After)))
		for _, c := range task.Commands {
			words := []string{"exec"}
			for _, a := range c.Args {
				words = append(words, word(a))
			}
			t.line(3, words...)
			for _, e := range c.Env {
				t.line(4, "env", word(e))
			}
			if c.Dir != "" {
				t.line(4, "dir", word(c.Dir))
			}
			if c.Stdout != "" {
				t.line(4, "stdout", word(c.Stdout))
			}
		}
	}
	for _, o := range r.Outputs {
		t.line(2, "output", word(o.Path), attr("from", o.From), flag("optional", o.Optional))
	}
}

func textList(numbers []int) string {
	var words []string
	for _, n := range numbers {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, ",")
}

func (t *textWriter) files(files []action.File) {
	for _, f := range files {
		text, block := attr("text", f.Text), isBlock(f.Text)
		if block {
			text = ""
		}
		data := ""
		if len(f.Data) > 0 {
			data = attr("data", base64.StdEncoding.EncodeToString(f.Data))
		}
		t.line(2, "file", word(f.Path), attrMode("mode", f.Mode), flag("dir", f.Dir), attr("link", f.Link), attr("if", f.If), data, text)
		if !block {
			continue
		}
		for rest := f.Text; rest != ""; {
			line, after, complete := strings.Cut(rest, "\n")
			mark := "|"
			if !complete {
				mark = "|-"
			}
			if line != "" {
				mark += " "
			}
			t.b.WriteString("      " + mark + line + "\n")
			rest = after
		}
	}
}

// isBlock reports whether a text can be written line by line.
func isBlock(s string) bool {
	if s == "" {
		return false
	}
	for line := range strings.SplitSeq(s, "\n") {
		if strings.HasSuffix(line, " ") || strings.HasSuffix(line, "\t") {
			return false // would be lost by an editor that trims
		}
		for _, r := range line {
			if r == utf8.RuneError || r != '\t' && !unicode.IsPrint(r) {
				return false
			}
		}
	}
	return true
}
