package npm

// The project's own install scripts, as npm ci runs them: first those of linked directories, event
// by event, then the app's. They run as one node on the whole tree, whose result is what they
// change, in node_modules and beside it.

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// Events of the project's own packages, in npm's order.
var (
	linkEvents = []string{"preinstall", "prepare", "install", "postinstall"}
	rootEvents = []string{"preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare"}
)

// ownFile is the job of the node.
const ownFile = "/mergefest-own.json"

// ownScripts are those of the project that may run.
type ownScripts struct {
	listed []Script            // all that there are
	deps   []string            // locations of packages whose scripts see the project
	links  []string            // locations of linked packages that run some, in npm's order
	root   bool                // the app itself runs some
	events map[string][]string // by location
	decls  []*declaration      // of all events that run
	// undeclared is set if an event has no declared inputs: then all files count.
	undeclared bool
	network    bool
	whole      bool // node_modules is taken as a whole
}

func (o *ownScripts) runs() bool { return o.root || o.links != nil || o.deps != nil }

// findOwn lists the scripts and applies the policy.
func (a *app) findOwn() (*ownScripts, Errors) {
	o := &ownScripts{events: map[string][]string{}}
	var errs Errors
	for _, name := range a.settings[""].project {
		if !slices.ContainsFunc(a.tree.ordered(), func(n *node) bool { return n.packageName() == name && hasInstallScript(n.pkg) }) {
			a.warnings = append(a.warnings, fmt.Sprintf("\"project\" of package.json names %q, and no package of that name has install scripts", name))
		}
	}
	for _, n := range a.scripted() {
		if !a.seesProject(n) {
			continue
		}
		if run, network := a.decide(n); run {
			o.deps = append(o.deps, n.loc)
			o.undeclared, o.network = true, o.network || network
		}
	}
	for _, loc := range append(a.linkedPackages(), "") {
		names := linkEvents
		if loc == "" {
			names = rootEvents
		}
		events := a.eventsOf(loc, names)
		doc := a.manifests[loc]
		if events == nil || doc == nil {
			continue
		}
		s := Script{Package: packageLabel(doc), Version: str(doc.top, "version"), Location: path.Clean(loc)}
		s.Run, s.Network = a.scripts.decideOwn(s.Package)
		if s.Run && a.linkDenied(loc) && !contains(a.opt.Scripts.Only, s.Package) {
			s.Run, s.Network = false, false
		}
		o.listed = append(o.listed, s)
		if !s.Run {
			continue
		}
		o.events[loc] = events
		o.network = o.network || s.Network
		if loc == "" {
			o.root = true
		} else {
			o.links = append(o.links, loc)
		}
		errs = append(errs, o.declare(a, loc)...)
	}
	return o, errs
}

// linkDenied reports whether the project denies a linked package its scripts.
func (a *app) linkDenied(loc string) bool {
	return loc != "" && slices.ContainsFunc(a.tree.ordered(), func(n *node) bool {
		return n.isLink() && n.link == loc && a.allowance.verdict(a.tree, n) == denied
	})
}

// declare collects what is declared for the events of one package.
func (o *ownScripts) declare(a *app, loc string) (errs Errors) {
	for _, e := range o.events[loc] {
		d := a.declaration(loc, e)
		o.decls = append(o.decls, d)
		o.network = o.network || d.network
		o.undeclared = o.undeclared || d.inputs == nil
		switch {
		case slices.Equal(d.outputs, []string{"node_modules"}) && d.removed == nil:
			o.whole = true
		case len(d.outputs)+len(d.removed) > 0:
			errs = append(errs, d.error("outputs", &Error{Reason: BadDeclaration, Msg: "an install script has no outputs but what it changes",
				Advice: "leave them out, or write [\"node_modules\"] if it deletes files there"}))
		}
		if d.dependsOn != nil {
			errs = append(errs, d.error("dependsOn", &Error{Reason: BadDeclaration, Msg: "npm decides on the order of install scripts", Advice: "leave it out"}))
		}
	}
	return errs
}

// decideOwn applies the policy to one of the project's own packages.
func (s ScriptPolicy) decideOwn(name string) (run, network bool) {
	run, network = s.decide(name)
	run = run || !s.None && contains(s.Only, ".")
	return run, run && (network || contains(s.Network, "."))
}

// linkedPackages lists the directories that links lead to, in the order in which npm builds them.
func (a *app) linkedPackages() []string {
	var links []*node
	for _, n := range a.tree.ordered() {
		if n.isLink() && n.parent != nil && n.target != a.tree.root && !outside(n.link) {
			links = append(links, n)
		}
	}
	sort.SliceStable(links, func(i, j int) bool {
		if di, dj := links[i].depth(), links[j].depth(); di != dj {
			return di < dj
		}
		return localeCompare(links[i].loc, links[j].loc) < 0
	})
	var out []string
	for _, n := range links {
		if !contains(out, n.link) {
			out = append(out, n.link)
		}
	}
	return out
}

// eventsOf lists the events for which a package has a script; one with a binding.gyp is built.
func (a *app) eventsOf(loc string, names []string) []string {
	doc := a.manifests[loc]
	if doc == nil {
		return nil
	}
	gyp := doc.top["gypfile"] != false && a.script(loc, "preinstall") == "" && a.exists(path.Join(loc, "binding.gyp"))
	var out []string
	for _, e := range names {
		if a.script(loc, e) != "" || gyp && e == "install" {
			out = append(out, e)
		}
	}
	return out
}

// steps puts the events into npm's order.
func (a *app) ownSteps(o *ownScripts) []scriptStep {
	var steps []scriptStep
	for _, loc := range o.deps {
		steps = append(steps, scriptStep{Dir: a.place(loc), Events: installEvents})
	}
	for _, e := range linkEvents {
		for _, loc := range o.links {
			if contains(o.events[loc], e) {
				steps = append(steps, scriptStep{Dir: a.place(loc), Events: []string{e}})
			}
		}
		if e == "prepare" && len(a.late) > 0 {
			var links []stepLink
			for _, b := range a.late {
				links = append(links, stepLink{Path: a.place(b.path), Target: b.target, File: a.place(path.Join(b.node.target.loc, strings.TrimPrefix(b.file, b.node.loc+"/")))})
			}
			steps = append(steps, scriptStep{Links: links})
		}
	}
	if o.root {
		steps = append(steps, scriptStep{Dir: a.place(""), Events: o.events[""]})
	}
	return steps
}

// runOwn adds the node that runs them on the packages, and returns the merge of both.
func (a *app) runOwn(p *Plan, o *ownScripts, packages *graph.Merge) (*graph.Merge, error) {
	id := graph.ID{Ecosystem: "npm", Kind: "packages", Package: p.App, Variant: a.variant("")}
	own := graph.ID{Ecosystem: "npm", Kind: "install", Package: p.App, Variant: a.variant("")}
	p.Nodes = append(p.Nodes, graph.Node{ID: id, Action: packages}, a.opt.Runtime.Node)
	r := newRuns(a, id)
	m := &mounts{list: map[string]graph.Input{}}
	sources, err := r.ownSources(o)
	if err != nil {
		return nil, err
	}
	project, err := r.project(a.variant("")+":install", "", sources, nil)
	if err != nil {
		return nil, err
	}
	m.add(project)
	run := &graph.Run{Base: &graph.Input{From: a.opt.Runtime.Node.ID}, Network: o.network}
	for _, dir := range a.moduleDirs() {
		m.add(graph.Input{From: id, Path: dir, Target: a.place(dir), Writable: true})
	}
	run.Mounts = m.sorted()
	whole := []string{}
	if o.whole {
		whole = a.moduleDirs()
	}
	first := "postinstall"
	if o.decls != nil {
		first = o.decls[len(o.decls)-1].name // the app's own come last
	}
	job := scriptJob{Command: "ci", Shell: a.opt.Config.shell(), Steps: a.ownSteps(o), Changes: &jobChanges{Top: a.place(""), Out: action.OutDir, Whole: whole,
		Advice: fmt.Sprintf(`A merge of packages can't leave files out. Where they are in node_modules, declare {"mergefest": {"scripts": {%q: {"outputs": ["node_modules"]}}}} in package.json: then all of it is taken as it is afterwards.`, first)}}
	if !o.network {
		job.Hint = "Install scripts have no network; allow it for the project's own by name if they need one."
		if flag := a.scripts.NetworkFlag; flag != "" {
			job.Hint = fmt.Sprintf("Install scripts have no network; if the project's own need one, allow it with %s . (a dot).", flag)
		}
	}
	doc, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	env := &declaration{}
	for _, d := range o.decls {
		env.env = append(env.env, d.env...)
	}
	run.Files = []action.File{{Path: scriptFile, Text: scriptRunner}, {Path: ownFile, Text: string(doc)}}
	run.Tasks = []action.Task{{Name: p.App + " install scripts", Commands: []action.Command{{
		Args: []string{"node", scriptFile, ownFile}, Dir: a.place(""), Env: a.runEnv(env)}}}}
	useNetwork(run)
	for _, dir := range whole {
		run.Outputs = append(run.Outputs, action.Output{Path: dir, From: a.place(dir)})
	}
	r.nodes[own] = graph.Node{ID: own, Platform: a.opt.Runtime.Platform, Action: run}
	p.Nodes = append(p.Nodes, r.all()...)
	a.own = own
	if o.whole {
		return &graph.Merge{Parts: []graph.Input{{From: own}}}, nil
	}
	return &graph.Merge{Parts: []graph.Input{{From: id}, {From: own}}}, nil
}

// ownSources lists the files that the scripts read: all of the project, or what is declared, and the
// manifests.
func (r *runs) ownSources(o *ownScripts) (sources []graph.ID, err error) {
	a := r.app
	if o.undeclared {
		for _, loc := range append([]string{""}, a.workspaceDirs()...) {
			id, err := r.unit(loc)
			if err != nil {
				return nil, err
			}
			sources = append(sources, id)
		}
		return sources, nil
	}
	in := a.inputs()
	set := map[string]bool{}
	for _, loc := range sortedKeys(a.manifests) {
		set[path.Join(a.dir, loc, "package.json")] = true
	}
	for loc, events := range o.events {
		for _, e := range events {
			files, err := in.declared(loc, a.declaration(loc, e))
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				set[f] = true
			}
		}
	}
	return []graph.ID{r.local(a.variant("")+":install", "", sortedKeys(set))}, nil
}
