package npm

// Whether two version ranges have a version in common, as node-semver decides it.

import "strings"

// rangesIntersect reports whether some version may satisfy both; false if one isn't a range.
func rangesIntersect(a, b string) bool {
	ra, err := parseRange(a, mode{})
	if err != nil {
		return false
	}
	rb, err := parseRange(b, mode{})
	if err != nil {
		return false
	}
	for _, x := range ra.sets {
		for _, y := range rb.sets {
			if satisfiable(x) && satisfiable(y) && allIntersect(x, y) {
				return true
			}
		}
	}
	return false
}

func allIntersect(x, y []comparator) bool {
	for _, a := range x {
		for _, b := range y {
			if !a.intersects(b) {
				return false
			}
		}
	}
	return true
}

func satisfiable(set []comparator) bool {
	for i := len(set) - 1; i > 0; i-- {
		for _, other := range set[:i] {
			if !set[i].intersects(other) {
				return false
			}
		}
	}
	return true
}

func (c comparator) intersects(d comparator) bool {
	if c.op == "" {
		return c.v == nil || satisfies(c.String(), d.String(), mode{})
	}
	if d.op == "" {
		return d.v == nil || satisfies(d.String(), c.String(), mode{})
	}
	// Nothing is lower than 0.0.0.
	if strings.HasPrefix(c.String(), "<0.0.0") || strings.HasPrefix(d.String(), "<0.0.0") {
		return false
	}
	if c.op[0] == d.op[0] {
		return true
	}
	cmp := c.v.Compare(d.v)
	switch {
	case cmp == 0:
		return strings.HasSuffix(c.op, "=") && strings.HasSuffix(d.op, "=")
	case cmp < 0:
		return c.op[0] == '>'
	}
	return c.op[0] == '<'
}
