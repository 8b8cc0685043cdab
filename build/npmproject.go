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
	// Scripts says whose install scripts run: "all", "none", or names of packages; empty is what
	// package.json says, else all.
	Scripts []string
	// Network names packages whose install scripts get a network; empty is what package.json says.
	Network []string
	// Script is a script of package.json whose outputs are wanted instead of node_modules.
	Script string
	// Workspaces chooses packages of the app that Script runs in; empty is every workspace that has
	// it, or the app where none has.
	Workspaces []string
	// Outputs are what Script leaves, where package.json doesn't declare it.
	Outputs []string
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
	if o.NPM.Script != "" && len(dirs) == 0 {
		if err := o.stray(nil); err != nil {
			return nil, err
		}
		return nil, &UsageError{fmt.Sprintf("--npm-script %s: there is no npm project here (no package-lock.json or npm-shrinkwrap.json)", o.NPM.Script)}
	}
	return dirs, nil
}

// searches says that projects are looked for, so that some may have nothing to do with what is asked.
func (o Options) searches() bool {
	return slices.ContainsFunc(o.patterns(), func(p string) bool { return strings.HasSuffix(p, "...") })
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
	out := &part{locals: map[string]string{"": o.Dir}, secrets: map[string][]byte{}, translate: npmNames(o.NPM.Script)}
	if o.NPM.Script != "" && !slices.Equal(platforms, []string{t.platform}) {
		return nil, &UsageError{fmt.Sprintf("--npm-script runs on the engine's platform, %s, and builds for no other", t.platform)}
	}
	policy, err := o.NPM.policy()
	if err != nil {
		return nil, err
	}
	lo := npm.Options{
		Dir: filepath.ToSlash(rel), Config: config, Omit: o.NPM.Omit, Include: o.NPM.Include, Scripts: policy,
		AllowMissingIntegrity: o.NPM.AllowMissingIntegrity, MissingIntegrityFlag: "--npm-allow-missing-integrity",
		Facts: &npm.RegistryFacts{},
		Run: npm.Run{Script: o.NPM.Script, Workspaces: o.NPM.Workspaces, Outputs: o.NPM.Outputs, Env: o.environ(),
			WorkspaceFlag: "--npm-workspace", OutputsFlag: "--npm-outputs"},
	}
	if err := projectFiles(&lo, o, t); err != nil {
		return nil, err
	}
	var plans []*npm.Plan
	for _, name := range platforms {
		if len(platforms) > 1 {
			lo.Variant = name
		}
		if lo.Platform, err = npm.ParsePlatform(name); err != nil {
			return nil, &UsageError{err.Error()}
		}
		if err := o.hostEngines(ctx, t, &lo.Platform); err != nil {
			return nil, err
		}
		p, err := loadNPM(ctx, fsys, lo, o, t)
		var missing *npm.Error
		if errors.As(err, &missing) && missing.Reason == npm.NoScript && o.searches() {
			return &part{skipped: err, notes: []string{"left out: " + err.Error()}}, nil
		}
		if err != nil {
			return nil, err
		}
		if len(o.Platforms) > 0 {
			for i := range p.Roots {
				p.Roots[i].Platform = name
			}
		}
		plans = append(plans, p)
		out.why = append(out.why, p.Why)
		out.describe(p)
	}
	out.nodes, out.roots = npm.Join(plans...)
	return out, nil
}

// hostEngines fills in the versions against which packages' engines are checked: those of the Node.js
// and npm that scripts run on. Without any nothing is checked.
func (o Options) hostEngines(ctx context.Context, t target, p *npm.Platform) error {
	if o.NPM.Image != "" {
		return nil // what is in the image isn't known here
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil
	}
	if node, err = filepath.EvalSymlinks(node); err != nil {
		return err
	}
	p.NPM = toolchain.NPMVersion(node)
	p.Node, err = toolchain.OpenStore(importsDir(t.stateDir)).NodeVersion(ctx, node)
	return err
}

// loadNPM plans an app. Only one that has something to run needs a Node.js.
func loadNPM(ctx context.Context, fsys fs.FS, lo npm.Options, o Options, t target) (*npm.Plan, error) {
	p, err := npm.Load(ctx, fsys, lo)
	var missing *npm.Error
	if !errors.As(err, &missing) || missing.Reason != npm.NoRuntime {
		return p, err
	}
	if lo.Runtime, err = o.nodeRuntime(ctx, t); err != nil {
		missing.Err = err
		missing.Advice = "install it, name an image with --npm-image, or leave install scripts out with --npm-scripts none"
		return nil, missing
	}
	return npm.Load(ctx, fsys, lo)
}

// policy reads the options' words.
func (n NPM) policy() (npm.ScriptPolicy, error) {
	p := npm.ScriptPolicy{Network: n.Network, Flag: "--npm-scripts", NetworkFlag: "--npm-network"}
	for _, s := range n.Scripts {
		switch s {
		case "all":
			p.All = true
		case "none":
			p.None = true
		default:
			p.Only = append(p.Only, s)
		}
	}
	if (p.All || p.None) && len(n.Scripts) > 1 {
		return p, &UsageError{fmt.Sprintf("--npm-scripts %s: all and none stand alone", strings.Join(n.Scripts, ","))}
	}
	return p, nil
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
		return nil, errors.New("there is none in PATH")
	}
	n, err := toolchain.OpenStore(importsDir(t.stateDir)).HostNode(ctx, node, t.platform)
	if err != nil {
		return nil, err
	}
	return &npm.Runtime{Node: n.Node, Platform: n.Platform, Path: n.Path, Version: n.Version}, nil
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
