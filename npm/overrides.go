package npm

// "overrides" of package.json: rules that change what dependencies ask for, at any depth.

import (
	"fmt"
	"strings"
)

// overrideSet is one rule and the rules nested in it. The outermost has no name.
type overrideSet struct {
	parent   *overrideSet
	children []*overrideSet
	key      string // "lodash", "lodash@1.x"
	name     string
	keySpec  string // "*" where the key has no range
	value    string // what to ask for instead
}

// parseOverrides reads the field; nil if there are no rules.
func parseOverrides(doc *document) (*overrideSet, error) {
	rules := obj(doc.top, "overrides")
	if len(rules) == 0 {
		return nil, nil
	}
	root := &overrideSet{}
	if err := root.read(rules, 0); err != nil {
		return nil, doc.errorIn(&Error{Reason: Malformed, Msg: err.Error()}, "overrides")
	}
	return root, nil
}

func (o *overrideSet) read(rules object, depth int) error {
	if depth > 100 {
		return fmt.Errorf("overrides are nested too deeply")
	}
	for _, key := range sortedKeys(rules) {
		if key == "." {
			continue
		}
		c := &overrideSet{parent: o, key: key, name: key, keySpec: "*"}
		if at := strings.Index(key[min(1, len(key)):], "@"); at >= 0 {
			c.name, c.keySpec = key[:at+1], key[at+2:]
		}
		if !validName(c.name) {
			return fmt.Errorf("%q in overrides is not a package name", key)
		}
		c.value = c.keySpec
		switch v := rules[key].(type) {
		case string:
			if c.value = v; v == "" {
				c.value = "*"
			}
		case object:
			if v["."] != nil {
				if c.value = str(v, "."); c.value == "" {
					c.value = "*"
				}
			}
			if err := c.read(v, depth+1); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the override of %q must be a string or an object", key)
		}
		o.children = append(o.children, c)
	}
	return nil
}

// rules lists what applies below o, the innermost first.
func (o *overrideSet) rules() []*overrideSet {
	var out []*overrideSet
	seen := map[string]bool{}
	add := func(r *overrideSet) {
		if !seen[r.key] {
			seen[r.key] = true
			out = append(out, r)
		}
	}
	for at := o; at != nil; at = at.parent {
		for _, c := range at.children {
			add(c)
		}
		if at.parent != nil {
			add(at)
		}
	}
	return out
}

// rule is the set that holds for what e leads to: the rule that matches e, else o itself.
func (o *overrideSet) rule(e *edge) *overrideSet {
	for _, r := range o.rules() {
		if r.name != e.name {
			continue
		}
		if r.keySpec == "*" {
			return r
		}
		s := parseSpec(e.raw, "")
		if s.kind == specAlias {
			s = *s.sub
		}
		switch s.kind {
		case specRange, specVersion:
			if rangesIntersect(s.value, r.keySpec) {
				return r
			}
		case specGit:
		default:
			return r
		}
	}
	return o
}

func (o *overrideSet) equal(p *overrideSet) bool {
	for o != p {
		if o == nil || p == nil || o.key != p.key || o.value != p.value || !o.sameChildren(p) {
			return false
		}
		o, p = o.parent, p.parent
	}
	return true
}

func (o *overrideSet) sameChildren(p *overrideSet) bool {
	if len(o.children) != len(p.children) {
		return false
	}
	for i, c := range o.children {
		d := p.children[i]
		if c.key != d.key || c.value != d.value || !c.sameChildren(d) {
			return false
		}
	}
	return true
}

// moreSpecific is the inner of two sets, or their nearest common ancestor.
func moreSpecific(a, b *overrideSet) *overrideSet {
	for at := b; at != nil; at = at.parent {
		if at.equal(a) {
			return b
		}
	}
	for at := a; at != nil; at = at.parent {
		if at.equal(b) {
			return a
		}
	}
	for x := b; x != nil; x = x.parent {
		for y := a; y != nil; y = y.parent {
			if y.equal(x) {
				return y
			}
		}
	}
	return nil
}

// applyOverrides gives every edge the rule that holds for it, from the root outwards.
func (t *tree) applyOverrides() {
	for _, n := range t.nodes {
		if n != t.root {
			n.overrides = nil
		}
	}
	if t.root.overrides == nil {
		return
	}
	queue := []*node{t.root}
	for steps := 0; len(queue) > 0 && steps < 20*len(t.nodes)+100; steps++ {
		n := queue[0]
		queue = queue[1:]
		if n.isLink() {
			if t.mattersBelow(n.overrides, n.target) && n.target.inheritOverrides(n.overrides) {
				queue = append(queue, n.target)
			}
			continue
		}
		for _, e := range n.edges {
			rule := n.overrides.rule(e)
			if e.overrides == rule {
				continue
			}
			e.overrides = rule
			if e.to != nil && e.to.inheritOverrides(rule) {
				queue = append(queue, e.to)
			}
		}
	}
}

// inheritOverrides takes over the rules of an incoming edge, and reports a change.
func (n *node) inheritOverrides(o *overrideSet) bool {
	if n.overrides == nil {
		n.overrides = o
		return true
	}
	if n.overrides.equal(o) {
		return false
	}
	m := moreSpecific(n.overrides, o)
	if m == nil || m.equal(n.overrides) {
		return false
	}
	n.overrides = m
	return true
}

// mattersBelow reports whether a rule names something that n needs, at any depth.
func (t *tree) mattersBelow(o *overrideSet, n *node) bool {
	seen := map[*node]bool{}
	stack := []*node{n}
	for len(stack) > 0 {
		at := stack[len(stack)-1].target
		stack = stack[:len(stack)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		for _, e := range at.edges {
			if o.rule(e).name == e.name {
				return true
			}
			if e.to != nil {
				stack = append(stack, e.to)
			}
		}
	}
	return false
}
