// Refusals: packages that need what this planner doesn't do.
package gobuild

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// unsupported lists every package that can't be built, of those that the roots need.
func (p *planner) unsupported() error {
	var bad UnsupportedList
	for _, q := range p.needed() {
		if p.s.CGOEnabled {
			bad = append(bad, p.cgo(q)...)
		}
		for _, f := range q.OtherFiles {
			if what := language(f); what != "" {
				bad = append(bad, &Unsupported{Package: q.ImportPath, File: p.userPath(q, f), Feature: what, Hint: "it needs cgo"})
				break
			}
		}
	}
	for _, q := range p.facts.Roots {
		facts := p.byPath[q]
		if facts != nil && facts.Standard && strings.HasPrefix(q, "cmd/") {
			bad = append(bad, &Unsupported{Package: q, Feature: "building Go's own commands", Hint: "they come with the Go installation; the toolchain in the engine hasn't their sources"})
		}
		if facts != nil && facts.Name == "main" && externalLink(p.l.forPackage(facts, true)) {
			bad = append(bad, &Unsupported{Package: q, Feature: "-ldflags=-linkmode=external", Hint: "programs are linked by Go's own linker"})
		}
	}
	return bad.err()
}

// needed lists the packages of the roots and what they import, sorted.
func (p *planner) needed() []*Package {
	seen := map[string]*Package{}
	queue := slices.Clone(p.facts.Roots)
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		q := p.byPath[path]
		if q == nil || seen[path] != nil {
			continue
		}
		seen[path] = q
		for _, dep := range q.Imports {
			queue = append(queue, dep)
		}
	}
	out := make([]*Package, 0, len(seen))
	for _, path := range sortedKeys(seen) {
		out = append(out, seen[path])
	}
	return out
}

// externalLink tells whether the last -linkmode asks for the C toolchain's linker.
func externalLink(flags []string) bool {
	for i := len(flags) - 1; i >= 0; i-- {
		f := strings.TrimPrefix(flags[i], "-") // both -x and --x are flags
		switch {
		case f == "-linkmode=external" || f == "linkmode=external":
			return true
		case (f == "linkmode" || f == "-linkmode") && i+1 < len(flags):
			return flags[i+1] == "external"
		case f == "linkmode=internal" || f == "-linkmode=internal":
			return false
		}
	}
	return false
}

// cgo reports each file of a package that imports "C"; of one of the standard library, the first.
func (p *planner) cgo(q *Package) UnsupportedList {
	var out UnsupportedList
	for _, name := range q.GoFiles {
		data, err := os.ReadFile(filepath.Join(q.Dir, name))
		if err != nil || !bytes.Contains(data, []byte(`"C"`)) {
			continue // the compiler tells what is wrong with the file
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, data, parser.ImportsOnly)
		if err != nil {
			continue
		}
		for _, imp := range f.Imports {
			if imp.Path.Value == `"C"` {
				out = append(out, &Unsupported{Package: q.ImportPath, File: p.userPath(q, name), Line: fset.Position(imp.Pos()).Line,
					Feature: "cgo", Hint: "set CGO_ENABLED=0"})
			}
		}
		if q.Standard && len(out) > 0 {
			break
		}
	}
	return out
}

// language names what a file is written in, if it is nothing that can be built.
func language(file string) string {
	switch path.Ext(file) {
	case ".c":
		return "C source"
	case ".cc", ".cpp", ".cxx":
		return "C++ source"
	case ".m":
		return "Objective-C source"
	case ".f", ".F", ".for", ".f90":
		return "Fortran source"
	case ".swig", ".swigcxx":
		return "SWIG"
	}
	return ""
}

// userPath is a package's file as the user knows it.
func (p *planner) userPath(q *Package, file string) string {
	return p.userFile(filepath.Join(q.Dir, file))
}

// userFile is a file as the user knows it: relative to where the command runs if that is shorter.
func (p *planner) userFile(file string) string {
	if rel, err := filepath.Rel(p.cfg.Dir, file); err == nil && len(rel) < len(file) {
		return rel
	}
	return file
}

// sortedKeys lists the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
