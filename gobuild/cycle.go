// Import cycles, told as the go command tells them.
package gobuild

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

const cycleMessage = "import cycle not allowed"

// cycle names the packages of an import cycle and the files that import them, a line each. msg is
// what package packages says: "import cycle not allowed: import stack: [a b a]". Another message
// is returned as it is.
func cycle(msg string, loaded map[string]*packages.Package) string {
	_, stack, ok := strings.Cut(msg, cycleMessage+": import stack: [")
	if !ok {
		return msg
	}
	paths := strings.Fields(strings.TrimSuffix(strings.TrimSpace(stack), "]"))
	var b strings.Builder
	b.WriteString(cycleMessage)
	for i, path := range paths {
		if i == 0 {
			b.WriteString("\n\tpackage " + path)
			continue
		}
		b.WriteString("\n\timports " + path)
		if file := importer(loaded[paths[i-1]], path); file != "" {
			b.WriteString(" from " + file)
		}
	}
	return b.String()
}

// importer is the first file of p that imports path, and where it does; empty if none is known to.
func importer(p *packages.Package, path string) string {
	if p == nil {
		return ""
	}
	for _, file := range p.GoFiles {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file, nil, parser.ImportsOnly)
		if err != nil {
			continue // it has an error of its own
		}
		for _, imp := range f.Imports {
			if v, err := strconv.Unquote(imp.Path.Value); err == nil && v == path {
				return filepath.Base(file) + ":" + strconv.Itoa(fset.Position(imp.Pos()).Line)
			}
		}
	}
	return ""
}
