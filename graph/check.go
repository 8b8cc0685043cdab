// What a valid node and a valid root are: the parts that hold for every action.

package graph

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// checker collects the problems of one node or root.
type checker struct {
	node ID
	root string
	errs []error
}

// add records a problem of a field, if err is one.
func (c *checker) add(field string, err error) {
	if err != nil {
		c.errs = append(c.errs, &Error{Node: c.node, Root: c.root, Field: field, Err: err})
	}
}

func (c *checker) addf(field, format string, args ...any) {
	c.add(field, fmt.Errorf(format, args...))
}

func (g *Graph) checkNode(n Node) []error {
	c := &checker{node: n.ID}
	c.add("id", checkID(n.ID))
	if n.Platform != "" {
		c.add("platform", CheckPlatform(n.Platform))
	}
	if n.Action == nil || reflect.ValueOf(n.Action).IsNil() {
		c.addf("", "it has no action")
		return c.errs
	}
	switch a := n.Action.(type) {
	case *Fetch:
		c.fetch(a)
	case *Run:
		c.run(a)
	case *Write:
		c.files("write.files", a.Files, writeFiles)
	case *Local:
		c.local(a)
	case *Merge:
		c.merge(a)
	case *Image:
		c.image(a)
	case *Git:
		c.git(a)
	case *Import:
		c.imported(a)
	}
	for i, in := range n.Action.Inputs() {
		if _, ok := g.index[in.From]; !ok {
			c.add(inputField(n.Action, i)+".from", &MissingError{ID: in.From})
		}
	}
	return c.errs
}

// inputField names the i-th of Action.Inputs.
func inputField(a Action, i int) string {
	switch a := a.(type) {
	case *Run:
		if a.Base != nil {
			if i == 0 {
				return "run.base"
			}
			i--
		}
		return fmt.Sprintf("run.mounts[%d]", i)
	default:
		return fmt.Sprintf("merge.parts[%d]", i)
	}
}

func (g *Graph) checkRoots() []error {
	var errs []error
	for i, r := range g.roots {
		c := &checker{root: r.Name}
		if r.Name == "" {
			c.addf(fmt.Sprintf("roots[%d].name", i), "a root needs a name")
		}
		c.add("name", checkText(r.Name))
		if _, ok := g.index[r.From]; !ok {
			c.add("from", &MissingError{ID: r.From})
		}
		c.add("path", checkRelative(r.Path, true))
		c.add("dest", checkRelative(r.Dest, true))
		if r.Discard && r.Dest != "" {
			c.addf("dest", "a result that is discarded has no destination")
		}
		if r.Platform != "" {
			c.add("platform", CheckPlatform(r.Platform))
		}
		if i > 0 && compareRoots(g.roots[i-1], r) == 0 && g.roots[i-1] != r {
			c.errs = append(c.errs, &ConflictError{Root: r.Name, Field: rootDifference(g.roots[i-1], r)})
		} else if i > 0 && g.roots[i-1] == r {
			c.addf("", "the root is given twice")
		}
		errs = append(errs, c.errs...)
	}
	return errs
}

func checkID(id ID) error {
	if err := checkWord(id.Ecosystem); err != nil {
		return fmt.Errorf("ecosystem %w", err)
	}
	if err := checkWord(id.Kind); err != nil {
		return fmt.Errorf("kind %w", err)
	}
	if id.Package == "" {
		return errors.New("the package is empty")
	}
	for _, s := range []string{id.Package, id.Version, id.Variant} {
		if err := checkText(s); err != nil {
			return err
		}
	}
	return nil
}

// checkWord accepts a lower-case word: a letter, then letters, digits and hyphens.
func checkWord(s string) error {
	for i, r := range s {
		letter := 'a' <= r && r <= 'z'
		if !letter && (i == 0 || !('0' <= r && r <= '9' || r == '-')) {
			return fmt.Errorf("%q isn't a lower-case word", s)
		}
	}
	if s == "" {
		return errors.New("is empty; want a lower-case word")
	}
	return nil
}

// CheckPlatform accepts "os/arch" and "os/arch/variant" in lower case, such as "linux/amd64" and
// "linux/arm/v7". It doesn't know which of them exist.
func CheckPlatform(p string) error {
	parts := strings.Split(p, "/")
	ok := len(parts) == 2 || len(parts) == 3
	for _, part := range parts {
		ok = ok && part != "" && strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
	}
	if !ok {
		return fmt.Errorf(`%q isn't a platform; want "os/arch" or "os/arch/variant"`, p)
	}
	return nil
}

// conflict describes two nodes of one ID.
func conflict(a, b Node) error {
	if equalNodes(a, b) {
		return &Error{Node: a.ID, Err: errors.New("the node is given twice")}
	}
	return &ConflictError{Node: a.ID, Field: difference(a, b)}
}

// equalNodes compares canonical forms.
func equalNodes(a, b Node) bool { return difference(a, b) == "" }

// difference names the first part in which two nodes differ; empty if they are equal. Both are in
// canonical form.
func difference(a, b Node) string {
	switch {
	case a.ID != b.ID:
		return "id"
	case a.Platform != b.Platform:
		return fmt.Sprintf("platform: %q and %q", a.Platform, b.Platform)
	case KindOf(a.Action) != KindOf(b.Action):
		return fmt.Sprintf("action: %s and %s", KindOf(a.Action), KindOf(b.Action))
	case a.Action == b.Action:
		return ""
	}
	return valueDifference(KindOf(a.Action), reflect.ValueOf(a.Action), reflect.ValueOf(b.Action))
}

// valueDifference compares plain data; unlike reflect.DeepEqual it takes an empty list for nil,
// and says where the first difference is.
func valueDifference(name string, a, b reflect.Value) string {
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				return name
			}
			return ""
		}
		return valueDifference(name, a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			field := a.Type().Field(i)
			sub := name + "." + strings.ToLower(field.Name[:1]) + field.Name[1:]
			if field.Anonymous {
				sub = name
			}
			if d := valueDifference(sub, a.Field(i), b.Field(i)); d != "" {
				return d
			}
		}
		return ""
	case reflect.Slice:
		for i := range min(a.Len(), b.Len()) {
			if d := valueDifference(fmt.Sprintf("%s[%d]", name, i), a.Index(i), b.Index(i)); d != "" {
				return d
			}
		}
		if a.Len() != b.Len() {
			return fmt.Sprintf("%s: %d and %d entries", name, a.Len(), b.Len())
		}
		return ""
	case reflect.Map:
		if a.Len() == b.Len() && (a.Len() == 0 || reflect.DeepEqual(a.Interface(), b.Interface())) {
			return ""
		}
		return name
	default:
		if a.Equal(b) {
			return ""
		}
		return name
	}
}

func rootDifference(a, b Root) string {
	return strings.TrimPrefix(valueDifference("", reflect.ValueOf(a), reflect.ValueOf(b)), ".")
}
