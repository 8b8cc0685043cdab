package npm

// What the node of a script mounts, where, and what it runs.

import (
	"encoding/json"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// make adds the node of a script.
func (r *runs) make(k scriptKey) (graph.ID, error) {
	a := r.app
	d := a.declaration(k.loc, k.name)
	kept, removed, err := r.outputs(k, d)
	if err != nil {
		return graph.ID{}, err
	}
	before, err := r.before(k, d)
	if err != nil {
		return graph.ID{}, err
	}
	run := &graph.Run{Base: &graph.Input{From: a.opt.Runtime.Node.ID}, Network: d.network}
	m := &mounts{list: map[string]graph.Input{}}
	sources, err := r.sources(k, d, before)
	if err != nil {
		return graph.ID{}, err
	}
	project, err := r.project(a.variant(k.loc)+":"+k.name, k.loc, sources, before)
	if err != nil {
		return graph.ID{}, err
	}
	m.add(project)
	needed := append(a.workspacesOf(k.loc), k.loc)
	for _, dir := range a.moduleDirs() {
		if up := path.Dir(dir); up == "." || contains(needed, up) || k.loc == "" {
			m.add(graph.Input{From: r.tree, Path: dir, Target: a.place(dir), Writable: true})
		}
	}
	run.Mounts = m.sorted()
	job := scriptJob{Command: "run", Shell: a.opt.Config.shell(), Steps: []scriptStep{{Dir: a.place(k.loc), Events: []string{k.name}, Explicit: true}}}
	for _, p := range removed {
		job.Remove = append(job.Remove, a.place(p))
	}
	if !d.network {
		job.Hint = `Scripts have no network; if it needs one, declare "network": true for it in the object "mergefest" of package.json.`
	}
	doc, err := json.Marshal(job)
	if err != nil {
		return graph.ID{}, err
	}
	label := packageLabel(a.manifests[k.loc])
	run.Files = []action.File{{Path: scriptFile, Text: scriptRunner}, {Path: runFile, Text: string(doc)}}
	run.Tasks = []action.Task{{Name: label + " " + k.name, Commands: []action.Command{{
		Args: []string{"node", scriptFile, runFile, k.name}, Dir: a.place(k.loc), Env: a.runEnv(d)}}}}
	useNetwork(run)
	for _, o := range kept {
		run.Outputs = append(run.Outputs, action.Output{Path: o, From: a.place(o)})
	}
	id := graph.ID{Ecosystem: "npm", Kind: "run", Package: label, Variant: a.variant(k.loc) + ":" + k.name}
	r.nodes[id] = graph.Node{ID: id, Platform: a.opt.Runtime.Platform, Action: run}
	return id, nil
}

// variant tells apart the nodes of packages of one name, by directory and, if there are several, by
// platform.
func (a *app) variant(loc string) string {
	v := path.Join(a.dir, loc)
	if a.opt.Variant != "" {
		v += "," + a.opt.Variant
	}
	return v
}

// place is where a path of the app is in a container.
func (a *app) place(p string) string { return path.Join(ProjectDir, a.dir, p) }

// sources lists the files that a script reads, at their places below the project's directory: those of
// its package, of the app around it, and of the workspaces that it depends on. Where inputs are declared
// they take the place of the first two, and a workspace whose script ran before counts by what that
// left.
func (r *runs) sources(k scriptKey, d *declaration, before []scriptKey) ([]graph.ID, error) {
	a := r.app
	units := a.workspacesOf(k.loc)
	if d.inputs == nil {
		units = sortedUnique(append(units, "", k.loc))
	}
	var out []graph.ID
	var manifests []string
	for _, loc := range units {
		if d.inputs != nil && slices.ContainsFunc(before, func(b scriptKey) bool { return b.loc == loc }) {
			manifests = append(manifests, path.Join(a.dir, loc, "package.json"))
			continue
		}
		id, err := r.unit(loc)
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	if d.inputs == nil {
		return out, nil
	}
	files, err := a.inputs().declared(k.loc, d)
	if err != nil {
		return nil, err
	}
	files = sortedUnique(append(append(files, manifests...), path.Join(a.dir, "package.json")))
	return append(out, r.local(a.variant(k.loc)+":"+k.name, k.loc, files)), nil
}

// local adds a node with files of the project, for the package at loc.
func (r *runs) local(variant, loc string, files []string) graph.ID {
	id := graph.ID{Ecosystem: "npm", Kind: "source", Package: packageLabel(r.app.manifests[loc]), Variant: variant}
	local := &graph.Local{}
	for _, f := range files {
		local.Files = append(local.Files, r.app.localFile(f))
	}
	r.nodes[id] = graph.Node{ID: id, Action: local}
	return id
}

// project is the project's directory as a script finds it: sources, over them what the project's own install
// scripts changed, and what scripts that ran before left. It is one mount, so that programs can move,
// replace and remove whatever is in it.
func (r *runs) project(variant, loc string, sources []graph.ID, before []scriptKey) (graph.Input, error) {
	a := r.app
	merge := &graph.Merge{}
	add := func(from graph.ID, target string) {
		merge.Parts = append(merge.Parts, graph.Input{From: from, Target: target})
	}
	for _, id := range sources {
		add(id, "")
	}
	if a.own != (graph.ID{}) {
		add(a.own, a.top())
	}
	for _, b := range before {
		id, err := r.node(b)
		if err != nil {
			return graph.Input{}, err
		}
		add(id, a.top())
	}
	in := graph.Input{Target: ProjectDir, Writable: true}
	if len(merge.Parts) == 1 && merge.Parts[0].Target == "" {
		in.From = merge.Parts[0].From
		return in, nil
	}
	in.From = graph.ID{Ecosystem: "npm", Kind: "sources", Package: packageLabel(a.manifests[loc]), Variant: variant}
	r.nodes[in.From] = graph.Node{ID: in.From, Action: merge}
	return in, nil
}

// top is the app's directory in the project; empty is the project's own.
func (a *app) top() string {
	if a.dir == "." {
		return ""
	}
	return a.dir
}

// unit returns the node with the files of a package.
func (r *runs) unit(loc string) (graph.ID, error) {
	a := r.app
	id := graph.ID{Ecosystem: "npm", Kind: "source", Package: packageLabel(a.manifests[loc]), Variant: a.variant(loc)}
	if _, ok := r.nodes[id]; ok {
		return id, nil
	}
	files, err := a.inputs().unit(loc)
	if err != nil {
		return id, err
	}
	return r.local(a.variant(loc), loc, files), nil
}

// mounts collects mounts by target.
type mounts struct{ list map[string]graph.Input }

func (m *mounts) add(in graph.Input) { m.list[in.Target] = in }

func (m *mounts) sorted() []graph.Input {
	var out []graph.Input
	for _, target := range sortedKeys(m.list) {
		out = append(out, m.list[target])
	}
	return out
}

// moduleDirs lists the directories node_modules of the app and of its workspaces.
func (a *app) moduleDirs() []string {
	set := map[string]bool{}
	for loc := range a.tree.nodes {
		head, _, ok := strings.Cut("/"+loc+"/", "/node_modules/")
		if ok {
			set[path.Join(head, "node_modules")] = true
		}
	}
	var out []string
	for dir := range set {
		out = append(out, strings.TrimPrefix(dir, "/"))
	}
	sort.Strings(out)
	return out
}

// runEnv is the environment of a script: the same everywhere, and what the declaration names.
func (a *app) runEnv(d *declaration) []string {
	rt := a.opt.Runtime
	env := []string{
		"HOME=/root", "INIT_CWD=" + a.place(""), "LANG=C.UTF-8", "PATH=" + rt.path(), "TMPDIR=/tmp",
		"npm_config_cache=/tmp/npm-cache", "npm_config_local_prefix=" + a.place(""),
	}
	env = append(env, a.opt.Config.scriptEnv()...)
	seen := map[string]string{}
	for _, kv := range a.opt.Run.Env {
		name, _, _ := strings.Cut(kv, "=")
		for _, pattern := range d.env {
			if matchesName(pattern, name) {
				seen[name] = kv
			}
		}
	}
	for _, name := range sortedKeys(seen) {
		env = append(env, seen[name])
	}
	return env
}

// matchesName matches the name of a variable; a star stands for any characters.
func matchesName(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok
}
