// Planning: from a directory or a graph file to a graph, and what the graph needs of this machine.
package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/graph"
)

// Planned is a graph with the data of this machine that it refers to.
type Planned struct {
	Graph *graph.Graph
	// Locals are the directories that Local nodes name, absolute; "" is the project's.
	Locals map[string]string
	// Secrets are the values of the secrets that nodes name.
	Secrets map[string][]byte
	// Notes are remarks for the user about what was planned.
	Notes []string
	// translate turns what programs print into text with the names that the user knows.
	translate []func(string) string
	why       []func(graph.ID) []graph.ID
}

// Chain says why a node is needed: the way to it from what was asked for, both included. Between may be
// IDs of the ecosystem's packages that are no nodes.
func (p *Planned) Chain(id graph.ID) []graph.ID {
	for _, why := range p.why {
		if way := why(id); way != nil {
			return way
		}
	}
	return p.Graph.Chain(id)
}

// Translate turns what a node's programs print into text with the file names that the user knows.
func (p *Planned) Translate(text string) string {
	for _, t := range p.translate {
		text = t(text)
	}
	if hinted := gitHints(text); hinted != text && p.readsGit() {
		return hinted
	}
	return text
}

// part is what one analyzer contributes.
type part struct {
	ecosystem string
	nodes     []graph.Node
	roots     []graph.Root
	locals    map[string]string
	secrets   map[string][]byte
	notes     []string
	// skipped says why there is nothing to do in this project, if it is one of several.
	skipped error
	// translate is Planned.Translate for this part; nil changes nothing.
	translate func(string) string
	// why is Planned.Chain for this part's nodes, as far as it knows more than the graph.
	why []func(graph.ID) []graph.ID
}

// analyzer knows one ecosystem.
type analyzer struct {
	name string
	// find returns the project directories that the patterns cover, absolute; none if the
	// ecosystem has nothing to build there.
	find func(o Options) ([]string, error)
	// plan plans one of them.
	plan func(ctx context.Context, o Options, t target, dir string) (*part, error)
}

// analyzers are all that there are.
func analyzers() []analyzer {
	return []analyzer{goAnalyzer(), npmAnalyzer()}
}

// target is the engine as far as plans depend on it.
type target struct {
	platform string // where tools run: "linux/amd64"
	stateDir string // where imports are kept
}

// NothingError says that no analyzer found anything to build.
type NothingError struct {
	Dir string
	// GoFiles says that the directory has Go files, which are in no module.
	GoFiles bool
}

func (e *NothingError) Error() string {
	s := e.Dir + ": nothing to build here: "
	if e.GoFiles {
		return s + "its Go files are in no module, there is no go.mod in the directory or above it; make one with go mod init, or name the files"
	}
	return s + "no go.mod, go.work, Go file, package-lock.json or npm-shrinkwrap.json was found; name the project's directory with -C, a directory to search with ./..., or a graph with --graph"
}

// Plan makes the graph that Build would run, without an engine.
func Plan(ctx context.Context, o Options) (*Planned, error) {
	t, err := o.target(nil)
	if err != nil {
		return nil, err
	}
	return plan(ctx, o, t)
}

func plan(ctx context.Context, o Options, t target) (*Planned, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if st, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !st.IsDir() {
		return nil, &UsageError{dir + " is not a directory"}
	}
	if o.GraphFile != "" {
		return planFile(o)
	}
	var parts []*part
	for _, a := range analyzers() {
		if len(o.Ecosystems) > 0 && !slices.Contains(o.Ecosystems, a.name) {
			continue
		}
		dirs, err := a.find(o)
		if err != nil {
			return nil, err
		}
		made, err := planAll(ctx, a, o, t, dirs)
		if err != nil {
			return nil, err
		}
		parts = append(parts, made...)
	}
	if err := o.stray(parts); err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		found, err := hasGo(dir)
		return nil, &NothingError{Dir: dir, GoFiles: found && err == nil}
	}
	return join(dir, parts)
}

// stray refuses arguments that nothing here could mean: only Go's packages have names that are no
// directories.
func (o Options) stray(parts []*part) error {
	if slices.ContainsFunc(parts, func(p *part) bool { return p.ecosystem == "go" }) {
		return nil
	}
	for _, p := range o.patterns() {
		if isPath(p) || strings.HasSuffix(p, ".go") {
			continue
		}
		if st, err := os.Stat(filepath.Join(o.Dir, strings.TrimSuffix(p, "..."))); err == nil && st.IsDir() {
			return &UsageError{fmt.Sprintf("%q is the name of a Go package, and there is no Go project here; a directory is ./%s", p, p)}
		}
		return &UsageError{fmt.Sprintf("%q is neither a directory (./…) nor, without a Go project, the name of a package", p)}
	}
	return nil
}

// planAll plans the projects of one ecosystem. It is an error if all are skipped.
func planAll(ctx context.Context, a analyzer, o Options, t target, dirs []string) (parts []*part, err error) {
	var skipped []error
	for _, d := range dirs {
		p, err := a.plan(ctx, o, t, d)
		if err != nil {
			return nil, err
		}
		p.ecosystem = a.name
		parts = append(parts, p)
		if p.skipped != nil {
			skipped = append(skipped, p.skipped)
		}
	}
	if len(skipped) == len(dirs) {
		return nil, errors.Join(skipped...)
	}
	return parts, nil
}

// planFile reads a graph from its JSON notation.
func planFile(o Options) (*Planned, error) {
	file := o.GraphFile
	if !filepath.IsAbs(file) {
		file = filepath.Join(o.Dir, file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	g, err := graph.ParseJSON(o.GraphFile, data)
	if err != nil {
		return nil, err
	}
	if len(g.Roots()) == 0 {
		return nil, fmt.Errorf("%s: the graph has no roots, so that nothing is asked of it; list the results in \"roots\"", o.GraphFile)
	}
	if len(o.Platforms) > 0 {
		if g, err = g.Select(graph.SelectOptions{Platforms: o.Platforms}); err != nil {
			return nil, err
		}
	}
	p := &Planned{Graph: g.Reachable(), Locals: map[string]string{"": filepath.Dir(file)}, Secrets: map[string][]byte{}}
	for name, dir := range o.Locals {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(o.Dir, dir)
		}
		p.Locals[name] = dir
	}
	return p, p.graphSecrets(o)
}

// graphSecrets takes the secrets that a graph file's nodes name from the environment: the secret
// "a.b" is the variable MERGEFEST_SECRET_a.b. Optional ones may be missing.
func (p *Planned) graphSecrets(o Options) error {
	var errs []error
	want := func(id graph.ID, name string, optional bool) {
		v, ok := o.lookup("MERGEFEST_SECRET_" + name)
		switch {
		case ok:
			p.Secrets[name] = []byte(v)
		case !optional:
			errs = append(errs, fmt.Errorf("%s: the secret %q is missing; set MERGEFEST_SECRET_%s", id, name, name))
		}
	}
	for _, n := range p.Graph.Nodes() {
		switch a := n.Action.(type) {
		case *graph.Fetch:
			for _, item := range a.Items {
				if item.Auth != "" {
					want(n.ID, item.Auth, false)
				}
			}
		case *graph.Run:
			for _, s := range a.Secrets {
				want(n.ID, s.Name, s.Optional)
			}
		}
	}
	return errors.Join(errs...)
}

// join makes one graph of several parts. Names of local directories are made unique by the
// directory's path below the project, which is the same on every machine.
func join(dir string, parts []*part) (*Planned, error) {
	out := &Planned{Locals: map[string]string{}, Secrets: map[string][]byte{}}
	var nodes []graph.Node
	var roots []graph.Root
	seen := map[graph.ID]bool{}
	for _, p := range parts {
		names := map[string]string{}
		for name, abs := range p.locals {
			names[name] = out.nameLocal(dir, name, abs)
		}
		for _, n := range p.nodes {
			if l, ok := n.Action.(*graph.Local); ok && names[l.Root] != l.Root {
				moved := *l
				moved.Root = names[l.Root]
				n.Action = &moved
			}
			if !seen[n.ID] {
				seen[n.ID] = true
				nodes = append(nodes, n)
			}
		}
		roots = append(roots, p.roots...)
		for name, value := range p.secrets {
			out.Secrets[name] = value
		}
		out.Notes = append(out.Notes, p.notes...)
		out.why = append(out.why, p.why...)
		if p.translate != nil {
			out.translate = append(out.translate, p.translate)
		}
	}
	g, err := graph.New(nodes, byPlatform(roots))
	if err != nil {
		return nil, err
	}
	out.Graph = g.Reachable()
	return out, nil
}

// byPlatform gives the results of each platform a directory of their own, "linux_arm64", if there
// are several.
func byPlatform(roots []graph.Root) []graph.Root {
	platforms := map[string]bool{}
	for _, r := range roots {
		if r.Platform != "" {
			platforms[r.Platform] = true
		}
	}
	if len(platforms) < 2 {
		return roots
	}
	roots = slices.Clone(roots)
	for i, r := range roots {
		if r.Platform != "" {
			roots[i].Dest = path.Join(strings.ReplaceAll(r.Platform, "/", "_"), r.Dest)
		}
	}
	return roots
}

// nameLocal registers a local directory and returns its name in the joined graph.
func (p *Planned) nameLocal(dir, name, abs string) string {
	if have, ok := p.Locals[name]; !ok || have == abs {
		p.Locals[name] = abs
		return name
	}
	rel, err := filepath.Rel(dir, abs)
	if err != nil {
		rel = abs
	}
	unique := strings.TrimSuffix(name+":"+filepath.ToSlash(rel), ":")
	p.Locals[unique] = abs
	return unique
}

// lookup reads a variable of the options' environment.
func (o Options) lookup(name string) (string, bool) {
	if o.Env == nil {
		return os.LookupEnv(name)
	}
	for _, kv := range slices.Backward(o.Env) {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}

// patterns are those of the options; none is the project's directory.
func (o Options) patterns() []string {
	if len(o.Patterns) == 0 {
		return []string{"."}
	}
	return o.Patterns
}

// environ is the environment of tools.
func (o Options) environ() []string {
	if o.Env == nil {
		return os.Environ()
	}
	return o.Env
}

func (o Options) getenv(name string) string {
	v, _ := o.lookup(name)
	return v
}
