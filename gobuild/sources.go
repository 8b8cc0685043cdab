// Where a node's sources come from and where its programs see them.
//
// Programs run where relative names are those that the user knows, because the names end up in
// messages: below the project directory for the user's code ("greet/greet.go", "../lib/lib.go"),
// module@version for modules, and GOROOT/src for the standard library. Results don't have them
// (-trimpath).
package gobuild

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/mergefest/mergefest/gomod"
	"github.com/mergefest/mergefest/graph"
)

// source is where a compile finds one package.
type source struct {
	cwd string // where programs run
	dir string // the package's directory; absolute
}

// names gives the files' names as programs get them, relative to cwd.
func (s source) names(files []string) []string {
	rel, err := filepath.Rel(s.cwd, s.dir)
	if err != nil {
		rel = s.dir
	}
	out := make([]string, len(files))
	for i, f := range files {
		if out[i] = path.Join(rel, f); rel == "." {
			out[i] = "./" + f // as compilers print it, and never taken for a flag
		}
	}
	return out
}

const (
	modRoot   = "/mod" // parent of downloaded modules
	localRoot = "/src" // the project directory
	extRoot   = "/ext" // parent of directories that go.mod names by their absolute path
)

// sources mounts the sources of a unit's packages, and says where they are.
func (p *planner) sources(u *unit, r *run) ([]source, error) {
	q := u.pkgs[0]
	switch {
	case q.Standard:
		r.mountGo("src")
		return each(u, func(q *pkg) source {
			return source{cwd: goroot + "/src", dir: path.Join(goroot, "src", q.ImportPath)}
		}), nil
	case p.fetched(q.Package):
		return p.fetchedSources(u, r)
	}
	return p.localSources(u, r)
}

func each(u *unit, f func(*pkg) source) []source {
	out := make([]source, len(u.pkgs))
	for i, q := range u.pkgs {
		out[i] = f(q)
	}
	return out
}

// effective is the module whose files are used: what replaces m, or m itself.
func effective(m *Module) module.Version {
	if m.Replace != nil {
		m = m.Replace
	}
	return module.Version{Path: m.Path, Version: m.Version}
}

func (p *planner) fetchedSources(u *unit, r *run) ([]source, error) {
	m := effective(u.pkgs[0].Module)
	nodes, err := p.fetch.Module(m)
	if err != nil {
		return nil, err
	}
	var id graph.ID
	for _, n := range nodes {
		id = p.add(n)
	}
	dir, err := gomod.Dir(m)
	if err != nil {
		return nil, err
	}
	target := path.Join(modRoot, m.String())
	if len(u.pkgs) == 1 && len(u.pkgs[0].asm()) == 0 {
		// Assembly can include files of other directories of its module; Go reads its own only.
		rel := inModule(u.pkgs[0].Package)
		r.mount(graph.Input{From: id, Path: path.Join(dir, rel), Target: path.Join(target, rel)})
	} else {
		r.mount(graph.Input{From: id, Path: dir, Target: target})
	}
	return each(u, func(q *pkg) source {
		return source{cwd: modRoot, dir: path.Join(target, inModule(q.Package))}
	}), nil
}

// place is where the user's directory dir is seen: below localRoot, at the same place relative to
// the working directory as it has to the project directory. It depends on no path outside the
// project.
func (p *planner) place(q *Package) source {
	dir := q.Dir
	if rel, err := filepath.Rel(p.root, dir); err == nil {
		rel = filepath.ToSlash(rel)
		ups := strings.Count(rel+"/", "../")
		cwd := localRoot + strings.Repeat("/_", ups)
		if q.Module != nil && (ups == 0 || q.Module.Dir != "" && !filepath.IsAbs(replacement(q))) {
			return source{cwd: cwd, dir: path.Join(cwd, rel)}
		}
	}
	if q.Module != nil {
		return source{cwd: localRoot, dir: path.Join(extRoot, q.Module.Path, inModule(q))}
	}
	return source{cwd: localRoot, dir: localRoot}
}

// replacement is the path that go.mod gives for a replaced module.
func replacement(q *Package) string {
	if q.Module.Replace != nil {
		return q.Module.Replace.Path
	}
	return "."
}

// localSources makes the node of the user's files that a unit reads.
func (p *planner) localSources(u *unit, r *run) ([]source, error) {
	hostBase := commonDir(u)
	include := map[string]bool{} // absolute
	for _, q := range u.pkgs {
		for _, f := range slices.Concat(q.GoFiles, q.asm(), q.files(".syso"), q.EmbedFiles) {
			include[filepath.Join(q.Dir, filepath.FromSlash(f))] = true
		}
		if len(q.asm()) > 0 {
			for _, f := range included(q.Package) {
				include[f] = true
				for !within(hostBase, f) {
					hostBase = filepath.Dir(hostBase)
				}
			}
		}
	}
	first := u.pkgs[0]
	rootName, rootDir := p.localRoot(first.Package)
	n := graph.Node{ID: graph.ID{Ecosystem: "go", Kind: "source", Package: u.name, Version: u.version, Variant: p.s.platform()}}
	local := &graph.Local{Root: rootName}
	for _, f := range sortedKeys(include) {
		local.Files = append(local.Files, graph.LocalFile{Path: slashRel(hostBase, f), Source: slashRel(rootDir, f), Mode: 0o644})
	}
	n.Action = local
	id := p.add(n)
	src := each(u, func(q *pkg) source { return p.place(q.Package) })
	top := path.Join(src[0].dir, slashRel(first.Dir, hostBase))
	r.mount(graph.Input{From: id, Path: ".", Target: top})
	switch cwd := src[0].cwd; {
	case !within(top, cwd):
		r.dir(cwd)
	case cwd != top: // the mount hides it
		for i := range src {
			src[i].cwd = src[i].dir
		}
	}
	return src, nil
}

// localRoot is the client's directory that a package's files are offered in, and its name.
func (p *planner) localRoot(q *Package) (name, dir string) {
	if within(p.root, q.Dir) {
		return "", p.root
	}
	name, dir = q.ImportPath, q.Dir
	if q.Module != nil && q.Module.Dir != "" {
		name, dir = q.Module.Path, q.Module.Dir
	}
	p.locals[name] = dir
	return name, dir
}

// commonDir is the deepest directory of the host that holds all packages of a unit.
func commonDir(u *unit) string {
	base := u.pkgs[0].Dir
	for _, q := range u.pkgs[1:] {
		for !within(base, q.Dir) {
			base = filepath.Dir(base)
		}
	}
	return base
}

// within tells whether name is dir or below it.
func within(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func slashRel(base, name string) string {
	rel, err := filepath.Rel(base, name)
	if err != nil {
		return filepath.ToSlash(name)
	}
	return filepath.ToSlash(rel)
}

// includeLine is the preprocessor's #include with a quoted name.
var includeLine = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]+"([^"\n]+)"`)

// included lists the files that a local package's assembly includes, directly or not, absolute.
// What isn't in the package's directory or relative to it comes from GOROOT, or doesn't exist;
// the assembler tells.
func included(q *Package) []string {
	found := map[string]bool{}
	var scan func(file string)
	scan = func(file string) {
		data, err := os.ReadFile(file)
		if err != nil {
			return
		}
		for _, m := range includeLine.FindAllSubmatch(data, -1) {
			f := filepath.Join(q.Dir, filepath.FromSlash(string(m[1])))
			if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() && !found[f] {
				found[f] = true
				scan(f)
			}
		}
	}
	for _, f := range q.asm() {
		scan(filepath.Join(q.Dir, f))
	}
	for _, f := range q.headers() { // platform headers are included by another name
		if abs := filepath.Join(q.Dir, f); !found[abs] {
			found[abs] = true
			scan(abs)
		}
	}
	return sortedKeys(found)
}
