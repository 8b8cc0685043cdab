// Real npm projects, built by the embedded engine and compared with what npm ci makes of them.
package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mergefest/mergefest/internal/testnpm"
	"github.com/mergefest/mergefest/internal/testtree"
)

const corpusDir = "../npm/testdata/corpus"

// shortCorpus are the projects that are always built: a server, workspaces, commands, an install
// script, tarballs of the project. MERGEFEST_LONG=1 takes all, MERGEFEST_CORPUS=a,b some.
var shortCorpus = []string{"bins", "esbuild", "express5", "file-tarball", "mono"}

func corpus(t *testing.T) []string {
	if v := os.Getenv("MERGEFEST_CORPUS"); v != "" {
		return strings.Split(v, ",")
	}
	if os.Getenv("MERGEFEST_LONG") == "" {
		return shortCorpus
	}
	entries, err := os.ReadDir(corpusDir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if len(names) < 25 {
		t.Fatalf("only %d projects", len(names))
	}
	return names
}

// TestNPMCorpus builds each project, first without install scripts: the tree is npm ci's in every
// file, mode and link. Then with them: what they leave may differ (a compiler notes paths), all else
// may not. After both, every direct dependency can be required and imported as well as it can in
// npm's tree.
func TestNPMCorpus(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("MERGEFEST_E2E") != "" {
			t.Fatal("npm is needed: it is the oracle")
		}
		t.Skip("npm isn't installed: nothing to compare with")
	}
	bin, state := mergefest(t), t.TempDir()
	t.Cleanup(func() {
		if out, err := exec.Command(bin, "engine", "stop", "--state", state).CombinedOutput(); err != nil {
			t.Errorf("stopping the engine: %v\n%s", err, out)
		}
	})
	for _, name := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			p := readProject(t, filepath.Join(corpusDir, name))
			t.Run("tree", func(t *testing.T) { p.compare(t, bin, state, false) })
			if len(p.scripted) > 0 {
				t.Run("scripts", func(t *testing.T) { p.compare(t, bin, state, true) })
			}
		})
	}
}

// project is what the test has to know of a project.
type project struct {
	dir      string
	direct   []string // names of direct dependencies
	scripted []string // locations of packages with install scripts
}

func readProject(t *testing.T, dir string) project {
	t.Helper()
	p := project{dir: dir}
	var manifest struct{ Dependencies, DevDependencies, OptionalDependencies map[string]string }
	readJSON(t, filepath.Join(dir, "package.json"), &manifest)
	for _, deps := range []map[string]string{manifest.Dependencies, manifest.DevDependencies, manifest.OptionalDependencies} {
		for name := range deps {
			p.direct = append(p.direct, name)
		}
	}
	slices.Sort(p.direct)
	p.direct = slices.Compact(p.direct)
	lock := filepath.Join(dir, "package-lock.json")
	if _, err := os.Stat(lock); err != nil {
		lock = filepath.Join(dir, "npm-shrinkwrap.json")
	}
	var locked struct {
		Packages map[string]struct{ HasInstallScript bool }
	}
	readJSON(t, lock, &locked)
	for loc, entry := range locked.Packages {
		if entry.HasInstallScript {
			p.scripted = append(p.scripted, loc)
		}
	}
	return p
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// compare installs the project in both ways.
func (p project) compare(t *testing.T, bin, state string, scripts bool) {
	dir := t.TempDir()
	want, got := filepath.Join(dir, "want"), filepath.Join(dir, "got")
	for _, to := range []string{want, got} {
		if err := os.CopyFS(to, os.DirFS(p.dir)); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"build", "-C", p.dir, "-o", got, "--state", state}
	keep := func(path string) bool { return strings.Contains("/"+path+"/", "/node_modules/") }
	if scripts {
		out, err := testnpm.TryCI(t, want)
		if err != nil {
			t.Skipf("npm ci can't run the install scripts here: %v\n%s", err, out)
		}
		for _, loc := range p.scripted { // npm's scripts have a network, too
			args = append(args, "--npm-network", loc[strings.LastIndex(loc, "node_modules/")+len("node_modules/"):])
		}
		all := keep
		keep = func(path string) bool {
			return all(path) && !slices.ContainsFunc(p.scripted, func(loc string) bool { return strings.HasPrefix(path, loc+"/") })
		}
	} else {
		testnpm.CI(t, want, "--ignore-scripts")
		args = append(args, "--npm-scripts", "none")
	}
	cmd := exec.CommandContext(t.Context(), bin, append(args, ".")...)
	cmd.Env = append(os.Environ(), "BUILDKIT_HOST=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mergefest: %v\n%s", err, out)
	}
	n := testtree.Compare(t, want, got, keep)
	t.Logf("%d paths", n)
	wanted, found := p.load(t, want), p.load(t, got)
	for i := range wanted {
		if wanted[i] != found[i] {
			t.Errorf("in npm's tree: %s; here: %s", wanted[i], found[i])
		}
	}
}

// loader requires and imports a package, and prints whether that works.
const loader = `
const [how, name] = process.argv.slice(1)
const load = how === 'require' ? async () => require(name) : () => import(name)
load().then(() => 'ok', e => 'fails with ' + (e.code || e.name)).then(r => { console.log('\nresult ' + r); process.exit(0) })
`

// load says of each direct dependency how requiring and importing it ends.
func (p project) load(t *testing.T, dir string) []string {
	var out []string
	for _, name := range p.direct {
		for _, how := range []string{"require", "import"} {
			cmd := exec.CommandContext(t.Context(), "node", "-e", loader, how, name)
			cmd.Dir = dir
			cmd.WaitDelay = 10 * time.Second // some packages start processes that live on
			printed, err := cmd.Output()
			result := "ends the process"
			if i := strings.LastIndex(string(printed), "\nresult "); i >= 0 {
				result = strings.TrimSpace(string(printed[i+len("\nresult "):]))
			} else if err != nil {
				result += " with an error"
			}
			out = append(out, how+" "+name+" "+result)
		}
	}
	t.Logf("%s", strings.Join(out, "\n"))
	return out
}
