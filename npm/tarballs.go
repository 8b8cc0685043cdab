package npm

// Tarballs as nodes: one fetch for each, with the places where it is unpacked.

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"

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

// fetches groups the places of each tarball, in the order in which they are merged.
func (a *app) fetches(src *sources, carriers map[*node]*carried, w *work) ([]*tarball, Errors) {
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
		if err == nil {
			err = a.prepares(src, n, &s)
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
		if w.wanted[n] != nil {
			f.scripted = true
		}
		if f.scripted || w.open.has(n) { // no other place shares its fate
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
