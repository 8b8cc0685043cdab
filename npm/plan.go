package npm

// From a tree to nodes: the packages, the files that describe the set, and the merge.

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// work is what a plan is made of.
type work struct {
	fetches []*tarball
	wanted  map[*node][]*node // packages whose scripts run, by what brings them
	open    *unsettled
	own     *ownScripts
	chosen  []string // locations of the packages in which Options.Run runs
	set     []action.File
	lock    string // npm's record of the tree; empty if there is none
}

func (a *app) plan() (*Plan, error) {
	t := a.tree
	p := &Plan{Why: a.why, App: t.root.packageName(), Packages: len(t.nodes) - 1}
	if p.App == "" {
		p.App = path.Base(a.dir)
	}
	w, err := a.findWork(p)
	if err != nil {
		return nil, err
	}
	p.Warnings = append(append([]string(nil), a.warnings...), p.Warnings...)
	p.Scripts = append(a.listScripts(), w.own.listed...)
	p.Warnings = append(p.Warnings, a.scripts.unknown(append(fromGit(w.fetches), p.Scripts...))...)
	if err := a.addTree(p, w); err != nil {
		return nil, err
	}
	if w.chosen != nil && a.opt.Runtime != nil {
		if err := a.runScript(p, w.chosen); err != nil {
			return nil, err
		}
	}
	p.Nodes = distinct(p.Nodes)
	sort.Slice(p.Nodes, func(i, j int) bool { return p.Nodes[i].ID.Compare(p.Nodes[j].ID) < 0 })
	return p, nil
}

// findWork finds what is to be done, and everything that can't be.
func (a *app) findWork(p *Plan) (*work, error) {
	src := newSources(a.opt.Config, a.lock, a.opt.AllowMissingIntegrity)
	if a.opt.MissingIntegrityFlag != "" {
		src.allowFlag = " (" + a.opt.MissingIntegrityFlag + ")"
	}
	carriers, loose := a.carriers()
	if err := a.checkReviewed(); err != nil {
		return nil, err
	}
	w := &work{wanted: a.wanted()}
	w.open = a.unsettled(w.wanted)
	if a.opt.Run.Script != "" {
		var err *Error
		if w.chosen, err = a.chosen(p); err != nil {
			return nil, err
		}
	}
	var errs, more Errors
	w.own, errs = a.findOwn()
	if a.opt.Runtime == nil {
		errs = append(errs, a.noRuntime(w.wanted, w.own)...)
	} else if err := a.checkNode(p); err != nil {
		return nil, err
	}
	w.fetches, more = a.fetches(src, carriers, w)
	errs = append(append(errs, more...), a.noPacker(w.fetches)...)
	w.set, w.lock = a.setFiles(loose)
	p.Secrets = src.secrets
	return w, errs.err()
}

// addTree adds the nodes of the tree, and the root that delivers it.
func (a *app) addTree(p *Plan, w *work) error {
	merge := &graph.Merge{}
	if err := a.addPackages(p, merge, w); err != nil {
		return err
	}
	set := w.set
	if len(w.open.scripted) == 0 && w.lock != "" {
		set = append(set, action.File{Path: hiddenLockPath, Text: w.lock})
	}
	sort.Slice(set, func(i, j int) bool { return set[i].Path < set[j].Path })
	id := graph.ID{Ecosystem: "npm", Kind: "files", Package: p.App, Variant: a.variant("")}
	if len(set) > 0 {
		p.Nodes = append(p.Nodes, graph.Node{ID: id, Action: &graph.Write{Files: set}})
		merge.Parts = append(merge.Parts, graph.Input{From: id})
	}
	if w.own.runs() {
		var err error
		if merge, err = a.runOwn(p, w.own, merge); err != nil {
			return err
		}
	}
	id.Kind = "tree"
	p.Nodes = append(p.Nodes, graph.Node{ID: id, Action: merge})
	p.Tree = id
	p.Roots = []graph.Root{{Name: path.Join(a.dir, "node_modules"), From: id, Dest: a.dir}}
	return nil
}

// addPackages adds what fetches the packages, and what runs their scripts. A package whose scripts
// ran is taken from there alone, so that what they deleted is gone.
func (a *app) addPackages(p *Plan, merge *graph.Merge, w *work) error {
	s := &scripts{
		app: a, fetched: map[*node]graph.ID{}, files: map[*node]*carried{},
		wanted: w.wanted, done: map[*node]*graph.ID{}, made: map[graph.ID]bool{},
	}
	for _, f := range w.fetches {
		nodes, err := a.nodesOf(f)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if a.opt.Runtime == nil || n.ID != a.opt.Runtime.Node.ID {
				a.nodeOf[n.ID] = f.places[0].node
			}
			if !s.made[n.ID] {
				s.made[n.ID] = true
				p.Nodes = append(p.Nodes, n)
			}
		}
		for _, c := range f.places {
			s.fetched[c.node], s.files[c.node] = nodes[len(nodes)-1].ID, c
		}
	}
	parts := map[*node]graph.ID{}
	for _, f := range w.fetches {
		n := f.places[0].node
		id := s.fetched[n]
		if f.scripted {
			var err error
			if id, err = s.node(n); err != nil {
				return err
			}
		}
		parts[n] = id
		if !w.open.has(n) {
			merge.Parts = append(merge.Parts, graph.Input{From: id})
		}
	}
	if len(w.open.scripted) > 0 {
		ids, err := a.settle(p, w, parts)
		if err != nil {
			return err
		}
		for _, id := range ids {
			merge.Parts = append(merge.Parts, graph.Input{From: id})
		}
	}
	if len(s.nodes) > 0 {
		p.Nodes = append(append(p.Nodes, s.nodes...), a.opt.Runtime.Node)
	}
	return nil
}

// distinct drops repetitions of a node.
func distinct(nodes []graph.Node) []graph.Node {
	seen := map[graph.ID]bool{}
	out := nodes[:0]
	for _, n := range nodes {
		if !seen[n.ID] {
			seen[n.ID] = true
			out = append(out, n)
		}
	}
	return out
}

// noRuntime says what can't run without a runtime.
func (a *app) noRuntime(wanted map[*node][]*node, own *ownScripts) (errs Errors) {
	var names []string
	for _, s := range own.listed {
		if s.Run {
			names = append(names, s.Package)
		}
	}
	for _, loc := range own.deps {
		names = append(names, a.tree.nodes[loc].packageName())
	}
	for _, list := range wanted {
		for _, n := range list {
			names = append(names, n.packageName())
		}
	}
	if names != nil {
		errs = append(errs, &Error{Reason: NoRuntime, File: a.lock.doc.file,
			Msg:    "there is no Node.js to run the install scripts of " + strings.Join(sortedUnique(names), ", "),
			Advice: "install Node.js or name an image, or switch install scripts off"})
	}
	if s := a.opt.Run.Script; s != "" {
		errs = append(errs, &Error{Reason: NoRuntime, File: a.manifests[""].file,
			Msg: fmt.Sprintf("there is no Node.js to run the script %q", s), Advice: "install Node.js or name an image"})
	}
	return errs
}

// hiddenLockPath is where npm keeps its record of the tree.
const hiddenLockPath = "node_modules/.package-lock.json"

// setFiles are the files that belong to no package: links to directories of the project and the
// commands that those have. lock is the text of npm's record of the tree; empty if there is none.
func (a *app) setFiles(files []action.File) (set []action.File, lock string) {
	t := a.tree
	for _, n := range t.ordered() {
		if !n.isLink() || n.external() || t.carrier(n) != n {
			continue
		}
		files = append(files, action.File{Path: n.loc, Link: relPath(path.Dir(n.loc), n.link)})
	}
	if len(t.root.children) == 0 {
		return files, "" // npm leaves no record where there is no node_modules
	}
	return files, string(t.hiddenLock(a.lock, a.manifests[""], a.opt.Config.is("omit-lockfile-registry-resolved")))
}

// listScripts says which packages want to run something, and whether they may.
func (a *app) listScripts() []Script {
	var out []Script
	for _, n := range a.scripted() {
		s := Script{Package: n.packageName(), Version: n.version(), Location: n.loc}
		s.Run, s.Network = a.decide(n)
		out = append(out, s)
	}
	return out
}
