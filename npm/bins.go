package npm

// node_modules/.bin: which links exist, and which package wins where two want one name.

import (
	"path"
	"sort"
	"strings"
)

// binLink is one link in a .bin directory.
type binLink struct {
	path   string // of the link, relative to the app: "node_modules/.bin/tsc"
	target string // as written into the link: "../typescript/bin/tsc"
	file   string // what it leads to, relative to the app
	node   *node  // whose bin it is
}

// binLinks lists the links of the whole tree. npm links shallow packages first, then by path, then
// those of linked packages; the first that wants a name keeps it, even if its file turns out to be
// missing. (Then there is no link, which only unpacking can tell.)
func (t *tree) binLinks() []binLink {
	var nodes []*node
	targets := map[*node]bool{}
	for _, n := range t.ordered() {
		if n.isLink() {
			targets[n.target] = true
		}
		if n.parent != nil {
			nodes = append(nodes, n)
		}
	}
	sort.SliceStable(nodes, func(i, j int) bool {
		a, b := nodes[i], nodes[j]
		if a.isLink() != b.isLink() {
			return b.isLink()
		}
		if da, db := a.depth(), b.depth(); da != db {
			return da < db
		}
		return localeCompare(a.loc, b.loc) < 0
	})
	var out []binLink
	taken := map[string]bool{}
	for _, n := range nodes {
		if targets[n] {
			continue
		}
		bin := normalizeBin(n.pkg)
		dir := path.Join(strings.TrimSuffix(n.loc, n.name), ".bin")
		for _, name := range sortedKeys(bin) {
			link := path.Join(dir, name)
			if taken[link] {
				continue
			}
			taken[link] = true
			file := path.Join(n.loc, bin[name].(string))
			out = append(out, binLink{path: link, target: relPath(dir, file), file: file, node: n})
		}
	}
	return out
}

// relPath is to as seen from the directory from; both are clean and relative to the app.
func relPath(from, to string) string {
	split := func(p string) []string {
		if p == "" || p == "." {
			return nil
		}
		return strings.Split(p, "/")
	}
	a, b := split(from), split(to)
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] && a[0] != ".." {
		a, b = a[1:], b[1:]
	}
	up := make([]string, len(a), len(a)+len(b))
	for i := range up {
		up[i] = ".."
	}
	if out := strings.Join(append(up, b...), "/"); out != "" {
		return out
	}
	return "."
}
