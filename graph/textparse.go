// The parser of the text notation: from lines to nodes.

package graph

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/mergefest/mergefest/graph/action"
)

// ParseText parses the text notation; file names it in errors. It reports every line that it
// doesn't understand as a *SyntaxError, joined; if there is none, what New reports, with the place
// of the node.
func ParseText(file, text string) (*Graph, error) {
	top, errs := readLines(file, text)
	p := &textParser{errs: errs, at: map[ID]Position{}, rootAt: map[string]Position{}}
	p.graph(file, top)
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	g, err := New(p.nodes, p.roots)
	if err != nil {
		return nil, locate(err, p.at, p.rootAt)
	}
	return g, nil
}

type textParser struct {
	errs   []error
	node   string // the node being parsed, for messages
	nodes  []Node
	roots  []Root
	at     map[ID]Position
	rootAt map[string]Position
}

func (p *textParser) fail(l *textLine, format string, args ...any) {
	p.errs = append(p.errs, &SyntaxError{Pos: l.pos, Node: p.node, Err: fmt.Errorf(format, args...)})
}

func (p *textParser) graph(file string, top []*textLine) {
	want := strconv.Itoa(TextVersion)
	if len(top) == 0 {
		p.errs = append(p.errs, &SyntaxError{Pos: Position{File: file, Line: 1, Column: 1}, Err: errors.New(`the text is empty; it begins with "graph ` + want + `"`)})
		return
	}
	if first := top[0]; first.words[0] != "graph" || len(first.words) != 2 {
		p.fail(first, `a graph begins with "graph %s"`, want)
		return
	} else if first.words[1] != want {
		p.fail(first, "version %s isn't known; this program reads version %s", first.words[1], want)
		return
	}
	for _, l := range top[1:] {
		p.node = ""
		switch l.words[0] {
		case "node":
			p.parseNode(l)
		case "root":
			p.parseRoot(l)
		default:
			p.fail(l, `unknown keyword %q; want "node" or "root"`, l.words[0])
		}
	}
}

// id parses a node's name.
func (p *textParser) id(l *textLine, s string) ID {
	id, err := ParseID(s)
	if err != nil {
		p.fail(l, "%w", err)
	}
	return id
}

// args splits a line's words into n positional ones and attributes, of which only those named in
// allowed are possible. A flag is an attribute without a value.
func (p *textParser) args(l *textLine, n int, allowed string) (pos []string, attrs map[string]string) {
	words := l.words[1:]
	pos = make([]string, n)
	attrs = map[string]string{}
	if len(words) < n {
		p.fail(l, "%s needs %d words, and has %d", l.words[0], n, len(words))
		return pos, attrs
	}
	copy(pos, words)
	for _, w := range words[n:] {
		name, value, hasValue := strings.Cut(w, "=")
		known := false
		for a := range strings.FieldsSeq(allowed) {
			known = known || a == name+"=" && hasValue || a == name && !hasValue
		}
		if _, twice := attrs[name]; !known || twice {
			p.fail(l, "%q isn't possible here (possible: %s)", w, allowed)
			continue
		}
		attrs[name] = value
	}
	return pos, attrs
}

func has(attrs map[string]string, name string) bool {
	_, ok := attrs[name]
	return ok
}

// leaf complains about children.
func (p *textParser) leaf(l *textLine) {
	if len(l.children) > 0 {
		p.fail(l.children[0], "nothing can be below %q", l.words[0])
	}
}

func (p *textParser) unknown(l *textLine, parent string) {
	p.fail(l, "unknown keyword %q below %q", l.words[0], parent)
}

func (p *textParser) mode(l *textLine, s string) uint32 {
	if s == "" {
		return 0
	}
	m, err := strconv.ParseUint(s, 8, 32)
	if err != nil {
		p.fail(l, "%q isn't an octal mode", s)
	}
	return uint32(m)
}

func (p *textParser) number(l *textLine, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		p.fail(l, "%q isn't a number", s)
	}
	return n
}

func (p *textParser) parseRoot(l *textLine) {
	pos, attrs := p.args(l, 1, "from= path= dest= platform= discard")
	p.leaf(l)
	if _, dup := p.rootAt[pos[0]]; !dup {
		p.rootAt[pos[0]] = l.pos
	}
	p.roots = append(p.roots, Root{Name: pos[0], From: p.id(l, attrs["from"]), Path: attrs["path"], Dest: attrs["dest"], Platform: attrs["platform"], Discard: has(attrs, "discard")})
}

func (p *textParser) parseNode(l *textLine) {
	var n Node
	switch w := l.words; {
	case len(w) == 4 && w[2] == "on":
		n.Platform = w[3]
	case len(w) != 2:
		p.fail(l, `want "node ID" or "node ID on PLATFORM"`)
		return
	}
	p.node = l.words[1]
	n.ID = p.id(l, p.node)
	if len(l.children) != 1 {
		p.fail(l, "the node has %d actions; want exactly one of fetch, run, write, local, merge, image, git and import", len(l.children))
		return
	}
	a := l.children[0]
	switch a.words[0] {
	case "fetch":
		n.Action = p.fetch(a)
	case "run":
		n.Action = p.run(a)
	case "write":
		w := &Write{}
		p.args(a, 0, "")
		for _, c := range a.children {
			p.file(c, a, &w.Files)
		}
		n.Action = w
	case "local":
		n.Action = p.local(a)
	case "merge":
		n.Action = p.merge(a)
	case "image":
		pos, _ := p.args(a, 1, "")
		p.leaf(a)
		n.Action = &Image{Ref: pos[0]}
	case "git":
		pos, attrs := p.args(a, 2, "submodules")
		p.leaf(a)
		n.Action = &Git{URL: pos[0], Commit: pos[1], Submodules: has(attrs, "submodules")}
	case "import":
		pos, attrs := p.args(a, 1, "name=")
		p.leaf(a)
		n.Action = &Import{Digest: pos[0], Name: attrs["name"]}
	default:
		p.unknown(a, "node")
		return
	}
	if _, dup := p.at[n.ID]; !dup {
		p.at[n.ID] = l.pos
	}
	p.nodes = append(p.nodes, n)
}

// file parses a "file" line of parent.
func (p *textParser) file(l, parent *textLine, to *[]action.File) {
	if l.words[0] != "file" {
		p.unknown(l, parent.words[0])
		return
	}
	pos, attrs := p.args(l, 1, "mode= dir link= if= data= text=")
	p.leaf(l)
	f := action.File{Path: pos[0], Mode: p.mode(l, attrs["mode"]), Dir: has(attrs, "dir"), Link: attrs["link"], If: attrs["if"], Text: attrs["text"]}
	if l.block != "" {
		if f.Text != "" {
			p.fail(l, "the text is given twice")
		}
		f.Text = l.block
	}
	if has(attrs, "data") {
		data, err := base64.StdEncoding.DecodeString(attrs["data"])
		if err != nil {
			p.fail(l, "the data isn't base64: %w", err)
		}
		f.Data = data
	}
	*to = append(*to, f)
}

func (p *textParser) local(l *textLine) *Local {
	_, attrs := p.args(l, 0, "root=")
	a := &Local{Root: attrs["root"]}
	for _, c := range l.children {
		if c.words[0] != "file" {
			p.unknown(c, "local")
			continue
		}
		pos, attrs := p.args(c, 1, "source= mode=")
		p.leaf(c)
		if c.block != "" {
			p.fail(c, "a local file has no text of its own")
		}
		a.Files = append(a.Files, LocalFile{Path: pos[0], Source: attrs["source"], Mode: p.mode(c, attrs["mode"])})
	}
	return a
}

func (p *textParser) merge(l *textLine) *Merge {
	p.args(l, 0, "")
	a := &Merge{}
	for _, c := range l.children {
		if c.words[0] != "part" {
			p.unknown(c, "merge")
			continue
		}
		pos, attrs := p.args(c, 1, "path= target= writable")
		p.leaf(c)
		a.Parts = append(a.Parts, Input{From: p.id(c, pos[0]), Path: attrs["path"], Target: attrs["target"], Writable: has(attrs, "writable")})
	}
	return a
}
