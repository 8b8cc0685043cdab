package npm

// Reading JSON files with positions, and writing JSON exactly as npm does.

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// object is a decoded JSON object. Values are string, bool, nil, json.Number, []any, object.
type object = map[string]any

// document is a JSON file whose top is an object.
type document struct {
	file string
	data []byte // without the byte order mark
	top  object
	keys map[string]int // offsets of keys by path, once a position was asked for
}

// maxJSON bounds a file: the largest lockfiles known have about 20 MB.
const maxJSON = 256 << 20

var conflictMarker = regexp.MustCompile(`(?m)^(<{7,}|={7,}|>{7,}|\|{7,})( |\r?$)`)

// parseJSON reads the object in data. file is used in errors only.
func parseJSON(file string, data []byte) (*document, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	d := &document{file: file, data: data}
	if len(data) > maxJSON {
		return nil, &Error{Reason: Malformed, File: file, Msg: "the file is larger than 256 MiB"}
	}
	if at := conflictMarker.FindIndex(data); at != nil {
		return nil, d.errorAt(at[0], &Error{Reason: Syntax, Msg: "a merge conflict is not resolved",
			Advice: "resolve it (npm install does so for a lockfile) and try again"})
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	if err == nil {
		if _, tail := dec.Token(); !errors.Is(tail, io.EOF) {
			return nil, d.errorAt(int(dec.InputOffset()), &Error{Reason: Syntax, Msg: "something follows the end of the JSON document"})
		}
		top, ok := v.(object)
		if !ok {
			return nil, d.errorAt(0, &Error{Reason: Malformed, Msg: "the file must have a JSON object"})
		}
		d.top = top
		return d, nil
	}
	var syn *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return nil, &Error{Reason: Syntax, File: file, Msg: "the file is empty"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, d.errorAt(len(data), &Error{Reason: Syntax, Msg: "the file ends in the middle of the JSON document",
			Advice: "it was cut off; restore it from version control or make it again with npm install"})
	case errors.As(err, &syn):
		return nil, d.errorAt(int(syn.Offset)-1, &Error{Reason: Syntax, Msg: syn.Error()})
	}
	return nil, &Error{Reason: Syntax, File: file, Err: err, Msg: "cannot read JSON"}
}

// errorAt sets the position of e to the byte offset.
func (d *document) errorAt(offset int, e *Error) *Error {
	offset = max(0, min(offset, len(d.data)))
	before := d.data[:offset]
	e.File = d.file
	e.Line = bytes.Count(before, []byte("\n")) + 1
	e.Col = offset - bytes.LastIndexByte(before, '\n')
	return e
}

// errorIn sets the position of e to the key at path, for example ("packages", "node_modules/a").
func (d *document) errorIn(e *Error, path ...string) *Error {
	return d.errorAt(d.locate(path), e)
}

// locate finds the offset of the key at path, or of the nearest object around it. It reads the file
// again, once: positions are needed only where something is wrong.
func (d *document) locate(path []string) int {
	if d.keys == nil {
		d.keys = map[string]int{}
		dec := json.NewDecoder(bytes.NewReader(d.data))
		if t, err := dec.Token(); err == nil && t == json.Delim('{') {
			d.index(dec, "", 0)
		}
	}
	if len(path) == 2 && path[0] == "packages" && !d.has("packages") {
		path = dependencyPath(path[1]) // of a lockfile of version 1
	}
	for n := len(path); n > 0; n-- {
		if at, ok := d.keys[strings.Join(path[:n], "\x00")]; ok {
			return at
		}
	}
	return 0
}

func (d *document) has(key string) bool { _, ok := d.keys[key]; return ok }

// dependencyPath is where a lockfile of version 1 has the package at a location.
func dependencyPath(loc string) []string {
	var out []string
	for name := range strings.SplitSeq(strings.TrimPrefix(loc, "node_modules/"), "/node_modules/") {
		out = append(out, "dependencies", name)
	}
	return out
}

// maxIndex bounds the depth of keys with positions; lockfiles of version 1 nest the deepest.
const maxIndex = 64

// index notes the keys of the object that dec is in, and of those below it.
func (d *document) index(dec *json.Decoder, prefix string, depth int) {
	for dec.More() {
		key, err := dec.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return
		}
		path := prefix + name
		end := int(dec.InputOffset())
		d.keys[path] = max(0, bytes.LastIndexByte(d.data[:max(0, end-1-len(name))], '"'))
		value, err := dec.Token()
		if err != nil {
			return
		}
		switch {
		case value == json.Delim('{') && depth < maxIndex:
			d.index(dec, path+"\x00", depth+1)
		case value == json.Delim('{') || value == json.Delim('['):
			if !skipRest(dec) {
				return
			}
		}
	}
	_, _ = dec.Token() // the closing brace; an error ends the loop around
}

// skipRest reads to the end of the list or object that dec is in.
func skipRest(dec *json.Decoder) bool {
	for open := 1; open > 0; {
		t, err := dec.Token()
		if err != nil {
			return false
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			open++
		case json.Delim('}'), json.Delim(']'):
			open--
		}
	}
	return true
}

var (
	jsonEmpty  = regexp.MustCompile(`^(?:\{\}|\[\])((?:\r?\n)+)?$`)
	jsonFormat = regexp.MustCompile(`^\s*[{[]((?:\r?\n)+)([\s\t]*)`)
)

// style returns the indentation and line end of a file (npm's own where it has none), as npm infers them to write a lockfile in
// the style of the one that it read.
func (d *document) style() (indent, newline string) {
	if m := jsonEmpty.FindSubmatch(d.data); m != nil {
		if m[1] == nil {
			return "  ", "\n"
		}
		return "  ", string(m[1])
	}
	if m := jsonFormat.FindSubmatch(d.data); m != nil {
		return cmp.Or(string(m[2]), "  "), cmp.Or(string(m[1]), "\n")
	}
	return "  ", "\n" // npm's own fallback
}

// lockKeys are the keys that npm writes first at every level of a lockfile.
var lockKeys = map[string]int{
	"name": 1, "version": 2, "lockfileVersion": 3, "resolved": 4,
	"integrity": 5, "requires": 6, "packages": 7, "dependencies": 8,
}

// writeLockJSON writes v as npm writes a lockfile: preferred keys first, scalars and arrays before
// objects, the rest in the order of the English locale.
func writeLockJSON(v object, indent, newline string) []byte {
	var b strings.Builder
	writeValue(&b, v, cut(indent, 10), "\n")
	b.WriteByte('\n')
	if newline != "\n" {
		return []byte(strings.ReplaceAll(b.String(), "\n", newline))
	}
	return []byte(b.String())
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

func writeValue(b *strings.Builder, v any, indent, nl string) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case string:
		writeString(b, v)
	case json.Number:
		b.WriteString(jsNumber(v))
	case int:
		b.WriteString(strconv.Itoa(v))
	case []any:
		writeList(b, v, indent, nl)
	case object:
		writeObject(b, v, indent, nl)
	}
}

func writeList(b *strings.Builder, v []any, indent, nl string) {
	if len(v) == 0 {
		b.WriteString("[]")
		return
	}
	b.WriteByte('[')
	for i, x := range v {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(nl + indent)
		writeValue(b, x, indent, nl+indent)
	}
	b.WriteString(nl + "]")
}

func writeObject(b *strings.Builder, v object, indent, nl string) {
	if len(v) == 0 {
		b.WriteString("{}")
		return
	}
	b.WriteByte('{')
	for i, k := range lockOrder(v) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(nl + indent)
		writeString(b, k)
		b.WriteString(": ")
		writeValue(b, v[k], indent, nl+indent)
	}
	b.WriteString(nl + "}")
}

// lockOrder gives the keys of v in the order in which npm writes them.
func lockOrder(v object) []string {
	keys := make([]string, 0, len(v))
	for k := range v {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, c := keys[i], keys[j]
		// An array index comes first in every JavaScript object, by number.
		ai, aIndex := arrayIndex(a)
		ci, cIndex := arrayIndex(c)
		if aIndex || cIndex {
			return aIndex && (!cIndex || ai < ci)
		}
		_, ao := v[a].(object)
		_, co := v[c].(object)
		if ao != co {
			return co
		}
		ap, cp := lockKeys[a], lockKeys[c]
		if ap != 0 || cp != 0 {
			return ap != 0 && (cp == 0 || ap < cp)
		}
		return localeCompare(a, c) < 0
	})
	return keys
}

func arrayIndex(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return n, err == nil && n < 1<<32-1 && strconv.FormatUint(n, 10) == s
}

// writeString quotes as JSON.stringify does.
func writeString(b *strings.Builder, s string) {
	const hex = "0123456789abcdef"
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20:
			b.WriteString(`\u00` + string(hex[r>>4]) + string(hex[r&15]))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// jsNumber writes a number as JavaScript does: "1.0" is 1, "1e3" is 1000.
func jsNumber(n json.Number) string {
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	out, err := json.Marshal(f) // ECMAScript's rules, as encoding/json promises
	if err != nil {
		return n.String()
	}
	return string(out)
}

// str is o[key] if that is a string.
func str(o object, key string) string {
	s, _ := o[key].(string)
	return s
}

// obj is o[key] if that is an object, else nil.
func obj(o object, key string) object {
	v, _ := o[key].(object)
	return v
}

// truthy is JavaScript's notion of a value that counts.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	}
	return true
}

// stringsOf lists the strings in a JSON list, or the one string.
func stringsOf(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, x := range v {
			if s, ok := x.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// sortedKeys lists keys in byte order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
