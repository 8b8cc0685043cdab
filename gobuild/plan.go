// Planning: facts in, nodes out.
package gobuild

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/mergefest/mergefest/gomod"
	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/toolchain"
)

// Plan is what to run for a build.
type Plan struct {
	Graph *graph.Graph
	// Locals are the directories that Local nodes name, absolute; "" is the project's: that of
	// go.work or go.mod. A file that is a symbolic link stands for what it leads to.
	Locals map[string]string
	// Secrets are the values of the secrets that nodes name.
	Secrets map[string][]byte
	// Names translates the file names in what compilers print.
	Names Names
}

// settingNames are what a plan needs of "go env".
var settingNames = [...]string{
	"GOOS", "GOARCH", "GOARM", "GOARM64", "GO386", "GOAMD64", "GOMIPS", "GOMIPS64", "GOPPC64", "GORISCV64", "GOWASM",
	"GOEXPERIMENT", "GOFIPS140", "GOVERSION", "GOROOT", "GOMOD", "GOWORK", "GOMODCACHE", "GOFLAGS", "GOENV", "GO111MODULE",
	"GOPROXY", "GONOPROXY", "GOAUTH",
}

// Make plans a build. The errors are *UsageError, UnsupportedList or *Unsupported, LoadErrors,
// *GoError, and those of package gomod.
func Make(ctx context.Context, cfg Config) (*Plan, error) {
	if cfg.Toolchain == nil {
		return nil, usagef("no toolchain")
	}
	if cfg.Loader == nil {
		cfg.Loader = HostLoader{}
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg.Dir, cfg.Env = dir, environ(cfg.Env)
	if len(cfg.Patterns) == 0 {
		cfg.Patterns = []string{"."}
	}
	if err := cfg.Granularity.check(); err != nil {
		return nil, err
	}
	targets, err := cfg.targets()
	if err != nil {
		return nil, err
	}
	parts := make([]*planner, len(targets))
	group, gctx := errgroup.WithContext(ctx)
	for i, t := range targets {
		group.Go(func() (err error) {
			parts[i], err = planTarget(gctx, cfg, t)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return merge(distinct(parts))
}

// distinct leaves one plan of each platform, which can have several names: "linux/arm" is
// "linux/arm/v7".
func distinct(parts []*planner) []*planner {
	seen := map[string]bool{}
	return slices.DeleteFunc(parts, func(p *planner) bool {
		have := seen[p.s.platform()]
		seen[p.s.platform()] = true
		return have
	})
}

func (cfg *Config) targets() ([]target, error) {
	if len(cfg.Platforms) == 0 {
		return []target{{}}, nil
	}
	var out []target
	for _, s := range cfg.Platforms {
		t, err := parsePlatform(s)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// planner makes the nodes of one target.
type planner struct {
	cfg       Config
	flags     Flags
	tc        *toolchain.Go
	facts     *Facts
	s         *Settings
	byPath    map[string]*Package
	gc, as, l perPackage
	fetch     *gomod.Fetcher
	sums      *gomod.Sums
	root      string // the project directory
	pkgs      map[pkgKey]*pkg
	units     []*unit
	nodes     map[graph.ID]graph.Node
	roots     []graph.Root
	locals    map[string]string
	twice     []graph.Node // those whose ID was taken
}

func planTarget(ctx context.Context, cfg Config, t target) (*planner, error) {
	q, flags, values, err := query(ctx, cfg, t)
	if err != nil {
		return nil, err
	}
	facts, err := cfg.Loader.Load(ctx, q)
	if err != nil {
		return nil, err
	}
	return planFacts(cfg, flags, gomod.NewEnv(values, cfg.Env), facts)
}

// query settles the target's settings and flags.
func query(ctx context.Context, cfg Config, t target) (q Query, flags Flags, values map[string]string, err error) {
	env := cfg.Env
	if t.goos != "" {
		env = slices.Concat(env, []string{"GOOS=" + t.goos, "GOARCH=" + t.goarch}, t.env)
	}
	values, err = cfg.Loader.GoEnv(ctx, cfg.Dir, env, settingNames[:])
	if err != nil {
		return q, flags, nil, err
	}
	flags = cfg.Flags
	if err := flags.mergeGOFLAGS(values["GOFLAGS"]); err != nil {
		return q, flags, nil, err
	}
	if err := flags.check(); err != nil {
		return q, flags, nil, err
	}
	if v := values["GOVERSION"]; v != "" && !atLeast(v, oldest) {
		return q, flags, nil, &Unsupported{Feature: "Go " + strings.TrimPrefix(v, "go"),
			Hint: "the compilers of " + oldest + " and later are driven as their go commands do; install a newer one or let GOTOOLCHAIN name one"}
	}
	if values["GO111MODULE"] == "off" {
		return q, flags, nil, &Unsupported{Feature: "GO111MODULE=off (GOPATH mode)", Hint: "use a module: go mod init"}
	}
	s := Settings{
		GOOS: values["GOOS"], GOARCH: values["GOARCH"], ArchVar: archVar(values["GOARCH"]),
		GOEXPERIMENT: values["GOEXPERIMENT"], GOFIPS140: cmp.Or(values["GOFIPS140"], "off"), GOVERSION: values["GOVERSION"],
		GOMOD: values["GOMOD"], GOWORK: values["GOWORK"], GOMODCACHE: values["GOMODCACHE"], ModFile: flags.ModFile,
		CGOEnabled: cgoWanted(env, values["GOENV"]),
	}
	s.ArchValue = values[s.ArchVar]
	if s.GOMOD == os.DevNull {
		s.GOMOD = ""
	}
	if err := s.check(&flags); err != nil {
		return q, flags, nil, err
	}
	if !knownPlatform(values["GOROOT"], s.GOOS, s.GOARCH) {
		return q, flags, nil, usagef("unsupported GOOS/GOARCH pair %s/%s; `go tool dist list` lists them", s.GOOS, s.GOARCH)
	}
	cgo := "CGO_ENABLED=0"
	if s.CGOEnabled {
		cgo = "CGO_ENABLED=1"
	}
	return Query{
		Dir: cfg.Dir, Env: slices.Concat(env, []string{cgo}), Flags: flags.listFlags(), Patterns: cfg.Patterns,
		Std: s.tierRoots(), BuildVCS: cmp.Or(flags.BuildVCS, "auto"), Settings: s,
	}, flags, values, nil
}

// knownPlatform looks a pair up in the installation's own list; "go list" doesn't refuse what
// isn't there. An installation without the list knows everything.
func knownPlatform(goroot, goos, goarch string) bool {
	data, err := os.ReadFile(filepath.Join(goroot, "src", "internal", "platform", "zosarch.go"))
	return err != nil || bytes.Contains(data, fmt.Appendf(nil, "{%q, %q}", goos, goarch))
}

// cgoWanted tells whether the user turned cgo on, in the environment or by "go env -w". The go
// command's own default doesn't count.
func cgoWanted(env []string, goenv string) bool {
	for _, kv := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(kv, "CGO_ENABLED="); ok && v != "" {
			return v == "1"
		}
	}
	data, err := os.ReadFile(goenv)
	if err != nil {
		return false // no file, or none that the go command reads either
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "CGO_ENABLED="); ok {
			return v == "1"
		}
	}
	return false
}

// check refuses targets that can't be linked without a C toolchain, and what isn't supported.
func (s *Settings) check(flags *Flags) error {
	switch {
	case s.GOOS == "android" && s.GOARCH != "arm64", s.GOOS == "ios":
		return &Unsupported{Feature: s.GOOS + "/" + s.GOARCH, Hint: "it must be linked by a C toolchain"}
	case s.GOFIPS140 != "off":
		return &Unsupported{Feature: "GOFIPS140=" + s.GOFIPS140, Hint: "unset it"}
	}
	if s.pie(flags) && !internalPIE(s.GOOS, s.GOARCH) {
		return &Unsupported{Feature: "-buildmode=pie on " + s.GOOS + "/" + s.GOARCH, Hint: "it must be linked by a C toolchain"}
	}
	return nil
}

// planFacts is the pure part.
func planFacts(cfg Config, flags Flags, env gomod.Env, facts *Facts) (*planner, error) {
	p := &planner{
		cfg: cfg, flags: flags, tc: cfg.Toolchain, facts: facts, s: &facts.Settings,
		byPath: map[string]*Package{}, pkgs: map[pkgKey]*pkg{}, nodes: map[graph.ID]graph.Node{}, locals: map[string]string{},
	}
	for _, q := range facts.Packages {
		p.byPath[q.ImportPath] = q
	}
	if p.tc.Version != p.s.GOVERSION {
		return nil, fmt.Errorf("the go command is %s and the toolchain %s: they must be the same", p.s.GOVERSION, p.tc.Version)
	}
	var err error
	for _, f := range []struct {
		to     *perPackage
		name   string
		values []string
	}{{&p.gc, "gcflags", flags.GCFlags}, {&p.as, "asmflags", flags.ASMFlags}, {&p.l, "ldflags", flags.LDFlags}} {
		if *f.to, err = parsePerPackage(f.name, f.values, cfg.Dir); err != nil {
			return nil, err
		}
	}
	if err := p.openModule(env); err != nil {
		return nil, err
	}
	if err := p.unsupported(); err != nil {
		return nil, err
	}
	if err := p.plan(); err != nil {
		return nil, err
	}
	return p, nil
}

// openModule finds the project directory and reads the hashes of its modules.
func (p *planner) openModule(env gomod.Env) error {
	p.root = p.cfg.Dir
	p.sums = &gomod.Sums{}
	var files []string
	switch {
	case p.s.GOWORK != "" && p.s.GOWORK != "off":
		p.root = filepath.Dir(p.s.GOWORK)
		var err error
		if files, err = p.workspaceSums(); err != nil {
			return err
		}
	case p.s.ModFile != "":
		mod := p.s.ModFile
		if !filepath.IsAbs(mod) {
			mod = filepath.Join(p.cfg.Dir, mod)
		}
		files = append(files, strings.TrimSuffix(mod, ".mod")+".sum")
	case p.s.GOMOD != "":
		files = append(files, strings.TrimSuffix(p.s.GOMOD, ".mod")+".sum")
	}
	if p.s.GOMOD != "" && (p.s.GOWORK == "" || p.s.GOWORK == "off") {
		p.root = filepath.Dir(p.s.GOMOD)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		name := p.userFile(file)
		sums, err := gomod.ParseSum(name, data)
		if err != nil {
			return err
		}
		if p.sums.File == "" {
			p.sums.File = name
		}
		p.sums.Add(sums)
	}
	p.fetch = gomod.NewFetcher(env, p.sums)
	p.locals[gomod.ModCacheRoot] = p.s.GOMODCACHE
	return nil
}

// workspaceSums are the files with the hashes of a workspace's modules: a version that one module
// asks for can be used by all.
func (p *planner) workspaceSums() ([]string, error) {
	data, err := os.ReadFile(p.s.GOWORK)
	if err != nil {
		return nil, err
	}
	dirs, err := gomod.WorkspaceDirs(p.userFile(p.s.GOWORK), data)
	if err != nil {
		return nil, err
	}
	files := []string{p.s.GOWORK + ".sum"}
	for _, dir := range dirs {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(p.root, filepath.FromSlash(dir))
		}
		files = append(files, filepath.Join(dir, "go.sum"))
	}
	return files, nil
}

// merge joins the plans of several targets, which share fetches.
func merge(parts []*planner) (*Plan, error) {
	out := &Plan{Locals: map[string]string{"": parts[0].root}, Secrets: map[string][]byte{}, Names: Names{map[string]string{}}}
	shared := &planner{nodes: map[graph.ID]graph.Node{}}
	var roots []graph.Root
	for _, p := range parts {
		for _, n := range p.nodes {
			shared.add(n)
		}
		shared.twice = append(shared.twice, p.twice...)
		maps.Copy(out.Locals, p.locals)
		maps.Copy(out.Secrets, p.fetch.Secrets())
		maps.Copy(out.Secrets, p.tc.Secrets)
		p.names(out.Names.Dirs)
		roots = append(roots, p.roots...)
	}
	var err error
	nodes := slices.AppendSeq(shared.twice, maps.Values(shared.nodes)) // New names conflicts
	out.Graph, err = graph.New(nodes, roots)
	return out, err
}

// add records a node. Adding one twice is fine; two with one ID are an error, which merge reports.
func (p *planner) add(n graph.Node) graph.ID {
	if old, ok := p.nodes[n.ID]; ok && !reflect.DeepEqual(old, n) {
		p.twice = append(p.twice, n)
		return n.ID
	}
	p.nodes[n.ID] = n
	return n.ID
}
