// Identity of nodes: order, the printed form and its parser.

package graph

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Compare orders IDs by ecosystem, kind, package, version and variant, each as plain bytes. It is
// the canonical order of everything that is printed, marshalled or hashed.
func (id ID) Compare(other ID) int {
	return cmp.Or(
		strings.Compare(id.Ecosystem, other.Ecosystem),
		strings.Compare(id.Kind, other.Kind),
		strings.Compare(id.Package, other.Package),
		strings.Compare(id.Version, other.Version),
		strings.Compare(id.Variant, other.Variant),
	)
}

// String returns the printed form, "ecosystem/kind/package@version[variant]". An empty version
// drops "@version", an empty variant drops "[variant]". What would be ambiguous there, and what
// isn't printable, is percent-escaped byte by byte, so that ParseID gives the same ID back whatever
// the fields contain. The form never contains a space, a quote or a line break.
//
//	go/compile/golang.org/x/text/language@v0.3.0[linux/amd64]
//	npm/fetch/@types/node@20.1.0
//	go/local/example.com/hello
func (id ID) String() string {
	var b strings.Builder
	b.Grow(len(id.Ecosystem) + len(id.Kind) + len(id.Package) + len(id.Version) + len(id.Variant) + 5)
	escape(&b, id.Ecosystem, "/@")
	b.WriteByte('/')
	escape(&b, id.Kind, "/@")
	b.WriteByte('/')
	pkg := id.Package
	if id.Version == "" {
		// The last "@" that isn't at the beginning separates the version: without a version no
		// other may be there.
		if strings.HasPrefix(pkg, "@") {
			b.WriteByte('@')
			pkg = pkg[1:]
		}
		escape(&b, pkg, "@")
	} else {
		escape(&b, pkg, "")
		b.WriteByte('@')
		escape(&b, id.Version, "@")
	}
	if id.Variant != "" {
		b.WriteByte('[')
		escape(&b, id.Variant, "")
		b.WriteByte(']')
	}
	return b.String()
}

// escape appends s, with "%XX" for each byte of special, of the brackets and the percent sign, of
// spaces and quotes, and of what isn't a printable character.
func escape(b *strings.Builder, s, special string) {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		bad := r == utf8.RuneError && n <= 1
		if bad || !unicode.IsPrint(r) || strings.ContainsRune("%[]\"'` ", r) || strings.ContainsRune(special, r) {
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(b, "%%%02X", c)
			}
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
}

// ParseID parses what String prints, and nothing else: a text that String wouldn't print for the
// ID is an *IDError.
func ParseID(s string) (ID, error) {
	id, err := parseID(s)
	if err == nil && id.String() != s {
		err = fmt.Errorf("it isn't in canonical form, which is %q", id.String())
	}
	if err != nil {
		return ID{}, &IDError{Text: s, Err: err}
	}
	return id, nil
}

func parseID(s string) (id ID, err error) {
	eco, rest, ok1 := strings.Cut(s, "/")
	kind, rest, ok2 := strings.Cut(rest, "/")
	if !ok1 || !ok2 {
		return id, errors.New("want ecosystem/kind/package@version[variant]")
	}
	var variant, version string
	if body, ok := strings.CutSuffix(rest, "]"); ok {
		open := strings.LastIndexByte(body, '[')
		if open < 0 {
			return id, errors.New(`"]" without "["`)
		}
		rest, variant = body[:open], body[open+1:]
	}
	if at := strings.LastIndexByte(rest, '@'); at > 0 {
		rest, version = rest[:at], rest[at+1:]
	}
	for _, f := range []struct {
		to   *string
		from string
	}{{&id.Ecosystem, eco}, {&id.Kind, kind}, {&id.Package, rest}, {&id.Version, version}, {&id.Variant, variant}} {
		if *f.to, err = unescape(f.from); err != nil {
			return ID{}, err
		}
	}
	return id, nil
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			return "", fmt.Errorf("%q isn't an escaped byte; want %%XX", s[i:min(i+3, len(s))])
		}
		b.WriteByte(byte(unhex(s[i+1])<<4 | unhex(s[i+2])))
		i += 2
	}
	return b.String(), nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// MarshalText returns the printed form.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText parses the printed form; see ParseID.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}
