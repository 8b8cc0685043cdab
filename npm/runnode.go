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
	if err := r.mountSources(m, k, d, before); err != nil {
		return graph.ID{}, err
	}
	r.addInstalled(m, k)
	needed := append(a.workspacesOf(k.loc), k.loc)
	for _, dir := range a.moduleDirs() {
		if up := path.Dir(dir); up == "." || contains(needed, up) || k.loc == "" {
			m.add(graph.Input{From: r.tree, Path: dir, Target: a.place(dir), Writable: true})
		}
	}
	for _, b := range before {
		if err := r.mountOutputs(m, b); err != nil {
			return graph.ID{}, err
		}
	}
	run.Mounts = m.sorted()
	job := scriptJob{Command: "run", Steps: []scriptStep{{Dir: a.place(k.loc), Events: []string{k.name}, Explicit: true}}}
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

// mountSources mounts the files that a script reads: those of its package, of the app around it, and
// of the workspaces that it depends on. Where inputs are declared they take the place of the first
// two, and a workspace whose script ran before counts by what that left.
func (r *runs) mountSources(m *mounts, k scriptKey, d *declaration, before []scriptKey) error {
	a := r.app
	add := func(id graph.ID, at string) { m.add(graph.Input{From: id, Target: at, Writable: true}) }
	units := a.workspacesOf(k.loc)
	if d.inputs == nil {
		units = sortedUnique(append(units, "", k.loc))
	}
	var manifests []string
	for _, loc := range units {
		if d.inputs != nil && slices.ContainsFunc(before, func(b scriptKey) bool { return b.loc == loc }) {
			manifests = append(manifests, path.Join(a.dir, loc, "package.json"))
			continue
		}
		id, err := r.unit(loc)
		if err != nil {
			return err
		}
		add(id, a.place(loc))
	}
	if d.inputs == nil {
		return nil
	}
	in := a.inputs()
	files, err := in.declared(k.loc, d)
	if err != nil {
		return err
	}
	files = sortedUnique(append(append(files, manifests...), path.Join(a.dir, "package.json")))
	id := graph.ID{Ecosystem: "npm", Kind: "source", Package: packageLabel(a.manifests[k.loc]), Variant: a.variant(k.loc) + ":" + k.name}
	local := &graph.Local{}
	for _, f := range files {
		local.Files = append(local.Files, a.localFile(f, ""))
	}
	r.nodes[id] = graph.Node{ID: id, Action: local}
	add(id, ProjectDir)
	return nil
}

// addInstalled lays what the project's own install scripts left over the files that are mounted. Then
// all are one mount.
func (r *runs) addInstalled(m *mounts, k scriptKey) {
	a := r.app
	if a.own == (graph.ID{}) {
		return
	}
	merge := &graph.Merge{}
	for _, in := range m.sorted() {
		in.Target, in.Writable = strings.TrimPrefix(strings.TrimPrefix(in.Target, ProjectDir), "/"), false
		merge.Parts = append(merge.Parts, in)
	}
	target := a.dir
	if target == "." {
		target = ""
	}
	merge.Parts = append(merge.Parts, graph.Input{From: a.own, Target: target})
	id := graph.ID{Ecosystem: "npm", Kind: "sources", Package: packageLabel(a.manifests[k.loc]), Variant: a.variant(k.loc) + ":" + k.name}
	r.nodes[id] = graph.Node{ID: id, Action: merge}
	m.list = map[string]graph.Input{ProjectDir: {From: id, Target: ProjectDir, Writable: true}}
}

// unit returns the node with the files of a package.
func (r *runs) unit(loc string) (graph.ID, error) {
	a := r.app
	top := path.Join(a.dir, loc)
	id := graph.ID{Ecosystem: "npm", Kind: "source", Package: packageLabel(a.manifests[loc]), Variant: a.variant(loc)}
	if _, ok := r.nodes[id]; ok {
		return id, nil
	}
	in := a.inputs()
	files, err := in.unit(loc)
	if err != nil {
		return id, err
	}
	local := &graph.Local{}
	for _, f := range files {
		rel := f
		if top != "." {
			rel = strings.TrimPrefix(f, top+"/")
		}
		local.Files = append(local.Files, a.localFile(rel, f))
	}
	r.nodes[id] = graph.Node{ID: id, Action: local}
	return id, nil
}

// mountOutputs mounts what another script left where it left it.
func (r *runs) mountOutputs(m *mounts, k scriptKey) error {
	id, err := r.node(k)
	if err != nil {
		return err
	}
	kept, _, err := r.outputs(k, r.app.declaration(k.loc, k.name))
	if err != nil {
		return err
	}
	for _, o := range kept {
		m.add(graph.Input{From: id, Path: o, Target: r.app.place(o)})
	}
	return nil
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
