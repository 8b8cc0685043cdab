package npm

// Install scripts as nodes: each package with scripts gets one that sees it and what it can require.

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

//go:embed scripts.cjs
var scriptRunner string

// Paths in a script's container.
const (
	scriptApp  = ProjectDir // stands for the app's directory, with node_modules
	scriptFile = "/mergefest-scripts.cjs"
	installJob = "/mergefest-install-"
)

// InstallCommand is how the command line of install scripts begins; a number and ".json" follow. OwnCommand
// is that of the project's own.
const (
	InstallCommand = "node " + scriptFile + " " + installJob
	OwnCommand     = "node " + scriptFile + " " + ownFile
)

// scriptJob is what scripts.cjs reads.
type scriptJob struct {
	Command  string       `json:"command"`
	Shell    string       `json:"shell,omitempty"`
	Steps    []scriptStep `json:"steps"`
	Remove   []string     `json:"remove,omitempty"`
	Hint     string       `json:"hint,omitempty"`
	Optional bool         `json:"optional,omitempty"`
	Changes  *jobChanges  `json:"changes,omitempty"`
}

// jobChanges asks for what the scripts change.
type jobChanges struct {
	Top    string   `json:"top"`
	Out    string   `json:"out"`
	Whole  []string `json:"whole"` // not below these, relative to Top
	Advice string   `json:"advice"`
}

// scriptStep runs events of one package, or links commands.
type scriptStep struct {
	Dir      string     `json:"dir,omitempty"`
	Events   []string   `json:"events,omitempty"`
	Explicit bool       `json:"explicit,omitempty"`
	Renew    bool       `json:"renew,omitempty"`
	Links    []stepLink `json:"links,omitempty"`
}

// stepLink is a link in .bin to a command that may be there once scripts ran.
type stepLink struct {
	Path   string `json:"path"`
	Target string `json:"target"`
	File   string `json:"file"`
}

// Runtime is where scripts run: a root file system with node, npm and sh in PATH, and compilers,
// make and Python where packages build native code.
type Runtime struct {
	// Node makes the root file system: an Image or an Import.
	Node graph.Node
	// Platform is what it runs on: "linux/amd64".
	Platform string
	// Path is the value of PATH; empty is the usual one.
	Path string
	// Version is that of Node.js, "20.11.1"; empty if it isn't known.
	Version string
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// path is the value of PATH.
func (rt *Runtime) path() string {
	if rt.Path != "" {
		return rt.Path
	}
	return defaultPath
}

// installEvents are those of a dependency, in npm's order.
var installEvents = []string{"preinstall", "install", "postinstall"}

// scripts plans the nodes of packages whose scripts run.
type scripts struct {
	app     *app
	fetched map[*node]graph.ID // what unpacks a package
	files   map[*node]*carried
	wanted  map[*node][]*node   // packages with a download, and what runs in them
	done    map[*node]*graph.ID // nil while in the making
	nodes   []graph.Node
	made    map[graph.ID]bool
}

// scripted lists the packages in node_modules that have install scripts, by location.
func (a *app) scripted() []*node {
	var out []*node
	for _, n := range a.tree.ordered() {
		if n.parent != nil && !n.isLink() && !n.external() && hasInstallScript(n.pkg) {
			out = append(out, n)
		}
	}
	return out
}

// wanted lists the packages whose scripts run, by the package in whose download they come: what is
// bundled deeper first, the package itself last.
func (a *app) wanted() map[*node][]*node {
	out := map[*node][]*node{}
	for _, n := range a.scripted() {
		if run, _ := a.decide(n); run && !a.seesProject(n) {
			c := a.tree.carrier(n)
			out[c] = append(out[c], n)
		}
	}
	for _, list := range out {
		sort.SliceStable(list, func(i, j int) bool { return list[i].depth() > list[j].depth() })
	}
	return out
}

// seesProject reports whether the app has the package's install scripts run with its own, on the whole
// project: some write files for the app, or read its configuration.
func (a *app) seesProject(n *node) bool { return contains(a.settings[""].project, n.packageName()) }

// node returns the node that runs n's scripts. Packages that n depends on run theirs first, except
// where they depend on n in turn: then n sees them as they were unpacked.
func (s *scripts) node(n *node) (graph.ID, error) {
	if id, ok := s.done[n]; ok {
		if id == nil {
			return s.fetched[n], nil
		}
		return *id, nil
	}
	s.done[n] = nil
	parts := []graph.ID{s.fetched[n]}
	seen := map[graph.ID]bool{s.fetched[n]: true}
	for _, dep := range closure(s.wanted[n]) {
		c := s.app.tree.carrier(dep)
		id, ok := s.fetched[c]
		if !ok || c == n {
			continue
		}
		if s.wanted[c] != nil {
			var err error
			if id, err = s.node(c); err != nil {
				return id, err
			}
		}
		if !seen[id] {
			seen[id] = true
			parts = append(parts, id)
		}
	}
	sort.SliceStable(parts[1:], func(i, j int) bool { return parts[1+i].Compare(parts[1+j]) < 0 })
	id, err := s.make(n, s.merge(n, parts))
	if err != nil {
		return id, err
	}
	s.done[n] = &id
	return id, nil
}

// closure lists what packages can require, directly and through what they require, by location.
func closure(of []*node) []*node {
	seen := map[*node]bool{}
	for _, n := range of {
		seen[n] = true
	}
	queue := append([]*node(nil), of...)
	var out []*node
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range at.edges {
			if e.to == nil || seen[e.to.target] {
				continue
			}
			seen[e.to.target] = true
			queue = append(queue, e.to.target)
			if !e.to.isLink() {
				out = append(out, e.to)
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].loc < out[j].loc })
	return out
}

// merge adds the node with all that a script sees.
func (s *scripts) merge(n *node, parts []graph.ID) graph.ID {
	m := &graph.Merge{}
	h := sha256.New()
	for _, p := range parts {
		m.Parts = append(m.Parts, graph.Input{From: p})
		fmt.Fprintln(h, p)
	}
	id := graph.ID{Ecosystem: "npm", Kind: "deps", Package: n.packageName(), Version: n.version(), Variant: hex.EncodeToString(h.Sum(nil)[:6])}
	s.add(graph.Node{ID: id, Action: m})
	return id
}

func (s *scripts) add(n graph.Node) {
	if !s.made[n.ID] {
		s.made[n.ID] = true
		s.nodes = append(s.nodes, n)
	}
}

// make adds the node that runs the scripts.
func (s *scripts) make(n *node, deps graph.ID) (graph.ID, error) {
	rt := s.app.opt.Runtime
	run := &graph.Run{
		Base:   &graph.Input{From: rt.Node.ID},
		Mounts: []graph.Input{{From: deps, Target: scriptApp, Writable: true}},
	}
	task := action.Task{Name: n.packageName() + "@" + n.version() + " install scripts"}
	run.Files = []action.File{
		{Path: scriptFile, Text: scriptRunner},
		{Path: path.Join(scriptApp, "package.json"), Text: "{\"private\": true}\n"},
	}
	for i, m := range s.wanted[n] {
		_, network := s.app.decide(m)
		run.Network = run.Network || network
		dir := path.Join(scriptApp, m.loc)
		job, err := json.Marshal(scriptJob{Command: "ci", Shell: s.app.opt.Config.shell(), Steps: []scriptStep{{Dir: dir, Events: installEvents, Renew: true}},
			Hint: s.app.scripts.hint(m.packageName(), network), Optional: m.flags.optional, Changes: s.beside(n)})
		if err != nil {
			return graph.ID{}, fmt.Errorf("%s: %w", m.id(), err)
		}
		file := fmt.Sprintf(installJob+"%d.json", i)
		run.Files = append(run.Files, action.File{Path: file, Text: string(job)})
		task.Commands = append(task.Commands, action.Command{Args: []string{"node", scriptFile, file}, Env: append(scriptEnv(m, rt), s.app.opt.Config.scriptEnv()...), Dir: dir})
	}
	run.Tasks = []action.Task{task}
	run.Outputs = []action.Output{{Path: n.loc, From: path.Join(scriptApp, n.loc), Optional: n.flags.optional}}
	for _, f := range s.files[n].files {
		run.Outputs = append(run.Outputs, action.Output{Path: f.Path, From: path.Join(scriptApp, f.Path), Optional: true})
	}
	useNetwork(run)
	doc, err := json.Marshal(run)
	if err != nil {
		return graph.ID{}, fmt.Errorf("%s: %w", n.id(), err)
	}
	sum := sha256.Sum256(append(doc, rt.Platform...))
	id := graph.ID{Ecosystem: "npm", Kind: "scripts", Package: n.packageName(), Version: n.version(), Variant: hex.EncodeToString(sum[:6])}
	s.add(graph.Node{ID: id, Platform: rt.Platform, Action: run})
	s.app.nodeOf[id] = n
	return id, nil
}

// beside keeps what n's scripts change in the node_modules around it: some make directories there that
// belong to no package. The package itself and its commands are outputs anyway.
func (s *scripts) beside(n *node) *jobChanges {
	head, _, _ := strings.Cut(n.loc, "node_modules/")
	top := path.Join(head, "node_modules")
	c := &jobChanges{
		Top: path.Join(scriptApp, top), Out: path.Join(action.OutDir, top), Whole: []string{strings.TrimPrefix(n.loc, top+"/")},
		Advice: "A merge of packages can't leave out files of other packages; leave the scripts of this one out.",
	}
	for _, f := range s.files[n].files {
		c.Whole = append(c.Whole, strings.TrimPrefix(f.Path, top+"/"))
	}
	return c
}

// scriptEnv is what npm tells a script, as far as it is the same on every machine.
func scriptEnv(n *node, rt *Runtime) []string {
	flag := func(b bool) string {
		if b {
			return "1"
		}
		return ""
	}
	f := n.flags
	return []string{
		"HOME=/root", "INIT_CWD=" + scriptApp, "LANG=C.UTF-8", "PATH=" + rt.path(), "SOURCE_DATE_EPOCH=0", "TMPDIR=/tmp",
		"npm_config_cache=/tmp/npm-cache", "npm_config_local_prefix=" + scriptApp,
		"npm_package_dev=" + flag(f.dev), "npm_package_dev_optional=" + flag(f.devOptional && !f.dev && !f.optional),
		"npm_package_integrity=" + n.integrity, "npm_package_optional=" + flag(f.optional), "npm_package_peer=" + flag(f.peer),
		"npm_package_resolved=" + n.resolved,
	}
}

// hint is what a failing script's user should know.
func (p ScriptPolicy) hint(name string, network bool) string {
	leave := "Its scripts can be left out: deny them in allowScripts of package.json."
	switch {
	case network:
		return leave
	case p.NetworkFlag == "":
		return "Install scripts have no network; allow it for this package by name if it needs one. " + leave
	}
	return fmt.Sprintf("Install scripts have no network; if it needs one, allow it with %s %s. %s", p.NetworkFlag, name, leave)
}
