package npm

// What each tarball brings, and to where.

import (
	"io/fs"
	"path"
	"strings"

	"github.com/mergefest/mergefest/graph/action"
)

// carriers finds what each tarball brings: itself, what it bundles, and the links to their
// commands. loose are the links to commands of linked packages, which no tarball brings.
func (a *app) carriers() (map[*node]*carried, []action.File) {
	t := a.tree
	out := map[*node]*carried{}
	for _, n := range t.ordered() {
		if n.parent == nil || n.isLink() || n.external() || t.carrier(n) != n {
			continue
		}
		out[n] = &carried{node: n}
		if k := parseSpec(n.resolved, "").kind; n.resolved == "" || k == specFile || k == specDirectory || k == specGit {
			// Without a URL npm looks the package up, and in files it sees the manifest: then it
			// unpacks all of its commands executable, whether or not a link leads to them.
			for _, file := range normalizeBin(n.pkg) {
				out[n].exec = append(out[n].exec, file.(string))
			}
		}
	}
	var loose []action.File
	bins := t.binLinks()
	if s, ok := a.opt.Config.get("bin-links"); ok && s.value == "false" {
		bins = nil
	}
	for _, b := range bins {
		if b.node.external() {
			continue
		}
		if b.node.isLink() {
			file := path.Join(b.node.target.loc, strings.TrimPrefix(b.file, b.node.loc+"/"))
			if a.exists(file) {
				a.commands[path.Join(a.dir, file)] = true
				loose = append(loose, action.File{Path: b.path, Link: b.target})
			} else {
				a.late = append(a.late, b)
			}
			continue
		}
		c := out[t.carrier(b.node)]
		if c == nil {
			continue
		}
		c.exec = append(c.exec, strings.TrimPrefix(b.file, c.node.loc+"/"))
		c.files = append(c.files, action.File{Path: b.path, Link: b.target, If: b.file})
	}
	return out, loose
}

// carrier is the package whose tarball n comes in.
func (t *tree) carrier(n *node) *node {
	b := t.bundler(n)
	if b == nil || b.parent == nil {
		return n
	}
	return b
}

// spare is a package that a carrier should bundle, and for which the lockfile has a download, too: npm takes
// that where the bundle lacks the package.
type spare struct {
	node *node
	src  source
}

// addSpares finds the downloads. What can't be downloaded is left to the bundle.
func (a *app) addSpares(src *sources, carriers map[*node]*carried) {
	for _, n := range a.tree.ordered() {
		c := carriers[a.tree.carrier(n)]
		if c == nil || c.node == n || n.isLink() || n.integrity == "" || n.resolved == "" {
			continue
		}
		if s, err := src.find(n); err == nil && len(s.urls) > 0 {
			c.spares = append(c.spares, spare{n, s})
		}
	}
}

// items are what is fetched where the bundle lacks it.
func (c *carried) items() []action.Item {
	var out []action.Item
	for _, s := range c.spares {
		n := s.node
		it := action.Item{Name: n.packageName() + "@" + n.version(), URLs: s.src.urls, Integrity: s.src.integrity, Unverified: s.src.unverified,
			Auth: s.src.auth, Unless: path.Join(n.loc, "package.json"), Dests: []string{n.loc}}
		var exec []string
		for _, file := range c.exec {
			if rel, ok := strings.CutPrefix(path.Join(c.node.loc, file), n.loc+"/"); ok {
				exec = append(exec, rel)
			}
		}
		it.Unpack = unpacking(sortedUnique(exec), len(exec) > 0)
		out = append(out, it)
	}
	return out
}

// unpacking is how npm unpacks a tarball.
func unpacking(executable []string, linked bool) *action.Unpack {
	return &action.Unpack{
		Format: "tar", Strip: 1, RawStrip: true, SetMode: setMode, ClearMode: clearMode, Links: "skip", SkipDirs: true,
		Executable: executable, Hashbang: linked, Rename: map[string]string{".gitignore": ".npmignore"},
	}
}

// exists reports whether the app has that file, itself and not by a link that leads nowhere. What
// lies outside of the project can't be looked at (a warning says so) and is taken to be there.
func (a *app) exists(name string) bool {
	p := path.Join(a.dir, name)
	if !fs.ValidPath(p) {
		return true
	}
	_, err := fs.Stat(a.fsys, p)
	return err == nil
}
