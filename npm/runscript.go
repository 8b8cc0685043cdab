package npm

// A script of package.json as a node: it runs on the installed tree and leaves declared outputs.

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/mergefest/mergefest/graph"
)

// Run asks for a script of package.json.
type Run struct {
	// Script is its name; empty runs none, and the plan's result is the tree.
	Script string
	// Workspaces chooses packages by name or directory; "." is the app itself. Empty is every
	// workspace that has the script, or the app where none has.
	Workspaces []string
	// Outputs are what the script leaves in packages that declare nothing.
	Outputs []string
	// Env is the environment from which declared variables are taken.
	Env []string
	// WorkspaceFlag and OutputsFlag are how a user gives them, for messages.
	WorkspaceFlag, OutputsFlag string
}

// ProjectDir is where a container has the directory that Load's file system is: programs print
// names below it.
const ProjectDir = "/app"

// RunCommand is how the command line of a script's node begins; the script's name follows.
const RunCommand = "node " + scriptFile + " " + runFile

const runFile = "/mergefest-run.json"

// scriptKey is a script of a package.
type scriptKey struct{ loc, name string }

// runs plans the nodes of scripts.
type runs struct {
	app   *app
	tree  graph.ID
	done  map[scriptKey]*graph.ID // nil while in the making
	nodes map[graph.ID]graph.Node
	stack []string
}

// runScript adds what the option asks for. The roots are the outputs then.
func (a *app) runScript(p *Plan, locs []string) error {
	r := newRuns(a, p.Tree)
	p.Roots = nil
	var errs Errors
	for _, loc := range locs {
		id, err := r.node(scriptKey{loc, a.opt.Run.Script})
		if err != nil {
			errs = append(errs, asErrors(err)...)
			continue
		}
		p.Roots = append(p.Roots, graph.Root{Name: path.Join(a.dir, loc) + ":" + a.opt.Run.Script, From: id, Dest: a.dir})
	}
	if errs != nil {
		return errs.err()
	}
	p.Nodes = append(append(p.Nodes, r.all()...), a.opt.Runtime.Node)
	return nil
}

func newRuns(a *app, tree graph.ID) *runs {
	return &runs{app: a, tree: tree, done: map[scriptKey]*graph.ID{}, nodes: map[graph.ID]graph.Node{}}
}

// all lists the nodes that were made.
func (r *runs) all() []graph.Node {
	var out []graph.Node
	for _, n := range r.nodes {
		out = append(out, n)
	}
	return out
}

// asErrors makes a list of an error of this package.
func asErrors(err error) Errors {
	if list, ok := err.(Errors); ok {
		return list
	}
	return Errors{asError(err)}
}

// script is the text of a script, "" if the package hasn't got it.
func (a *app) script(loc, name string) string {
	doc := a.manifests[loc]
	if doc == nil {
		return ""
	}
	return str(obj(doc.top, "scripts"), name)
}

// workspaceDirs lists the workspaces by directory.
func (a *app) workspaceDirs() []string {
	var out []string
	for _, dir := range a.tree.workspaces {
		out = append(out, dir)
	}
	sort.Strings(out)
	return out
}

// chosen lists the packages whose script is asked for.
func (a *app) chosen(p *Plan) ([]string, *Error) {
	want := a.opt.Run
	var locs []string
	for _, w := range want.Workspaces {
		loc, err := a.workspace(w)
		if err == nil && a.script(loc, want.Script) == "" {
			err = a.noScript([]string{loc})
		}
		if err != nil {
			return nil, err
		}
		locs = append(locs, loc)
	}
	if locs != nil {
		return sortedUnique(locs), nil
	}
	all := a.workspaceDirs()
	for _, loc := range all {
		if a.script(loc, want.Script) != "" {
			locs = append(locs, loc)
		}
	}
	own := a.script("", want.Script) != ""
	switch {
	case locs == nil && own:
		return []string{""}, nil
	case locs == nil:
		return nil, a.noScript(append([]string{""}, all...))
	case own:
		p.Warnings = append(p.Warnings, fmt.Sprintf("the script %q runs in the workspaces that have it, not in the app itself; %s . runs that one", want.Script, want.WorkspaceFlag))
	}
	return locs, nil
}

// workspace finds a package by its name or directory.
func (a *app) workspace(w string) (string, *Error) {
	if dir, ok := a.tree.workspaces[w]; ok {
		return dir, nil
	}
	dir := path.Clean(w)
	if dir == "." {
		return "", nil
	}
	if contains(a.workspaceDirs(), dir) {
		return dir, nil
	}
	return "", a.manifests[""].errorIn(&Error{Reason: NoScript, Msg: fmt.Sprintf("there is no workspace %q", w),
		Advice: "there are: " + strings.Join(append(sortedKeys(a.tree.workspaces), "."), ", ")}, "workspaces")
}

func (a *app) noScript(locs []string) *Error {
	var have []string
	for _, loc := range locs {
		if doc := a.manifests[loc]; doc != nil {
			have = append(have, sortedKeys(obj(doc.top, "scripts"))...)
		}
	}
	advice := "there are no scripts at all"
	if len(have) > 0 {
		advice = "there are: " + strings.Join(sortedUnique(have), ", ")
	}
	doc := a.manifests[locs[0]]
	return doc.errorIn(&Error{Reason: NoScript, Msg: fmt.Sprintf("there is no script %q", a.opt.Run.Script), Advice: advice}, "scripts")
}

// declaration is what a package says of a script; the app's own serves workspaces that say nothing.
func (a *app) declaration(loc, name string) *declaration {
	for _, at := range []string{loc, ""} {
		if s := a.settings[at]; s != nil && s.scripts[name] != nil {
			return s.scripts[name]
		}
	}
	return &declaration{doc: a.manifests[loc], name: name}
}

// outputs are those of the declaration, else those of the option.
func (r *runs) outputs(k scriptKey, d *declaration) (kept, removed []string, err error) {
	kept, removed = d.outputs, d.removed
	if kept == nil && r.app.opt.Run.Outputs != nil && k.name == r.app.opt.Run.Script {
		var e *Error
		if kept, removed, e = parseOutputs(r.app.opt.Run.Outputs); e != nil {
			e.Msg = r.app.opt.Run.OutputsFlag + ": " + e.Msg
			return nil, nil, e
		}
	}
	if kept == nil {
		doc := r.app.manifests[k.loc]
		return nil, nil, doc.errorIn(&Error{Reason: NoOutputs, Package: packageLabel(doc), Msg: fmt.Sprintf("the script %q declares no outputs", k.name),
			Advice: fmt.Sprintf(`declare what it leaves in this file, as {"mergefest": {"scripts": {%q: {"outputs": ["dist"]}}}} ([] if nothing), or give %s dist`, k.name, r.app.opt.Run.OutputsFlag)}, "scripts", k.name)
	}
	for _, list := range []*[]string{&kept, &removed} {
		var full []string
		for _, o := range *list {
			p := path.Join(k.loc, o)
			if outside(p) || p == "." {
				return nil, nil, d.error("outputs", &Error{Reason: BadDeclaration, Msg: fmt.Sprintf("%q isn't inside the app's directory", o), Advice: "let the script write below it"})
			}
			full = append(full, p)
		}
		*list = full
	}
	return kept, removed, nil
}

func packageLabel(doc *document) string {
	if name := str(doc.top, "name"); name != "" {
		return name
	}
	return path.Base(path.Dir(doc.file))
}

// node returns the node that runs a script, after those that it depends on.
func (r *runs) node(k scriptKey) (graph.ID, error) {
	label := packageLabel(r.app.manifests[k.loc]) + ":" + k.name
	if id, ok := r.done[k]; ok {
		if id == nil {
			return graph.ID{}, r.app.manifests[k.loc].errorIn(&Error{Reason: ScriptCycle,
				Msg:    "the script waits for itself: " + strings.Join(append(append([]string{}, r.stack...), label), " -> "),
				Advice: "break the cycle of dependencies between workspaces, or give \"dependsOn\""}, "scripts", k.name)
		}
		return *id, nil
	}
	r.done[k] = nil
	r.stack = append(r.stack, label)
	id, err := r.make(k)
	r.stack = r.stack[:len(r.stack)-1]
	if err != nil {
		delete(r.done, k)
		return id, err
	}
	r.done[k] = &id
	return id, nil
}

// before lists the scripts that run before one: by default that of the same name in each workspace
// that the package depends on, directly or not.
func (r *runs) before(k scriptKey, d *declaration) ([]scriptKey, error) {
	depends := d.dependsOn
	if depends == nil {
		depends = []string{"^" + k.name}
	}
	var out []scriptKey
	for _, name := range depends {
		if up, ok := strings.CutPrefix(name, "^"); ok {
			for _, loc := range r.app.workspacesOf(k.loc) {
				if r.app.script(loc, up) != "" {
					out = append(out, scriptKey{loc, up})
				}
			}
			continue
		}
		if r.app.script(k.loc, name) == "" {
			return nil, d.error("dependsOn", &Error{Reason: NoScript, Msg: fmt.Sprintf("there is no script %q", name), Advice: "it is one of the same package, or with ^ one of the workspaces that it depends on"})
		}
		out = append(out, scriptKey{k.loc, name})
	}
	return out, nil
}

// workspacesOf lists the directories of the workspaces that a package depends on, directly or not.
func (a *app) workspacesOf(loc string) []string {
	start := a.tree.nodes[loc]
	if start == nil {
		return nil
	}
	dirs := a.workspaceDirs()
	seen := map[*node]bool{start: true}
	queue := []*node{start}
	var out []string
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range at.edges {
			if e.to == nil || seen[e.to.target] {
				continue
			}
			to := e.to.target
			seen[to] = true
			queue = append(queue, to)
			if contains(dirs, to.loc) {
				out = append(out, to.loc)
			}
		}
	}
	sort.Strings(out)
	return out
}
