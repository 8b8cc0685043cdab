package npm

// Version ranges in npm's grammar. Masterminds/semver compares the versions; its ranges are of
// another grammar (they know no loose versions, treat pre-releases, "||", "x" and hyphen ranges
// differently), so those are read here. The steps are node-semver's, which is the definition of
// the format: each rewrites a range into simpler comparators, and their order matters.

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

const (
	reNum      = `(?:0|[1-9]\d*)`
	reNumLoose = `\d+`
	reAlpha    = `\d*[a-zA-Z-][a-zA-Z0-9-]*`
	rePre      = `(?:-((?:` + reAlpha + `|` + reNum + `)(?:\.(?:` + reAlpha + `|` + reNum + `))*))`
	rePreLoose = `(?:-?((?:` + reAlpha + `|` + reNumLoose + `)(?:\.(?:` + reAlpha + `|` + reNumLoose + `))*))`
	reBuild    = `(?:\+([a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*))`
	reGTLT     = `((?:<|>)?=?)`
	reFull     = `v?(` + reNum + `)\.(` + reNum + `)\.(` + reNum + `)` + rePre + `?` + reBuild + `?`
	reLoose    = `[v=\s]*(` + reNumLoose + `)\.(` + reNumLoose + `)\.(` + reNumLoose + `)` + rePreLoose + `?` + reBuild + `?`
	reX        = reNum + `|x|X|\*`
	reXLoose   = reNumLoose + `|x|X|\*`
	reXPlain   = `[v=\s]*(` + reX + `)(?:\.(` + reX + `)(?:\.(` + reX + `)` + rePre + `?` + reBuild + `?)?)?`
	reXPLoose  = `[v=\s]*(` + reXLoose + `)(?:\.(` + reXLoose + `)(?:\.(` + reXLoose + `)` + rePreLoose + `?` + reBuild + `?)?)?`
)

// grammar is the set of expressions for strict or loose reading.
type grammar struct {
	version, hyphen, tilde, caret, xrange, comparator *regexp.Regexp
}

var (
	strictGrammar = grammar{
		version:    regexp.MustCompile(`^` + reFull + `$`),
		hyphen:     regexp.MustCompile(`^\s*(` + reXPlain + `)\s+-\s+(` + reXPlain + `)\s*$`),
		tilde:      regexp.MustCompile(`^(?:~>?)` + reXPlain + `$`),
		caret:      regexp.MustCompile(`^\^` + reXPlain + `$`),
		xrange:     regexp.MustCompile(`^` + reGTLT + `\s*` + reXPlain + `$`),
		comparator: regexp.MustCompile(`^` + reGTLT + `\s*(` + reFull + `)$|^$`),
	}
	looseGrammar = grammar{
		version:    regexp.MustCompile(`^` + reLoose + `$`),
		hyphen:     regexp.MustCompile(`^\s*(` + reXPLoose + `)\s+-\s+(` + reXPLoose + `)\s*$`),
		tilde:      regexp.MustCompile(`^(?:~>?)` + reXPLoose + `$`),
		caret:      regexp.MustCompile(`^\^` + reXPLoose + `$`),
		xrange:     regexp.MustCompile(`^` + reGTLT + `\s*` + reXPLoose + `$`),
		comparator: regexp.MustCompile(`^` + reGTLT + `\s*(` + reLoose + `)$|^$`),
	}
	reSpaces   = regexp.MustCompile(`\s+`)
	reBuilds   = regexp.MustCompile(reBuild)
	reCompTrim = regexp.MustCompile(`(\s*)` + reGTLT + `\s*(` + reLoose + `|` + reXPlain + `)`)
	reTildeCut = regexp.MustCompile(`(\s*)(?:~>?)\s+`)
	reCaretCut = regexp.MustCompile(`(\s*)\^\s+`)
	reStar     = regexp.MustCompile(`(<|>)?=?\s*\*`)
	reGTE0     = regexp.MustCompile(`^\s*>=\s*0\.0\.0\s*$`)
	reGTE0Pre  = regexp.MustCompile(`^\s*>=\s*0\.0\.0-0\s*$`)
)

// mode chooses how ranges and versions are read.
type mode struct {
	loose      bool // "v1.2.3", "=1.2.3", "1.2.3beta" are versions too
	prerelease bool // pre-releases count like any version
}

func (m mode) grammar() grammar {
	if m.loose {
		return looseGrammar
	}
	return strictGrammar
}

// maxVersion bounds the length of versions and ranges, as node-semver does.
const maxVersion = 256

// parseVersion reads a version; nil if it is none.
func parseVersion(s string, m mode) *semver.Version {
	s = strings.TrimSpace(s)
	if len(s) > maxVersion {
		return nil
	}
	g := m.grammar().version.FindStringSubmatch(s)
	if g == nil {
		return nil
	}
	var n [3]uint64
	for i := range n {
		v, err := strconv.ParseUint(g[i+1], 10, 53)
		if err != nil {
			return nil
		}
		n[i] = v
	}
	pre := g[4]
	if m.loose && pre != "" {
		pre = trimZeros(pre)
	}
	return semver.New(n[0], n[1], n[2], pre, "")
}

// trimZeros rewrites numeric identifiers without leading zeros: the loose grammar allows them.
func trimZeros(pre string) string {
	parts := strings.Split(pre, ".")
	for i, p := range parts {
		if n, err := strconv.ParseUint(p, 10, 64); err == nil {
			parts[i] = strconv.FormatUint(n, 10)
		}
	}
	return strings.Join(parts, ".")
}

// comparator is an operator ("", "<", "<=", ">", ">=") and a version; nil matches everything.
type comparator struct {
	op string
	v  *semver.Version
}

func (c comparator) String() string {
	if c.v == nil {
		return ""
	}
	return c.op + c.v.String()
}

func (c comparator) test(v *semver.Version) bool {
	if c.v == nil {
		return true
	}
	d := v.Compare(c.v)
	switch c.op {
	case "<":
		return d < 0
	case "<=":
		return d <= 0
	case ">":
		return d > 0
	case ">=":
		return d >= 0
	}
	return d == 0
}

func (c comparator) null() bool { return c.String() == "<0.0.0-0" }

// versionRange is a range: alternatives of comparators that must all hold.
type versionRange struct {
	mode mode
	sets [][]comparator
}

// parseRange reads a range in npm's grammar.
func parseRange(s string, m mode) (*versionRange, error) {
	raw := reSpaces.ReplaceAllString(strings.TrimSpace(s), " ")
	r := &versionRange{mode: m}
	for _, alt := range strings.Split(raw, "||") {
		set, err := parseSet(strings.TrimSpace(alt), m)
		if err != nil {
			return nil, fmt.Errorf("invalid version range %q", s)
		}
		if len(set) > 0 {
			r.sets = append(r.sets, set)
		}
	}
	if len(r.sets) == 0 {
		return nil, fmt.Errorf("invalid version range %q", s)
	}
	if len(r.sets) > 1 {
		first := r.sets[0]
		kept := r.sets[:0:0]
		for _, set := range r.sets {
			if !set[0].null() {
				kept = append(kept, set)
			}
		}
		if len(kept) == 0 {
			kept = [][]comparator{first}
		}
		r.sets = kept
	}
	return r, nil
}

func parseSet(s string, m mode) ([]comparator, error) {
	g := m.grammar()
	s = reBuilds.ReplaceAllString(s, "")
	if h := g.hyphen.FindStringSubmatch(s); h != nil {
		s = hyphen(h, m.prerelease)
	}
	s = reCompTrim.ReplaceAllString(s, "$1$2$3")
	s = reTildeCut.ReplaceAllString(s, "${1}~")
	s = reCaretCut.ReplaceAllString(s, "${1}^")
	var parts []string
	for _, c := range strings.Split(s, " ") {
		parts = append(parts, rewriteAll(c, m))
	}
	var set []comparator
	seen := map[string]bool{}
	for _, c := range reSpaces.Split(strings.Join(parts, " "), -1) {
		c = gteZero(c, m)
		if m.loose && !g.comparator.MatchString(c) {
			continue
		}
		cmp, ok := parseComparator(c, m)
		if !ok {
			return nil, fmt.Errorf("invalid comparator %q", c)
		}
		if cmp.null() {
			return []comparator{cmp}, nil
		}
		if key := cmp.String(); !seen[key] {
			seen[key] = true
			set = append(set, cmp)
		}
	}
	if len(set) > 1 && seen[""] {
		kept := set[:0]
		for _, c := range set {
			if c.v != nil {
				kept = append(kept, c)
			}
		}
		set = kept
	}
	return set, nil
}

func gteZero(c string, m mode) string {
	c = strings.TrimSpace(c)
	if m.prerelease {
		return reGTE0Pre.ReplaceAllString(c, "")
	}
	return reGTE0.ReplaceAllString(c, "")
}

func parseComparator(s string, m mode) (comparator, bool) {
	g := m.grammar().comparator.FindStringSubmatch(s)
	if g == nil {
		return comparator{}, false
	}
	if g[2] == "" {
		return comparator{}, true
	}
	v := parseVersion(g[2], m)
	if v == nil {
		return comparator{}, false
	}
	op := g[1]
	if op == "=" {
		op = ""
	}
	return comparator{op, v}, true
}

// matches reports whether the version satisfies the range.
func (r *versionRange) matches(v *semver.Version) bool {
	for _, set := range r.sets {
		if r.matchesAll(set, v) {
			return true
		}
	}
	return false
}

func (r *versionRange) matchesAll(set []comparator, v *semver.Version) bool {
	for _, c := range set {
		if !c.test(v) {
			return false
		}
	}
	if v.Prerelease() == "" || r.mode.prerelease {
		return true
	}
	// A pre-release counts only where the range names a pre-release of the same version.
	for _, c := range set {
		if c.v != nil && c.v.Prerelease() != "" &&
			c.v.Major() == v.Major() && c.v.Minor() == v.Minor() && c.v.Patch() == v.Patch() {
			return true
		}
	}
	return false
}

// satisfies is node-semver's function of that name: false for what isn't a version or a range.
func satisfies(version, rng string, m mode) bool {
	r, err := parseRange(rng, m)
	if err != nil {
		return false
	}
	v := parseVersion(version, m)
	return v != nil && r.matches(v)
}
