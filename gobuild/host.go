// The loader that asks the go command of the host, by way of golang.org/x/tools/go/packages.
package gobuild

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/tools/go/packages"
)

// HostLoader runs the go command of the host. The zero value finds it in PATH.
type HostLoader struct{}

// GoError is a failure of the go command that isn't about one package.
type GoError struct {
	Args   []string
	Stderr string
	Err    error
}

func (e *GoError) Error() string {
	if s := strings.TrimSpace(e.Stderr); s != "" {
		return s
	}
	if errors.Is(e.Err, exec.ErrNotFound) {
		return "the go command is not in PATH; install Go, or put its bin directory in PATH"
	}
	return fmt.Sprintf("go %s: %v", strings.Join(e.Args, " "), e.Err)
}

func (e *GoError) Unwrap() error { return e.Err }

// runGo runs the go command and gives its standard output and standard error.
func runGo(ctx context.Context, dir string, env []string, args ...string) (stdout, stderr []byte, err error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// PWD keeps the name by which the user knows the directory, if it is a symbolic link.
	cmd.Env = append(slices.Clip(env), "PWD="+dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, &GoError{Args: args, Stderr: errs.String(), Err: err}
	}
	return out.Bytes(), errs.Bytes(), nil
}

// GoEnv implements Loader.
func (HostLoader) GoEnv(ctx context.Context, dir string, env, names []string) (map[string]string, error) {
	out, _, err := runGo(ctx, dir, env, append([]string{"env", "-json"}, names...)...)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	if err := json.Unmarshal(out, &values); err != nil {
		return nil, fmt.Errorf("go env -json: %w", err)
	}
	return values, nil
}

// loadMode is the least that planning needs; types and syntax would make go list compile.
const loadMode = packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps |
	packages.NeedEmbedFiles | packages.NeedEmbedPatterns | packages.NeedModule

// Load implements Loader.
func (HostLoader) Load(ctx context.Context, q Query) (*Facts, error) {
	group, gctx := errgroup.WithContext(ctx)
	var named, std []*packages.Package
	var godebug map[string]string
	patterns := q.Patterns
	together := len(q.Std) > 0 && !slices.ContainsFunc(patterns, notLocal)
	if together {
		patterns = slices.Concat(patterns, q.Std)
	} else if len(q.Std) > 0 {
		group.Go(func() (err error) {
			std, err = loadPackages(gctx, q, q.Std)
			return err
		})
	}
	group.Go(func() (err error) {
		named, err = loadPackages(gctx, q, patterns)
		return err
	})
	group.Go(func() (err error) {
		godebug, err = loadGODEBUG(gctx, q)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if together {
		named, std = split(named, q.Std)
	}
	// What a version of Go doesn't have, nobody needs.
	std = slices.DeleteFunc(std, func(p *packages.Package) bool { return len(p.Errors) > 0 })
	facts, err := makeFacts(q, named, std, godebug)
	if err != nil {
		return nil, err
	}
	if err := checkGODEBUG(ctx, q, facts); err != nil {
		return nil, err
	}
	if facts.VCS, err = loadVCS(ctx, q, facts); err != nil {
		return nil, err
	}
	return facts, nil
}

// split separates the packages that were asked for besides the user's.
func split(pkgs []*packages.Package, stdPaths []string) (named, std []*packages.Package) {
	for _, p := range pkgs {
		if slices.Contains(stdPaths, p.PkgPath) {
			std = append(std, p)
		} else {
			named = append(named, p)
		}
	}
	return named, std
}

// notLocal tells the patterns that can match packages of the standard library, or that can't be
// combined with others.
func notLocal(pattern string) bool {
	local := pattern == "." || pattern == ".." || strings.HasPrefix(pattern, "./") || strings.HasPrefix(pattern, "../")
	return !local || strings.HasSuffix(pattern, ".go")
}

func loadPackages(ctx context.Context, q Query, patterns []string) ([]*packages.Package, error) {
	cfg := &packages.Config{Context: ctx, Mode: loadMode, Dir: q.Dir, Env: append(slices.Clip(q.Env), "GOPACKAGESDRIVER=off"), BuildFlags: q.Flags}
	pkgs, err := packages.Load(cfg, patterns...)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, LoadErrors{driverError(err)}
	}
	return pkgs, nil
}

// driverError takes the go command's own words out of an error of go/packages.
func driverError(err error) *LoadError {
	msg := err.Error()
	if _, after, ok := strings.Cut(msg, "stderr: "); ok {
		msg = after
	}
	msg = strings.TrimPrefix(strings.TrimSpace(msg), "go: ")
	return &LoadError{Msg: msg}
}

// loadGODEBUG asks for what go/packages doesn't tell: the default of GODEBUG in main packages.
// Without imports (-find) that takes the go command a moment.
func loadGODEBUG(ctx context.Context, q Query) (map[string]string, error) {
	args := slices.Concat([]string{"list", "-e", "-find", "-json=ImportPath,DefaultGODEBUG"}, q.Flags, []string{"--"}, q.Patterns)
	out, _, err := runGo(ctx, q.Dir, q.Env, args...)
	if err != nil {
		var ge *GoError
		if errors.As(err, &ge) {
			return nil, nil // the same mistake is reported, in more detail, by loadPackages
		}
		return nil, err
	}
	values := map[string]string{}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p struct{ ImportPath, DefaultGODEBUG string }
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return values, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list -json: %w", err)
		}
		values[p.ImportPath] = p.DefaultGODEBUG
	}
}

// isStd tells the packages of the standard library: with modules, no others have none.
func isStd(p *packages.Package) bool {
	return p.Module == nil && p.PkgPath != commandLine && len(p.Errors) == 0
}

// commandLine is the import path of a package given as a list of files.
const commandLine = "command-line-arguments"

func makeFacts(q Query, named, std []*packages.Package, godebug map[string]string) (*Facts, error) {
	if errs := loadErrors(q.Dir, named, std); len(errs) > 0 {
		return nil, errs
	}
	facts := &Facts{Settings: q.Settings}
	seen := map[string]bool{"unsafe": true}
	for _, p := range named {
		if !seen[p.PkgPath] {
			facts.Roots = append(facts.Roots, p.PkgPath)
		}
	}
	packages.Visit(slices.Concat(named, std), nil, func(p *packages.Package) {
		if seen[p.PkgPath] {
			return
		}
		seen[p.PkgPath] = true
		facts.Packages = append(facts.Packages, makePackage(p, godebug[p.PkgPath]))
	})
	sort.Strings(facts.Roots)
	facts.Roots = slices.Compact(facts.Roots)
	slices.SortFunc(facts.Packages, func(a, b *Package) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return facts, nil
}

func makePackage(p *packages.Package, godebug string) *Package {
	dir := p.Dir
	if dir == "" && len(p.GoFiles) > 0 {
		dir = filepath.Dir(p.GoFiles[0])
	}
	rel := func(files []string) []string {
		out := make([]string, 0, len(files))
		for _, f := range files {
			if r, err := filepath.Rel(dir, f); err == nil {
				f = filepath.ToSlash(r)
			}
			out = append(out, f)
		}
		return out
	}
	out := &Package{
		ImportPath: p.PkgPath, Name: p.Name, Dir: dir, Standard: isStd(p), Module: makeModule(p.Module),
		GoFiles: rel(p.GoFiles), OtherFiles: rel(p.OtherFiles),
		EmbedPatterns: patterns(dir, p.EmbedPatterns), EmbedFiles: rel(p.EmbedFiles),
		GODEBUG: godebug, Imports: map[string]string{},
	}
	for raw, dep := range p.Imports {
		if dep.PkgPath != "unsafe" {
			out.Imports[raw] = dep.PkgPath
		}
	}
	// The go command adds an import that no source has and "go list" doesn't tell: the compiler
	// turns uses of simd into uses of this package (cmd/go's load.SimdBridgePkg).
	const bridge = "simd/internal/bridge"
	if simd := p.Imports["simd"]; simd != nil && simd.Imports[bridge] != nil {
		out.Imports[bridge] = bridge
	}
	return out
}

// patterns undoes what go/packages does to the patterns of go:embed: it joins them with the
// directory.
func patterns(dir string, joined []string) []string {
	out := make([]string, len(joined))
	for i, s := range joined {
		if out[i] = strings.TrimPrefix(s, dir+string(filepath.Separator)); s == dir {
			out[i] = "."
		}
	}
	return out
}

func makeModule(m *packages.Module) *Module {
	if m == nil {
		return nil
	}
	return &Module{Path: m.Path, Version: m.Version, Main: m.Main, Dir: m.Dir, GoVersion: m.GoVersion, Replace: makeModule(m.Replace)}
}

// loadErrors collects the mistakes of all packages, in the order of their places.
func loadErrors(dir string, named, std []*packages.Package) LoadErrors {
	var errs LoadErrors
	parents := map[*packages.Package]*packages.Package{}
	queue := slices.Concat(named, std)
	known := map[*packages.Package]bool{}
	loaded := map[string]*packages.Package{}
	for _, p := range queue {
		known[p] = true
	}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		loaded[p.PkgPath] = p
		for _, e := range p.Errors {
			errs = append(errs, loadError(dir, p, e, parents))
		}
		for _, raw := range slices.Sorted(maps.Keys(p.Imports)) {
			if dep := p.Imports[raw]; !known[dep] {
				known[dep], parents[dep] = true, p
				queue = append(queue, dep)
			}
		}
	}
	for _, e := range errs {
		e.Msg = cycle(e.Msg, loaded)
	}
	sort.SliceStable(errs, func(i, j int) bool { return errs[i].Pos+errs[i].Msg < errs[j].Pos+errs[j].Msg })
	return slices.CompactFunc(errs, func(a, b *LoadError) bool { return a.Pos == b.Pos && a.Msg == b.Msg })
}

func loadError(dir string, p *packages.Package, e packages.Error, parents map[*packages.Package]*packages.Package) *LoadError {
	out := &LoadError{Package: p.PkgPath, Msg: strings.TrimSpace(e.Msg), Pos: relativePos(dir, e.Pos)}
	for q := p; q != nil; q = parents[q] {
		out.Chain = append(out.Chain, q.PkgPath)
	}
	slices.Reverse(out.Chain)
	if strings.Contains(e.Msg, "build constraints exclude all Go files") {
		out.Hint = "if its files need cgo: cgo is not supported"
	}
	return out
}

// relativePos shortens the file of a position as the go command does.
func relativePos(dir, pos string) string {
	if pos == "-" || pos == "" {
		return ""
	}
	file, rest, _ := strings.Cut(pos, ":")
	if rel, err := filepath.Rel(dir, file); err == nil && len(rel) < len(file) && filepath.IsAbs(file) {
		file = rel
	}
	if rest == "" {
		return file
	}
	return file + ":" + rest
}

// environ is the environment for the go command: the process's if env is nil.
func environ(env []string) []string {
	if env == nil {
		return os.Environ()
	}
	return slices.Clip(env)
}
