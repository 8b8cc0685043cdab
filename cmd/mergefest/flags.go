// Flags that several commands share, and the small types behind them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// aliasOf begins the usage text of a flag that is another spelling of one.
const aliasOf = "same as -"

// alias gives a declared flag another name.
func alias(fs *flag.FlagSet, name, of string) {
	fs.Var(fs.Lookup(of).Value, name, aliasOf+of)
}

// spellings lists the names of a flag, with one dash for a letter or a flag of the go command's
// and two for the rest.
func spellings(fs *flag.FlagSet, f *flag.Flag) []string {
	names := []string{dashed(f.Name)}
	fs.VisitAll(func(g *flag.Flag) {
		if g.Usage == aliasOf+f.Name {
			names = append(names, dashed(g.Name))
		}
	})
	return names
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// list is a flag that may be repeated; each use may also hold several values between commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(v string) error {
	for s := range strings.SplitSeq(v, ",") {
		if s = strings.TrimSpace(s); s != "" {
			*l = append(*l, s)
		}
	}
	return nil
}

// words is a list that says something: an empty value, as of a variable that isn't set, is an error.
type words struct{ list *[]string }

func (w words) String() string {
	if w.list == nil {
		return ""
	}
	return strings.Join(*w.list, ",")
}

func (w words) Set(v string) error {
	if strings.Trim(v, ", ") == "" {
		return errors.New("it is empty")
	}
	return (*list)(w.list).Set(v)
}

// once is a text that may be given once: the last of several would win without a word.
type once struct{ text *string }

func (o once) String() string {
	if o.text == nil {
		return ""
	}
	return *o.text
}

func (o once) Set(v string) error {
	if *o.text != "" {
		return fmt.Errorf("it is there twice (%q before)", *o.text)
	}
	*o.text = v
	return nil
}

// tags are build tags: the last flag counts, and an empty one means none, whatever GOFLAGS says.
type tags []string

func (t *tags) String() string { return strings.Join(*t, ",") }

func (t *tags) Set(v string) error {
	// Spaces are what the go command accepted first.
	*t = append(tags{}, strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })...)
	return nil
}

// repeated is a flag that may be repeated and whose values keep their commas.
type repeated []string

func (r *repeated) String() string { return strings.Join(*r, " ") }

func (r *repeated) Set(v string) error {
	*r = append(*r, v)
	return nil
}

// boolText is a flag such as -buildvcs, which stands alone or has a value that needn't be a
// boolean.
type boolText struct{ text *string }

func (b *boolText) String() string {
	if b.text == nil {
		return ""
	}
	return *b.text
}

func (b *boolText) Set(v string) error {
	if on, err := strconv.ParseBool(v); err == nil { // "1" and "T" are accepted too
		v = strconv.FormatBool(on)
	}
	*b.text = v
	return nil
}

// IsBoolFlag lets the flag stand alone, as "true".
func (b *boolText) IsBoolFlag() bool { return true }

// size is a number of bytes with an optional unit: "10GB", "512MiB".
type size int64

func (s *size) String() string { return units.BytesSize(float64(*s)) }

func (s *size) Set(v string) error {
	n, err := units.RAMInBytes(v)
	*s = size(n)
	return err
}
