// The generated project: layers of packages on one core, a program, and a dependency with
// versions to bump.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// depPath is the dependency; it exists on the benchmark's own proxy only.
const depPath = "bench.example.com/dep"

// perLayer is how many packages a layer has; each imports two of the layer below.
const perLayer = 20

// generated is a module of n packages. Package core is imported by all, the dependency by every
// fifth.
type generated struct {
	n, versions int
	main        string
	sums        []string // lines of go.sum for each version of the dependency
}

// newGenerated publishes the versions of the dependency on the proxy.
func newGenerated(n, versions int, main string, p *proxy) (*generated, error) {
	g := &generated{n: n, versions: versions, main: main}
	for v := range versions {
		sum, err := p.publish(depPath, depVersion(v), map[string]string{
			"go.mod": "module " + depPath + "\n\ngo 1.24\n",
			"dep.go": fmt.Sprintf("// Package dep is a dependency.\npackage dep\n\n// Version returns a text.\nfunc Version() string { return %q }\n", depVersion(v)),
		})
		if err != nil {
			return nil, err
		}
		g.sums = append(g.sums, sum)
	}
	return g, nil
}

func depVersion(v int) string { return fmt.Sprintf("v1.%d.0", v) }

func (g *generated) title() string {
	return fmt.Sprintf("a generated project of %d packages and a dependency", g.n)
}
func (g *generated) pattern() string    { return g.main }
func (g *generated) supports(edit) bool { return true }

func (g *generated) write(dir string) error {
	files := map[string]string{
		"core/core.go":    "// Package core is imported by every package.\npackage core\n\nimport \"strings\"\n\n// Join joins words.\n//\n//go:noinline\nfunc Join(words ...string) string { return strings.Join(words, \" \") }\n",
		"cmd/app/main.go": g.program(),
		"README.md":       "# generated\n",
	}
	for i := range g.n {
		files[fmt.Sprintf("%s/p.go", pkgDir(i))] = g.pkg(i)
	}
	for name, text := range files {
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			return err
		}
	}
	return g.require(dir, 0)
}

func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// require writes go.mod and go.sum for a version of the dependency.
func (g *generated) require(dir string, v int) error {
	mod := fmt.Sprintf("module bench.example.com/app\n\ngo 1.24\n\nrequire %s %s\n", depPath, depVersion(v))
	if err := writeFile(filepath.Join(dir, "go.mod"), mod); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "go.sum"), g.sums[v])
}

func pkgDir(i int) string { return fmt.Sprintf("layer%02d/p%04d", i/perLayer, i) }

// pkg is the source of the i-th package: some types and functions, so that compiling it is worth
// as much as compiling a small package of a real program.
func (g *generated) pkg(i int) string {
	imports := []string{"encoding/json", "fmt", "sort", "bench.example.com/app/core"}
	var uses []string
	if layer := i / perLayer; layer > 0 {
		for _, k := range []int{i % perLayer, (i + 1) % perLayer} {
			below := (layer-1)*perLayer + k
			imports = append(imports, "bench.example.com/app/"+pkgDir(below))
			uses = append(uses, fmt.Sprintf("p%04d.Run(n - 1)", below))
		}
	}
	if i%5 == 0 {
		imports = append(imports, depPath)
		uses = append(uses, "dep.Version()")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "// Package p%04d is generated.\npackage p%04d\n\nimport (\n", i, i)
	for _, im := range imports {
		fmt.Fprintf(&b, "\t%q\n", im)
	}
	b.WriteString(")\n")
	for k := range 8 {
		fmt.Fprintf(&b, `
// T%[1]d is a record.
type T%[1]d struct {
	Name  string         `+"`json:\"name\"`"+`
	Count int            `+"`json:\"count\"`"+`
	Sub   map[string]int `+"`json:\"sub\"`"+`
}

// Text returns a text.
func (t *T%[1]d) Text() string {
	keys := make([]string, 0, len(t.Sub))
	for k := range t.Sub {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	out, err := json.Marshal(t)
	if err != nil {
		return err.Error()
	}
	return core.Join(append(keys, fmt.Sprintf("%%s %%d %%s", t.Name, t.Count, out))...)
}
`, k)
	}
	fmt.Fprintf(&b, "\n// Run returns a text.\nfunc Run(n int) string {\n\tif n < 0 {\n\t\treturn \"\"\n\t}\n\tt := T0{Name: \"p%04d\", Count: n}\n\treturn core.Join(%s)\n}\n",
		i, strings.Join(append([]string{"t.Text()"}, uses...), ", "))
	return b.String()
}

// program calls every package of the top layer, and through them all others.
func (g *generated) program() string {
	var imports, calls strings.Builder
	for i := max(0, (g.n-1)/perLayer-1) * perLayer; i < g.n; i++ {
		fmt.Fprintf(&imports, "\t\"bench.example.com/app/%s\"\n", pkgDir(i))
		fmt.Fprintf(&calls, "\tfmt.Println(p%04d.Run(1))\n", i)
	}
	return "// App is generated.\npackage main\n\nimport (\n\t\"fmt\"\n" + imports.String() + ")\n\nfunc main() {\n" + calls.String() + "}\n"
}

func (g *generated) apply(dir string, e edit, n int) error {
	if e != bumpEdit {
		return editFile(filepath.Join(dir, "core", "core.go"), e, n)
	}
	if n >= g.versions {
		return fmt.Errorf("the dependency has only %d versions", g.versions)
	}
	return g.require(dir, n)
}
