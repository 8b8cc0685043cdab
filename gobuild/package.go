// Packages as the planner sees them: instances, their files, and which unit they belong to.
package gobuild

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// pkgKey tells apart instances of one package that are compiled differently.
type pkgKey struct {
	path    string
	profile *profile
}

// pkg is a package to compile.
type pkg struct {
	*Package
	profile *profile // for profile-guided optimisation; nil without
	named   bool     // the user named it
	deps    []*pkg   // direct imports, by import path, each once
	unit    *unit
	done    bool
}

// unit is what one node compiles.
type unit struct {
	name string // in the node's ID
	pkgs []*pkg // imports before importers
	// prefix is the directory in the node's output, empty for a single package.
	prefix string
	// tier is set for the joined part of the standard library. Its outputs depend on the toolchain
	// alone, so that consumers take them as one directory.
	tier bool
	// version is the module's, empty for the user's own.
	version string
}

// instance gives the package with its imports, all with the same profile.
func (p *planner) instance(importPath string, prof *profile) (*pkg, error) {
	key := pkgKey{importPath, prof}
	if q := p.pkgs[key]; q != nil {
		if !q.done {
			return nil, fmt.Errorf("import cycle through %s", importPath)
		}
		return q, nil
	}
	facts := p.byPath[importPath]
	if facts == nil {
		return nil, fmt.Errorf("package %s is imported but was not loaded", importPath)
	}
	q := &pkg{Package: facts, profile: prof, named: slices.Contains(p.facts.Roots, importPath)}
	p.pkgs[key] = q
	deps := slices.Sorted(maps.Values(facts.Imports))
	for _, dep := range slices.Compact(deps) {
		if dep == "unsafe" || dep == "C" {
			continue
		}
		d, err := p.instance(dep, prof)
		if err != nil {
			return nil, err
		}
		q.deps = append(q.deps, d)
	}
	q.done = true
	return q, nil
}

// closure lists pkgs and everything they import, imports first, in an order that depends on
// import paths only.
func closure(pkgs []*pkg) []*pkg {
	var out []*pkg
	seen := map[*pkg]bool{}
	var visit func(*pkg)
	visit = func(q *pkg) {
		if seen[q] {
			return
		}
		seen[q] = true
		for _, d := range q.deps {
			visit(d)
		}
		out = append(out, q)
	}
	for _, q := range pkgs {
		visit(q)
	}
	return out
}

// files gives the other files with one of the extensions.
func (q *Package) files(ext ...string) []string {
	var out []string
	for _, f := range q.OtherFiles {
		if slices.Contains(ext, path.Ext(f)) {
			out = append(out, f)
		}
	}
	return out
}

// asm are the files for Go's assembler; .S files belong to the C compiler and are never built
// without cgo.
func (q *Package) asm() []string { return q.files(".s") }

// headers are the files that assembly can include.
func (q *Package) headers() []string { return q.files(".h", ".hh", ".hpp", ".hxx") }

// symbol is the package's path for the compiler and linker.
func (q *Package) symbol() string {
	if q.Name == "main" {
		return "main"
	}
	return q.ImportPath
}

// langVersion is the value of -lang.
func (p *planner) langVersion(q *Package) string {
	if q.Module == nil {
		return lang(p.tc.Version)
	}
	return lang(q.Module.GoVersion)
}

// recorded is the directory that results name in place of the real one, as -trimpath has it.
func recorded(q *Package) string {
	if q.ImportPath == commandLine {
		return "."
	}
	if m := q.Module; m != nil && m.Version != "" {
		return m.Path + "@" + m.Version + strings.TrimPrefix(q.ImportPath, m.Path)
	}
	return q.ImportPath
}

// inModule is the package's directory relative to its module's, "." for the top.
func inModule(q *Package) string {
	if q.Module == nil || q.ImportPath == commandLine {
		return "."
	}
	rel := strings.TrimPrefix(strings.TrimPrefix(q.ImportPath, q.Module.Path), "/")
	if rel == "" {
		return "."
	}
	return rel
}

// fetched tells whether the sources come from a module download and not from the user's files.
func (p *planner) fetched(q *Package) bool {
	m := q.Module
	if q.Standard || m == nil || m.Main || p.vendored(q) {
		return false
	}
	if m.Replace != nil {
		return m.Replace.Version != ""
	}
	return m.Version != ""
}

// vendored tells whether the sources are in a vendor directory.
func (p *planner) vendored(q *Package) bool {
	return q.Module != nil && q.Module.Version != "" && strings.HasPrefix(q.Dir, filepath.Join(p.root, "vendor")+string(filepath.Separator))
}

// vendoring tells whether the whole build uses the vendor directory.
func (p *planner) vendoring() bool { return slices.ContainsFunc(p.facts.Packages, p.vendored) }

// out is where the node that compiles q leaves the object code (".a") or the export data (".x"),
// relative to its output. No import path has an "@", so that no two packages collide.
func (q *pkg) out(ext string) string {
	return path.Join(q.unit.prefix, ext, q.ImportPath+"@."+ext)
}
