package npm

// From a tree to nodes: one fetch for each tarball, the files that describe the set, and the merge.

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// npm unpacks with these permissions: all may read, the owner may write, and directories and
// executables keep their execute bits, under the usual umask of 022.
const (
	setMode   = 0o644
	clearMode = 0o022
)

// carried is what one tarball brings to one place.
type carried struct {
	node   *node
	exec   []string // files that a link in .bin makes executable, relative to the package
	files  []action.File
	spares []spare
}

// tarball is one node in the making: a tarball and its places.
type tarball struct {
	name, version string
	src           source
	places        []*carried
	scripted      bool // its scripts run: then it has one place
}

func (a *app) plan() (*Plan, error) {
	t := a.tree
	p := &Plan{App: t.root.packageName(), Packages: len(t.nodes) - 1}
	if p.App == "" {
		p.App = path.Base(a.dir)
	}
	src := newSources(a.opt.Config, a.lock, a.opt.AllowMissingIntegrity)
	if a.opt.MissingIntegrityFlag != "" {
		src.allowFlag = " (" + a.opt.MissingIntegrityFlag + ")"
	}
	carriers, loose := a.carriers()
	var errs Errors
	if err := a.checkReviewed(); err != nil {
		return nil, err
	}
	wanted := a.wanted()
	open := a.unsettled(wanted)
	var chosen []string
	if a.opt.Run.Script != "" {
		var err *Error
		if chosen, err = a.chosen(p); err != nil {
			return nil, err
		}
	}
	own, more := a.findOwn()
	errs = append(errs, more...)
	if a.opt.Runtime == nil {
		errs = append(errs, a.noRuntime(wanted, own)...)
	} else if err := a.checkNode(p); err != nil {
		return nil, err
	}
	fetches, more := a.fetches(src, carriers, wanted, open)
	errs = append(append(errs, more...), a.noPacker(fetches)...)
	set, lock := a.setFiles(loose)
	if errs != nil {
		return nil, errs.err()
	}
	p.Secrets = src.secrets
	p.Warnings = append(append([]string(nil), a.warnings...), p.Warnings...)
	p.Scripts = append(a.listScripts(), own.listed...)
	p.Warnings = append(p.Warnings, a.scripts.unknown(p.Scripts)...)

	merge := &graph.Merge{}
	if err := a.addPackages(p, merge, fetches, wanted, open, lock); err != nil {
		return nil, err
	}
	if len(open.scripted) == 0 && lock != "" {
		set = append(set, action.File{Path: hiddenLockPath, Text: lock})
	}
	sort.Slice(set, func(i, j int) bool { return set[i].Path < set[j].Path })
	id := graph.ID{Ecosystem: "npm", Kind: "files", Package: p.App, Variant: a.variant("")}
	if len(set) > 0 {
		p.Nodes = append(p.Nodes, graph.Node{ID: id, Action: &graph.Write{Files: set}})
		merge.Parts = append(merge.Parts, graph.Input{From: id})
	}
	id.Kind = "tree"
	if own.runs() {
		var err error
		if merge, err = a.runOwn(p, own, merge); err != nil {
			return nil, err
		}
	}
	p.Nodes = append(p.Nodes, graph.Node{ID: id, Action: merge})
	p.Tree = id
	p.Roots = []graph.Root{{Name: path.Join(a.dir, "node_modules"), From: id, Dest: a.dir}}
	if chosen != nil && a.opt.Runtime != nil {
		if err := a.runScript(p, chosen); err != nil {
			return nil, err
		}
	}
	p.Nodes = distinct(p.Nodes)
	sort.Slice(p.Nodes, func(i, j int) bool { return p.Nodes[i].ID.Compare(p.Nodes[j].ID) < 0 })
	return p, nil
}

// addPackages adds what fetches the packages, and what runs their scripts. A package whose scripts
// ran is taken from there alone, so that what they deleted is gone.
func (a *app) addPackages(p *Plan, merge *graph.Merge, fetches []*tarball, wanted map[*node][]*node, open *unsettled, lock string) error {
	s := &scripts{
		app: a, fetched: map[*node]graph.ID{}, files: map[*node]*carried{},
		wanted: wanted, done: map[*node]*graph.ID{}, made: map[graph.ID]bool{},
	}
	for _, f := range fetches {
		nodes, err := a.nodesOf(f)
		if err != nil {
			return err
		}
		for _, n := range nodes {
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
	for _, f := range fetches {
		n := f.places[0].node
		id := s.fetched[n]
		if f.scripted {
			var err error
			if id, err = s.node(n); err != nil {
				return err
			}
		}
		parts[n] = id
		if !open.has(n) {
			merge.Parts = append(merge.Parts, graph.Input{From: id})
		}
	}
	if len(open.scripted) > 0 {
		ids, err := a.settle(p, open, parts, lock)
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

// fetches groups the places of each tarball, in the order in which they are merged.
func (a *app) fetches(src *sources, carriers map[*node]*carried, wanted map[*node][]*node, open *unsettled) ([]*tarball, Errors) {
	var errs Errors
	a.addSpares(src, carriers)
	groups := map[string]*tarball{}
	var order []*tarball
	for _, n := range a.tree.ordered() {
		c := carriers[n]
		if c == nil {
			continue
		}
		s, err := src.find(n)
		switch {
		case err != nil:
		case s.file != "":
			s.file, err = a.projectFile(n, s.file)
		case s.dir != "":
			s.dir, err = a.projectDir(n, s.dir)
		}
		if err == nil {
			err = a.allowed(n, s)
		}
		if err != nil {
			if err.File == "" {
				err = a.lock.doc.errorIn(err, "packages", n.loc)
			}
			errs = append(errs, err)
			if err.Reason == NoRegistry || err.Reason == BadConfig {
				return nil, errs // the same holds for all others
			}
			continue
		}
		f := &tarball{name: n.packageName(), version: n.version(), src: s}
		key := fmt.Sprintf("%q", []any{f.name, f.version, s.key()})
		if wanted[n] != nil {
			f.scripted = true
		}
		if f.scripted || open.has(n) { // no other place shares its fate
			key += n.loc
		}
		if g := groups[key]; g != nil {
			f = g
		} else {
			groups[key] = f
			order = append(order, f)
		}
		f.places = append(f.places, c)
	}
	return mergeOrder(order), a.shorten(errs)
}

// shorten keeps the first few packages without integrity: where one lacks it, all often do.
func (a *app) shorten(errs Errors) Errors {
	const most = 3
	var out Errors
	count := 0
	for _, e := range errs {
		if e.Reason == MissingIntegrity {
			if count++; count > most {
				continue
			}
		}
		out = append(out, e)
	}
	if count > most {
		last := Error{Reason: MissingIntegrity, Msg: fmt.Sprintf("%d more packages have no integrity", count-most)}
		for _, e := range out {
			if e.Reason == MissingIntegrity {
				last.Advice, e.Advice = e.Advice, ""
				last.File, last.Line, last.Col = e.File, e.Line, e.Col
			}
		}
		out = append(out, &last)
	}
	return out
}

// depth is that of the deepest place.
func (f *tarball) depth() int {
	d := 0
	for _, c := range f.places {
		d = max(d, c.node.depth())
	}
	return d
}

// nodesOf makes the node that unpacks the tarball, which comes last, and what it needs. Its ID has a
// digest of the action: nodes of several apps that do the same are the same.
func (a *app) nodesOf(f *tarball) ([]graph.Node, error) {
	switch {
	case f.src.file != "":
		return f.unpackFile()
	case f.src.packs():
		return a.pack(f)
	}
	act := f.fetch()
	variant, err := digest(act)
	if err != nil {
		return nil, fmt.Errorf("%s@%s: %w", f.name, f.version, err)
	}
	id := graph.ID{Ecosystem: "npm", Kind: "fetch", Package: f.name, Version: f.version, Variant: variant}
	return []graph.Node{{ID: id, Action: &graph.Fetch{Fetch: act}}}, nil
}

// digest tells actions apart in IDs.
func digest(act any) (string, error) {
	doc, err := json.Marshal(act)
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:6]), err
}

// fetch says how the tarball is unpacked at its places, with the links to its commands.
func (f *tarball) fetch() action.Fetch {
	item := action.Item{
		Name: f.name + "@" + f.version, URLs: f.src.urls, Integrity: f.src.integrity,
		Unverified: f.src.unverified, Auth: f.src.auth,
	}
	act := action.Fetch{}
	byExec := map[string]int{} // places with the same executables share a download
	for _, c := range f.places {
		exec := sortedUnique(c.exec)
		linked := len(c.files) > 0 // npm mends the first line of what it links to
		key := fmt.Sprintf("%q %v", exec, linked)
		i, ok := byExec[key]
		if !ok {
			i = len(act.Items)
			byExec[key] = i
			it := item
			it.Unpack = unpacking(exec, linked)
			act.Items = append(act.Items, it)
		}
		act.Items[i].Dests = append(act.Items[i].Dests, c.node.loc)
		act.Files = append(act.Files, c.files...)
	}
	for _, c := range f.places {
		act.Items = append(act.Items, c.items()...)
	}
	sort.Slice(act.Files, func(i, j int) bool { return act.Files[i].Path < act.Files[j].Path })
	return act
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
	for _, n := range a.tree.ordered() {
		if n.parent == nil || n.isLink() || n.external() || !hasInstallScript(n.pkg) {
			continue
		}
		s := Script{Package: n.packageName(), Version: n.version(), Location: n.loc}
		s.Run, s.Network = a.decide(n)
		out = append(out, s)
	}
	return out
}
