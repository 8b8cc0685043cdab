// Grouping packages into units, each of which is compiled by one node.
package gobuild

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"github.com/mergefest/mergefest/graph/action"
)

// The tiers of the standard library. Each is what its packages import, without what an earlier
// tier has; what is in none has a node for each package. The lists are fixed, so that the nodes
// depend on the toolchain, the platform and the flags, and never on the program.
type tier struct {
	name  string
	roots []string
}

func tiers() []tier {
	return []tier{
		{"core", []string{
			"bufio", "bytes", "cmp", "context", "errors", "fmt", "io", "io/fs", "iter", "log", "maps", "math", "math/bits",
			"math/rand", "os", "path", "path/filepath", "reflect", "runtime", "runtime/debug", "slices", "sort", "strconv",
			"strings", "sync", "sync/atomic", "syscall", "time", "unicode", "unicode/utf8", "unicode/utf16",
		}},
		{"common", []string{
			"compress/gzip", "crypto/md5", "crypto/sha1", "crypto/sha256", "crypto/sha512", "embed", "encoding", "encoding/base64",
			"encoding/binary", "encoding/hex", "encoding/json", "flag", "go/token", "hash/crc32", "hash/fnv", "html", "math/big",
			"os/exec", "os/signal", "regexp", "testing/fstest", "text/tabwriter", "text/template", "unique",
		}},
		{"net", []string{
			"crypto/tls", "crypto/x509", "html/template", "mime/multipart", "net", "net/http", "net/http/httptrace", "net/url",
			"os/user", "log/slog", "expvar",
		}},
	}
}

// tierRoots are the packages to load so that all tiers are complete.
func (s *Settings) tierRoots() []string {
	var out []string
	for _, t := range tiers() {
		out = append(out, t.roots...)
	}
	if s.GOARCH == "arm" {
		out = append(out, "math")
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// makeUnits groups pkgs, which are complete (with all imports) and have one profile.
func (p *planner) makeUnits(pkgs []*pkg, prof *profile) error {
	if err := p.makeTiers(pkgs, prof); err != nil {
		return err
	}
	var rest []*pkg
	for _, q := range pkgs {
		if q.unit == nil {
			rest = append(rest, q)
		}
	}
	p.makeGroups(rest)
	return nil
}

// makeTiers assigns packages of the standard library to those tiers that pkgs need.
func (p *planner) makeTiers(pkgs []*pkg, prof *profile) error {
	needed := map[*pkg]bool{}
	for _, q := range pkgs {
		needed[q] = q.Standard
	}
	for _, t := range tiers() {
		var roots []*pkg
		for _, r := range t.roots {
			if p.byPath[r] == nil {
				continue // not on this platform
			}
			q, err := p.instance(r, prof)
			if err != nil {
				return err
			}
			roots = append(roots, q)
		}
		u := &unit{name: "std/" + t.name, prefix: "std/" + t.name, tier: true}
		used := false
		for _, q := range closure(roots) {
			if q.unit == nil && (prof == nil && !p.s.CGOEnabled || needed[q]) {
				// With a profile the node depends on the program anyway: take what is needed. With
				// cgo on, what isn't needed could not be compiled.
				u.pkgs = append(u.pkgs, q)
				used = used || needed[q]
			}
		}
		for _, q := range u.pkgs {
			q.unit = u
		}
		if used {
			p.units = append(p.units, u)
		}
	}
	return nil
}

// groupKey is what packages that share a unit have in common.
type groupKey struct {
	module, version string
	single          string // the import path, for a package of its own
	level           int
}

// makeGroups assigns the rest: a unit for each package, or one for those of a module.
func (p *planner) makeGroups(pkgs []*pkg) {
	groups := map[*pkg]groupKey{}
	for _, q := range pkgs {
		groups[q] = p.group(q)
	}
	for q, level := range levels(pkgs, groups) {
		k := groups[q]
		k.level = level
		groups[q] = k
	}
	byKey := map[groupKey]*unit{}
	for _, q := range pkgs { // imports first, so that units are in that order inside
		k := groups[q]
		u := byKey[k]
		if u == nil {
			u = &unit{name: q.ImportPath, version: moduleVersion(q)}
			byKey[k] = u
			p.units = append(p.units, u)
		}
		u.pkgs = append(u.pkgs, q)
		q.unit = u
	}
	for k, u := range byKey {
		if len(u.pkgs) > 1 {
			// Neither can be the name of a package.
			u.name = k.module + "/..."
			u.prefix = k.module + "@" + k.version
			if k.level > 0 {
				u.name += fmt.Sprintf("#%d", k.level)
				u.prefix += fmt.Sprintf("#%d", k.level)
			}
		}
	}
}

func (p *planner) group(q *pkg) groupKey {
	local := !p.fetched(q.Package)
	g := cmp.Or(p.cfg.Granularity, GranularityAuto)
	if q.Standard || q.Module == nil || q.ImportPath == commandLine || q.Name == "main" || g == GranularityPackage || local && g == GranularityAuto {
		return groupKey{single: q.ImportPath}
	}
	return groupKey{module: q.Module.Path, version: q.Module.Version}
}

// levels splits groups that import each other. Modules can do that where packages can't: a
// package's level is the largest number of times that a chain of its imports leaves a group of
// such a cycle, so that every import leads to a lower level or stays in its group.
func levels(pkgs []*pkg, groups map[*pkg]groupKey) map[*pkg]int {
	cyclic := cycles(pkgs, groups)
	level := map[*pkg]int{}
	for _, q := range pkgs {
		for _, d := range q.deps {
			gd, ok := groups[d]
			if !ok {
				continue
			}
			gq := groups[q]
			if c := cyclic[gq]; c == 0 || c != cyclic[gd] {
				continue
			}
			step := level[d]
			if gd != gq {
				step++
			}
			level[q] = max(level[q], step)
		}
	}
	return level
}

// cycles gives a number to each set of groups that import each other (Tarjan's strongly connected
// components of more than one element); groups outside such a set are missing.
func cycles(pkgs []*pkg, groups map[*pkg]groupKey) map[groupKey]int {
	edges := map[groupKey][]groupKey{}
	var order []groupKey
	for _, q := range pkgs {
		g := groups[q]
		if _, ok := edges[g]; !ok {
			order = append(order, g)
			edges[g] = nil
		}
		for _, d := range q.deps {
			if gd, ok := groups[d]; ok && gd != g {
				edges[g] = append(edges[g], gd)
			}
		}
	}
	t := tarjan{edges: edges, index: map[groupKey]int{}, low: map[groupKey]int{}, on: map[groupKey]bool{}, out: map[groupKey]int{}}
	for _, g := range order {
		if t.index[g] == 0 {
			t.visit(g)
		}
	}
	return t.out
}

type tarjan struct {
	edges      map[groupKey][]groupKey
	index, low map[groupKey]int
	on         map[groupKey]bool
	stack      []groupKey
	out        map[groupKey]int
}

func (t *tarjan) visit(g groupKey) {
	n := len(t.index) + 1
	t.index[g], t.low[g] = n, n
	t.stack = append(t.stack, g)
	t.on[g] = true
	for _, h := range t.edges[g] {
		if t.index[h] == 0 {
			t.visit(h)
			t.low[g] = min(t.low[g], t.low[h])
		} else if t.on[h] {
			t.low[g] = min(t.low[g], t.index[h])
		}
	}
	if t.low[g] != n {
		return
	}
	at := slices.Index(t.stack, g)
	set := t.stack[at:]
	for _, h := range set {
		t.on[h] = false
		if len(set) > 1 {
			t.out[h] = n
		}
	}
	t.stack = t.stack[:at]
}

func moduleVersion(q *pkg) string {
	if q.Module == nil {
		return ""
	}
	return q.Module.Version
}

// see is where an action of the unit finds the export data or object code of q.
func (u *unit) see(q *pkg, ext string) string {
	if q.unit == u {
		return path.Join(action.OutDir, q.out(ext))
	}
	return path.Join(action.InDir, q.out(ext))
}
