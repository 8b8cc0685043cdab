package layering

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mergefest/mergefest"

// rule says what a package, or everything below a directory ("name/..."), may import.
type rule struct {
	pkg string
	// allow lists packages of this module ("name/..." for all below), and prefixes of others' import
	// paths where those are limited. "*" is everything of this module.
	allow []string
	// only limits imports from other modules to these prefixes; nil doesn't. The standard library is
	// always allowed, except for what deny says.
	only []string
	deny []string
	// why explains the rule to somebody who has just broken it.
	why string
}

// buildkitDaemon are the parts of BuildKit that only an engine needs.
var buildkitDaemon = []string{
	"github.com/moby/buildkit/cache", "github.com/moby/buildkit/control", "github.com/moby/buildkit/executor",
	"github.com/moby/buildkit/snapshot", "github.com/moby/buildkit/solver/llbsolver", "github.com/moby/buildkit/worker",
}

var ecosystems = []string{module + "/gomod", module + "/gobuild", module + "/npm", module + "/toolchain"}

var rules = []rule{
	{pkg: "graph/action", only: []string{}, deny: []string{"os", "net", "encoding"},
		why: "The helper's bytes depend on it: whatever it imports would change the digest in every op's key."},
	{pkg: "graph", allow: []string{"graph/action"}, only: []string{},
		why: "A graph is plain data that any program can make: the standard library is enough for it."},
	{pkg: "internal/netrc", only: []string{}, why: "Every analyzer's tool may read .netrc, so it may need no other package."},
	{pkg: "internal/goproxy", allow: []string{"internal/netrc"}, only: []string{"golang.org/x/mod"},
		why: "It reads the go command's settings, which concern nothing else."},
	{pkg: "toolchain", allow: []string{"graph", "graph/action", "internal/goproxy"}, deny: append([]string{"github.com/moby/buildkit"}, buildkitDaemon...),
		why: "An analyzer turns files and recorded facts into a graph; it knows nothing of LLB or engines."},
	{pkg: "gomod", allow: []string{"graph", "graph/action", "internal/goproxy"}, only: []string{"golang.org/x/mod"},
		why: "An analyzer turns files and recorded facts into a graph; it knows nothing of LLB or engines."},
	{pkg: "gobuild", allow: []string{"graph", "graph/action", "gomod", "toolchain"}, deny: []string{"github.com/moby/buildkit"},
		why: "An analyzer turns files and recorded facts into a graph; it knows nothing of LLB or engines."},
	{pkg: "npm", allow: []string{"graph", "graph/action", "toolchain"}, deny: []string{"github.com/moby/buildkit"},
		why: "An analyzer turns files and recorded facts into a graph; it knows nothing of LLB or engines."},
	{pkg: "llbgen", allow: []string{"graph", "graph/action"}, deny: buildkitDaemon,
		why: "Lowering knows no ecosystem, and builds definitions with BuildKit's client library alone: it needs no engine."},
	{pkg: "internal/localfs", allow: []string{"graph"}, deny: []string{"github.com/moby/buildkit"},
		why: "It serves files; what they are for is not its business."},
	{pkg: "internal/helper/...", allow: []string{"graph/action", "internal/helper/..."},
		only: []string{"golang.org/x/mod", "golang.org/x/sys", "golang.org/x/sync", "golang.org/x/net", "github.com/klauspost/compress", "github.com/ulikunitz/xz"},
		why:  "The helper's digest is in the key of every op: anything else that it imports would run everything again when it changes."},
	{pkg: "cmd/mergefest-helper", allow: []string{"internal/helper"}, only: []string{},
		why: "It is wiring, and the helper's digest is in the key of every op."},
	{pkg: "internal/helperbin", deny: []string{"github.com/moby/buildkit"},
		why: "It holds bytes; making them is the generator's business."},
	{pkg: "internal/helperbin/...", allow: []string{"internal/helperbin/..."},
		why: "The generator of the helper's binaries needs the go command only."},
	{pkg: "engine/receive", only: []string{},
		why: "It unpacks what any engine sends; the standard library is enough for that."},
	{pkg: "engine", allow: []string{"engine/receive"}, deny: buildkitDaemon,
		why: "Connecting to an engine must not link one: a client of a remote BuildKit imports this package."},
	{pkg: "engine/embedded", allow: []string{"engine", "engine/embedded/...", "graph/action", "internal/helper/...", "internal/helperbin"}, deny: ecosystems,
		why: "The engine executes ops; it knows neither graphs nor ecosystems."},
	{pkg: "engine/embedded/export", allow: []string{"engine"}, deny: ecosystems,
		why: "The exporter writes layers to a directory, whatever is in them."},
	{pkg: "engine/embedded/assemble", deny: append([]string{module}, ecosystems...),
		why: "It makes the trees of merges, whatever is in them, from what BuildKit gives it."},
	{pkg: "progress", allow: []string{"graph", "graph/action"}, deny: buildkitDaemon,
		why: "Views show what happens to nodes; they neither plan nor execute."},
	{pkg: "build", allow: []string{"engine", "gobuild", "gomod", "graph", "graph/action", "internal/helperbin", "internal/localfs", "llbgen", "npm", "progress", "toolchain"},
		deny: buildkitDaemon,
		why:  "The pipeline works with any engine: the embedded one is linked by the command only, so that importers don't get it."},
	{pkg: "cmd/mergefest", allow: []string{"*"}, why: "The command is wiring."},
	{pkg: "internal/testengine/...", allow: []string{"engine", "engine/embedded"}, why: "Tests of any package may need an engine, so it may need no other package."},
	{pkg: "internal/testnpm", only: []string{}, why: "Tests of any package may ask npm, so it may need no other package."},
	{pkg: "internal/testtree", only: []string{}, why: "Tests of any package may compare directories, so it may need no other package."},
	{pkg: "internal/keepdeps", why: "It only keeps modules in go.mod."},
	{pkg: "internal/layering", why: "It looks at the source files, and needs none of the packages."},
	{pkg: "bench/...", allow: []string{"*"}, why: "Benchmarks measure whatever they like."},
	{pkg: "e2e/...", allow: []string{"*"}, why: "End-to-end tests use whatever they like."},
	{pkg: "examples/...", why: "Examples are what users write: they have no access to internals."},
}

// TestLayering checks the imports of every package, without its tests.
func TestLayering(t *testing.T) {
	found := packages(t)
	used := map[string]bool{}
	for _, pkg := range slices.Sorted(maps.Keys(found)) {
		r := ruleFor(pkg)
		if r == nil {
			t.Errorf("%s isn't in the table: add it there and in docs/architecture.md, with what it may import and why", pkg)
			continue
		}
		used[r.pkg] = true
		for _, imp := range found[pkg] {
			if !r.allows(imp.path) {
				t.Errorf("%s: %s may not import %s. %s", imp.file, pkg, imp.path, r.why)
			}
		}
	}
	for _, name := range []string{"graph", "llbgen", "engine", "build", "cmd/mergefest"} {
		if !used[name] {
			t.Errorf("the package %s wasn't found", name)
		}
	}
}

// TestDocumented: the packages that the table in docs/architecture.md names have rules.
func TestDocumented(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root(t), "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for i, name := range strings.Split(cells[1], "`") {
			if i%2 == 0 {
				continue
			}
			n++
			if ruleFor(name) == nil {
				t.Errorf("docs/architecture.md names %s, which has no rule", name)
			}
		}
	}
	if n < 10 {
		t.Errorf("docs/architecture.md names only %d packages", n)
	}
}

// TestRules makes sure that the rules say no.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		pkg, imp string
		want     bool
	}{
		{"graph", module + "/graph/action", true},
		{"graph", module + "/llbgen", false},
		{"graph", "golang.org/x/mod/semver", false},
		{"graph", "encoding/json", true},
		{"graph/action", "os", false},
		{"llbgen", module + "/npm", false},
		{"llbgen", "github.com/moby/buildkit/client/llb", true},
		{"llbgen", "github.com/moby/buildkit/worker/base", false},
		{"engine", module + "/graph", false},
		{"internal/helper/fetch", module + "/graph", false},
		{"internal/helper/fetch", module + "/internal/helper/place", true},
		{"build", module + "/engine/embedded", false},
		{"examples/x", module + "/graph", false},
		{"nonsense", "os", false},
	} {
		r := ruleFor(c.pkg)
		if got := r != nil && r.allows(c.imp); got != c.want {
			t.Errorf("%s imports %s: %t, want %t", c.pkg, c.imp, got, c.want)
		}
	}
}

// ruleFor returns the most specific rule for a package of this module, without the module's path.
func ruleFor(pkg string) *rule {
	for i, r := range rules {
		if r.pkg == pkg {
			return &rules[i]
		}
	}
	for dir := pkg; dir != "."; dir = path.Dir(dir) {
		for i, r := range rules {
			if r.pkg == dir+"/..." {
				return &rules[i]
			}
		}
	}
	return nil
}

func (r *rule) allows(imp string) bool {
	for _, d := range r.deny {
		if isBelow(imp, d) {
			return false
		}
	}
	if own, ok := strings.CutPrefix(imp, module+"/"); ok {
		return slices.ContainsFunc(r.allow, func(a string) bool {
			dir, all := strings.CutSuffix(a, "/...")
			return a == "*" || own == a || all && isBelow(own, dir)
		})
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") || r.only == nil {
		return true
	}
	return slices.ContainsFunc(r.only, func(o string) bool { return isBelow(imp, o) })
}

func isBelow(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

type imported struct{ file, path string }

// packages returns the imports of all packages of the module, by the package's path in it.
func packages(t *testing.T) map[string][]imported {
	t.Helper()
	dir := root(t)
	found := map[string][]imported{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			_, modErr := os.Stat(filepath.Join(p, "go.mod"))
			if p != dir && (modErr == nil || name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		pkg := path.Dir(filepath.ToSlash(rel))
		if found[pkg] == nil {
			found[pkg] = []imported{}
		}
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[pkg] = append(found[pkg], imported{rel, imp})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// root is the directory of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}
