// The Go analyzer's place in the pipeline.
package build

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/gobuild"
	"github.com/mergefest/mergefest/gomod"
	"github.com/mergefest/mergefest/npm"
	"github.com/mergefest/mergefest/toolchain"
)

func goAnalyzer() analyzer {
	return analyzer{name: "go", find: findGo, plan: planGo}
}

// findGo looks for a module or workspace around the project directory, for Go files named as
// arguments, and else for modules below it, as far as the patterns say "...".
func findGo(o Options) ([]string, error) {
	for _, p := range o.Patterns {
		if strings.HasSuffix(p, ".go") {
			return []string{o.Dir}, nil
		}
	}
	for dir := o.Dir; ; dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, "go.mod")) || exists(filepath.Join(dir, "go.work")) {
			if o.noGo() {
				return nil, nil
			}
			return []string{o.Dir}, nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	var dirs []string
	for _, p := range o.Patterns {
		top, ok := strings.CutSuffix(p, "/...")
		if !ok {
			continue
		}
		err := walkProjects(filepath.Join(o.Dir, top), func(dir string) error {
			if exists(filepath.Join(dir, "go.mod")) {
				dirs = append(dirs, dir)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

// skipDir names directories that "..." doesn't match, in the go command and here.
func skipDir(name string) bool {
	return name[0] == '.' || name[0] == '_' || name == "testdata" || name == "vendor" || name == "node_modules"
}

// noGo says that all patterns are directories without Go files, which are somewhere in a module but
// no part of it, or which hold another ecosystem's project: then that is meant.
func (o Options) noGo() bool {
	for _, p := range o.patterns() {
		if !isPath(p) || strings.HasSuffix(p, "...") {
			return false
		}
		if !filepath.IsAbs(p) {
			p = filepath.Join(o.Dir, p)
		}
		if found, err := hasGo(p); err != nil || found {
			return false
		}
		other, err := npm.Detect(os.DirFS(p), ".")
		if err != nil || other == "" && exists(filepath.Join(p, "go.mod")) {
			return false
		}
	}
	return true
}

// hasGo tells whether a directory has Go files.
func hasGo(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.HasSuffix(e.Name(), ".go") }), err
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func planGo(ctx context.Context, o Options, t target, dir string) (*part, error) {
	if o.GoModCache {
		return planModCache(ctx, o, dir)
	}
	patterns := o.Patterns
	if dir != o.Dir {
		patterns = []string{"./..."}
	}
	tc, err := toolchain.OpenStore(importsDir(t.stateDir)).Go(ctx, toolchain.Options{
		Dir: dir, Env: o.Env, Platform: t.platform, Provider: toolchain.Provider(o.GoToolchain),
	})
	if err != nil {
		return nil, err
	}
	p, err := gobuild.Make(ctx, gobuild.Config{
		Dir: dir, Env: o.Env, Patterns: patterns, Platforms: o.Platforms, Output: o.Output != "",
		Granularity: gobuild.Granularity(o.Granularity), Flags: o.Go, Toolchain: tc,
	})
	if err != nil {
		return nil, err
	}
	secrets := maps.Clone(p.Secrets)
	maps.Copy(secrets, tc.Secrets)
	return &part{nodes: p.Graph.Nodes(), roots: p.Graph.Roots(), locals: p.Locals, secrets: secrets, translate: p.Names.Translate}, nil
}

// planModCache plans the download of every module of the project that holds dir.
func planModCache(ctx context.Context, o Options, dir string) (*part, error) {
	env, err := gobuild.HostLoader{}.GoEnv(ctx, dir, o.environ(), append([]string{"GOMOD", "GOWORK"}, gomod.EnvNames...))
	if err != nil {
		return nil, err
	}
	top := filepath.Dir(env["GOMOD"])
	if w := env["GOWORK"]; w != "" && w != "off" {
		top = filepath.Dir(w)
	}
	project, err := gomod.Parse(os.DirFS(top))
	if err != nil {
		return nil, err
	}
	g, secrets, err := project.Graph(gomod.NewEnv(env, o.environ()))
	if err != nil {
		return nil, err
	}
	roots := g.Roots()
	for i := range roots {
		roots[i].Dest = "." // the output directory is the cache
	}
	return &part{nodes: g.Nodes(), roots: roots, secrets: secrets, locals: map[string]string{gomod.ModCacheRoot: env["GOMODCACHE"]}}, nil
}
