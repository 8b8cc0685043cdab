// The npm analyzer's place in the pipeline.
package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/npm"
	"github.com/mergefest/mergefest/toolchain"
)

// NPM are the options of npm projects.
type NPM struct {
	// Omit and Include add to and take from what npm's configuration leaves out: "dev", "optional",
	// "peer".
	Omit, Include []string
	// Scripts says whose install scripts run: "all" (also if empty), "none", or names of packages.
	Scripts []string
	// Network names packages whose install scripts get a network.
	Network []string
	// AllowMissingIntegrity downloads what a lockfile has no integrity for.
	AllowMissingIntegrity bool
	// Image is the image of a registry in which scripts run; empty is the host's Node.js.
	Image string
}

func npmAnalyzer() analyzer {
	return analyzer{name: "npm", find: findNPM, plan: planNPM}
}

// findNPM looks for lockfiles in the directories that the patterns name, and below those that end
// in "/...".
func findNPM(o Options) ([]string, error) {
	var dirs []string
	add := func(dir string) error {
		name, err := npm.Detect(os.DirFS(dir), ".")
		if err == nil && name != "" && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		return err
	}
	for _, p := range o.patterns() {
		top, deep := strings.CutSuffix(p, "...")
		if !isPath(top) {
			continue // an import path of Go's
		}
		if !filepath.IsAbs(top) {
			top = filepath.Join(o.Dir, top)
		}
		if st, err := os.Stat(top); err != nil || !st.IsDir() {
			continue // whoever the pattern is for will say that there is nothing
		}
		if !deep {
			if err := add(filepath.Clean(top)); err != nil {
				return nil, err
			}
			continue
		}
		err := walkProjects(top, func(dir string) error { return add(dir) })
		if err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

// isPath says whether a pattern names a directory and no import path.
func isPath(p string) bool {
	return p == "" || p == "." || p == ".." || filepath.IsAbs(p) || strings.HasPrefix(p, "./") || strings.HasPrefix(p, "../")
}

// walkProjects visits the directories that "..." matches.
func walkProjects(top string, visit func(dir string) error) error {
	return filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case path != top && skipDir(d.Name()):
			return filepath.SkipDir
		}
		return visit(path)
	})
}

func planNPM(ctx context.Context, o Options, t target, dir string) (*part, error) {
	rel, err := filepath.Rel(o.Dir, dir)
	if err != nil || strings.HasPrefix(rel, "..") {
		return nil, &UsageError{fmt.Sprintf("%s isn't below the project's directory %s; name a directory above it with -C", dir, o.Dir)}
	}
	fsys := os.DirFS(o.Dir)
	config, err := npm.Host{Env: o.environ(), CacheDir: filepath.Join(t.stateDir, "npm")}.Config(ctx, dir)
	if err != nil {
		return nil, err
	}
	platforms := o.Platforms
	if len(platforms) == 0 {
		platforms = []string{t.platform}
	}
	out := &part{locals: map[string]string{"": o.Dir}, secrets: map[string][]byte{}}
	var plans []*npm.Plan
	for _, name := range platforms {
		lo := npm.Options{
			Dir: filepath.ToSlash(rel), Config: config, Omit: o.NPM.Omit, Include: o.NPM.Include,
			AllowMissingIntegrity: o.NPM.AllowMissingIntegrity, Facts: &npm.RegistryFacts{},
		}
		if lo.Platform, err = npm.ParsePlatform(name); err != nil {
			return nil, &UsageError{err.Error()}
		}
		p, err := loadNPM(ctx, fsys, lo, o, t)
		if err != nil {
			return nil, err
		}
		if len(o.Platforms) > 0 {
			p.Root.Platform = name
		}
		plans = append(plans, p)
		out.describe(p)
	}
	out.nodes, out.roots = npm.Join(plans...)
	return out, nil
}

// loadNPM plans an app. Only one that has install scripts which may run needs a Node.js.
func loadNPM(ctx context.Context, fsys fs.FS, lo npm.Options, o Options, t target) (*npm.Plan, error) {
	policy := o.NPM.policy()
	lo.Scripts = npm.ScriptPolicy{None: true, NetworkFlag: policy.NetworkFlag}
	p, err := npm.Load(ctx, fsys, lo)
	if err != nil || policy.None || len(p.Scripts) == 0 {
		return p, err
	}
	if policy.Only != nil && !slices.ContainsFunc(p.Scripts, func(s npm.Script) bool { return slices.Contains(policy.Only, s.Package) }) {
		return p, nil
	}
	if lo.Runtime, err = o.nodeRuntime(ctx, t); err != nil {
		return nil, fmt.Errorf("%s has install scripts (%s), which need Node.js: %w; --npm-scripts=none leaves them out", p.App, scriptNames(p), err)
	}
	lo.Scripts = policy
	return npm.Load(ctx, fsys, lo)
}

func scriptNames(p *npm.Plan) string {
	var names []string
	for _, s := range p.Scripts {
		names = append(names, s.Package)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// policy reads the options' words.
func (n NPM) policy() npm.ScriptPolicy {
	p := npm.ScriptPolicy{Network: n.Network, NetworkFlag: "--npm-network"}
	for _, s := range n.Scripts {
		switch s {
		case "all":
		case "none":
			p.None = true
		default:
			p.Only = append(p.Only, s)
		}
	}
	return p
}

// nodeRuntime is where install scripts run.
func (o Options) nodeRuntime(ctx context.Context, t target) (*npm.Runtime, error) {
	if o.NPM.Image != "" {
		return &npm.Runtime{Platform: t.platform, Node: graph.Node{
			ID:       graph.ID{Ecosystem: "npm", Kind: "image", Package: o.NPM.Image, Variant: t.platform},
			Platform: t.platform, Action: &graph.Image{Ref: o.NPM.Image},
		}}, nil
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("there is none on this machine; install it, or name an image that has it with --npm-image")
	}
	n, err := toolchain.OpenStore(importsDir(t.stateDir)).HostNode(ctx, node, t.platform)
	if err != nil {
		return nil, err
	}
	return &npm.Runtime{Node: n.Node, Platform: n.Platform, Path: n.Path}, nil
}

// describe adds a plan's secrets and what there is to say about it.
func (p *part) describe(plan *npm.Plan) {
	for name, value := range plan.Secrets {
		p.secrets[name] = []byte(value)
	}
	for _, w := range plan.Warnings {
		p.notes = append(p.notes, plan.App+": "+w)
	}
	var ran, refused []string
	for _, s := range plan.Scripts {
		if s.Run {
			ran = append(ran, s.Package+"@"+s.Version)
		} else {
			refused = append(refused, s.Package+"@"+s.Version)
		}
	}
	if len(plan.Scripts) > 0 {
		p.notes = append(p.notes, fmt.Sprintf("%s: install scripts: run: %s; left out: %s", plan.App,
			cmp.Or(strings.Join(ran, " "), "none"), cmp.Or(strings.Join(refused, " "), "none")))
	}
}
