// The strict decoder of the JSON notation.

package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ParseJSON parses the JSON notation; file names it in errors. It is strict: an unknown or
// repeated name, a second action, or anything after the end is an error, as is another version.
// What can't be read is a *SyntaxError with the place; what can be read but isn't a valid graph
// is what New reports, with the place of the node.
func ParseJSON(file string, data []byte) (*Graph, error) {
	p := &jsonParser{file: file, data: data, lines: lineStarts(data), at: map[ID]Position{}}
	if err := p.parse(); err != nil {
		return nil, err
	}
	g, err := New(p.nodes, p.roots)
	if err != nil {
		return nil, locate(err, p.at, p.rootAt)
	}
	return g, nil
}

// UnmarshalJSON parses the JSON notation into an empty graph; see ParseJSON.
func (g *Graph) UnmarshalJSON(data []byte) error {
	parsed, err := ParseJSON("", data)
	if err != nil {
		return err
	}
	*g = *parsed
	return nil
}

type jsonParser struct {
	file   string
	data   []byte
	lines  []int
	nodes  []Node
	roots  []Root
	at     map[ID]Position     // of the first node with that ID
	rootAt map[string]Position // of the first root with that name
}

func (p *jsonParser) pos(offset int) Position {
	return positionAt(p.file, p.data, p.lines, offset)
}

// fail makes a SyntaxError; node is the name in the text, if known.
func (p *jsonParser) fail(offset int, node string, err error) error {
	return &SyntaxError{Pos: p.pos(offset), Node: node, Err: err}
}

// parse reads the outer object with its arrays and hands each element over.
func (p *jsonParser) parse() error {
	if len(bytes.TrimSpace(p.data)) == 0 {
		return p.fail(0, "", errors.New("the file is empty"))
	}
	if err := p.checkNames(); err != nil {
		return err
	}
	p.rootAt = map[string]Position{}
	d := json.NewDecoder(bytes.NewReader(p.data))
	if tok, err := d.Token(); err != nil || tok != json.Delim('{') {
		return p.fail(0, "", errors.New(`a graph is an object: {"version":1,"nodes":[…],"roots":[…]}`))
	}
	version := 0
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return p.fail(int(d.InputOffset()), "", err)
		}
		start := p.skip(int(d.InputOffset()))
		switch key {
		case "version":
			if err := d.Decode(&version); err != nil {
				return p.fail(start, "", errors.New("the version must be a number"))
			}
			if version != JSONVersion {
				return p.fail(start, "", fmt.Errorf("version %d isn't known; this program reads version %d", version, JSONVersion))
			}
		case "nodes":
			err = p.array(d, p.node)
		case "roots":
			err = p.array(d, p.root)
		default:
			err = p.fail(start, "", fmt.Errorf(`unknown name %q; want "version", "nodes" or "roots"`, key))
		}
		if err != nil {
			return err
		}
	}
	if version == 0 {
		return p.fail(0, "", fmt.Errorf(`there is no "version"; this program reads version %d`, JSONVersion))
	}
	return nil
}

// skip returns the offset of the next value's first byte.
func (p *jsonParser) skip(offset int) int {
	for offset < len(p.data) && strings.IndexByte(" \t\r\n,:", p.data[offset]) >= 0 {
		offset++
	}
	return offset
}

func (p *jsonParser) array(d *json.Decoder, element func(raw []byte, offset int) error) error {
	start := p.skip(int(d.InputOffset()))
	if tok, err := d.Token(); err != nil || tok != json.Delim('[') {
		return p.fail(start, "", errors.New("a list is needed here"))
	}
	for d.More() {
		var raw json.RawMessage
		start := p.skip(int(d.InputOffset()))
		if err := d.Decode(&raw); err != nil {
			return p.fail(start, "", err)
		}
		if err := element(raw, start); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func (p *jsonParser) node(raw []byte, offset int) error {
	var w jsonNode
	if err := p.decode(raw, offset, &w); err != nil {
		return err
	}
	if w.ID == nil {
		return p.fail(offset, "", errors.New(`the node has no "id"`))
	}
	n, actions := w.node()
	if actions != 1 {
		return p.fail(offset, n.ID.String(), fmt.Errorf("the node has %d actions; want exactly one of fetch, run, write, local, merge, image, git and import", actions))
	}
	if _, dup := p.at[n.ID]; !dup {
		p.at[n.ID] = p.pos(offset)
	}
	p.nodes = append(p.nodes, n)
	return nil
}

func (p *jsonParser) root(raw []byte, offset int) error {
	var w jsonRoot
	if err := p.decode(raw, offset, &w); err != nil {
		return err
	}
	if _, dup := p.rootAt[w.Name]; !dup {
		p.rootAt[w.Name] = p.pos(offset)
	}
	p.roots = append(p.roots, Root(w))
	return nil
}

// decode decodes one element, strictly.
func (p *jsonParser) decode(raw []byte, offset int, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		return nil
	}
	name := rawID(raw)
	at := offset
	var typeErr *json.UnmarshalTypeError
	var idErr *IDError
	switch {
	case errors.As(err, &typeErr):
		at += int(typeErr.Offset)
		err = fmt.Errorf("%s can't be a %s", cmpOr(typeErr.Field, "the value"), typeErr.Value)
	case errors.As(err, &idErr):
		if i := bytes.Index(raw, []byte(strconv.Quote(idErr.Text))); i >= 0 {
			at += i
		}
	default:
		if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			if i := bytes.Index(raw, []byte(field)); i >= 0 {
				at += i
			}
			err = fmt.Errorf("unknown name %s", field)
		}
	}
	return p.fail(at, name, err)
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// rawID returns the "id" of an element that may have anything else wrong.
func rawID(raw []byte) string {
	var only struct {
		ID   any `json:"id"`
		Name any `json:"name"`
	}
	if json.Unmarshal(raw, &only) != nil {
		return ""
	}
	if s, ok := only.ID.(string); ok {
		return s
	}
	s, _ := only.Name.(string)
	return s
}

// checkNames walks over the whole text once, and refuses what encoding/json would accept: a name
// that is there twice in one object (also in another case), and text after the end. It finds all
// errors of JSON's syntax on the way.
func (p *jsonParser) checkNames() error {
	d := json.NewDecoder(bytes.NewReader(p.data))
	type frame struct {
		object bool
		exact  bool // the names are data, in which case matters
		key    bool // a name comes next
		names  map[string]bool
	}
	var stack []frame
	last := "" // the last name
	for {
		tok, err := d.Token()
		at := int(d.InputOffset())
		if err != nil {
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				// The offset is that of the byte itself between tokens, and one more inside of one.
				where := int(syntax.Offset) - 1
				if int(syntax.Offset) == at {
					where = at + len(p.data[at:]) - len(bytes.TrimLeft(p.data[at:], " \t\r\n"))
				}
				return p.fail(where, "", syntax)
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return p.fail(len(p.data), "", errors.New("the text ends in the middle; is the file complete?"))
			}
			return p.fail(at, "", err)
		}
		if n := len(stack); n > 0 && stack[n-1].object {
			if name, isName := tok.(string); isName && stack[n-1].key {
				fold := name
				if !stack[n-1].exact {
					fold = strings.ToLower(name)
				}
				if stack[n-1].names[fold] {
					return p.fail(max(at-len(name)-2, 0), "", fmt.Errorf("the name %q is there twice in one object", name))
				}
				stack[n-1].names[fold] = true
				stack[n-1].key = false
				last = name
				continue
			}
			stack[n-1].key = true
		}
		switch tok {
		case json.Delim('{'):
			stack = append(stack, frame{object: true, exact: last == "internal" || last == "rename", key: true, names: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, frame{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		if len(stack) == 0 {
			break
		}
	}
	if rest := p.data[d.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		return p.fail(p.skip(int(d.InputOffset())), "", errors.New("there is text after the graph"))
	}
	return nil
}
