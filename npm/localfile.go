package npm

// Tarballs that are files of the project: "file:vendor/lib-1.0.0.tgz".

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// packs reports whether what comes has to be packed first.
func (s source) packs() bool { return s.dir != "" || s.git != nil }

// key tells sources apart.
func (s source) key() string {
	git := ""
	if s.git != nil {
		git = s.git.URL + "#" + s.git.Commit
	}
	return fmt.Sprintf("%q", []any{s.urls, s.file, s.dir, git, s.gitPath, s.integrity, s.auth})
}

// allowed applies npm's settings of which kinds of sources are allowed.
func (a *app) allowed(n *node, s source) *Error {
	kind := "remote"
	switch {
	case s.git != nil:
		kind = "git"
	case s.dir != "":
		kind = "directory"
	case s.file != "":
		kind = "file"
	case n.resolved == "" || a.tree.fromRegistry(n):
		return nil
	}
	v, ok := a.opt.Config.get("allow-" + kind)
	direct := func() bool {
		for _, e := range n.in {
			if e.from == a.tree.root || a.tree.isWorkspace(e.from) {
				return true
			}
		}
		return false
	}
	if !ok || v.value != "none" && (v.value != "root" || direct()) {
		return nil
	}
	return &Error{Reason: BadConfig, Package: n.id(), Msg: fmt.Sprintf("%s: allow-%s=%s doesn't allow it: it comes from %s", v.source, kind, v.value, redact(n.resolved)),
		Advice: "change the setting, or do without the dependency"}
}

// noPacker says what can't be packed without a runtime.
func (a *app) noPacker(fetches []*tarball) Errors {
	var names []string
	for _, f := range fetches {
		if f.src.packs() {
			names = append(names, f.name)
		}
	}
	if names == nil || a.opt.Runtime != nil {
		return nil
	}
	return Errors{{Reason: NoRuntime, File: a.lock.doc.file,
		Msg:    "there is no Node.js to pack what comes from git or directories: " + strings.Join(sortedUnique(names), ", "),
		Advice: "install Node.js or name an image"}}
}

func outsideProject(n *node, what string) *Error {
	return &Error{Reason: UnsafePath, Package: n.id(), Msg: what + " lies outside the project",
		Advice: "put it into the project, or name a directory above both as the project's"}
}

// projectFile is the path in the project of a file that the lockfile names relative to the app.
func (a *app) projectFile(n *node, file string) (string, *Error) {
	p := path.Join(a.dir, file)
	if path.IsAbs(file) || !fs.ValidPath(p) {
		return "", outsideProject(n, "its file "+file)
	}
	info, err := fs.Stat(a.fsys, p)
	if err != nil {
		return "", &Error{Reason: LocalPackage, Package: n.id(), Err: err, Msg: "cannot read its file",
			Advice: "restore it, or run npm install without the dependency"}
	}
	if !info.Mode().IsRegular() {
		return "", &Error{Reason: LocalPackage, Package: n.id(), Msg: p + " is not a file"}
	}
	return p, nil
}

// unpackFile makes the nodes for a file of the project: one that takes it, and one that unpacks it.
// The second has the name that the file has in a container, not its path: it runs again only if the
// content changes.
func (f *tarball) unpackFile() ([]graph.Node, error) {
	local := graph.ID{Ecosystem: "npm", Kind: "local", Package: f.src.file}
	name := path.Base(f.src.file)
	target := path.Join(action.InDir, name)
	run, err := f.unpackRun(target)
	if err != nil {
		return nil, err
	}
	run.Mounts = []graph.Input{{From: local, Path: name, Target: target}}
	variant, err := digest(run)
	if err != nil {
		return nil, fmt.Errorf("%s@%s: %w", f.name, f.version, err)
	}
	id := graph.ID{Ecosystem: "npm", Kind: "unpack", Package: f.name, Version: f.version, Variant: variant}
	files := []graph.LocalFile{{Path: name, Source: f.src.file}}
	return []graph.Node{{ID: local, Action: &graph.Local{Files: files}}, {ID: id, Action: run}}, nil
}

// unpackRun unpacks a file of the container at the places of the tarball.
func (f *tarball) unpackRun(file string) (*graph.Run, error) {
	act := f.fetch()
	for i := range act.Items {
		act.Items[i].URLs = []string{(&url.URL{Scheme: "file", Path: file}).String()}
	}
	run, err := graph.UnpackRun(f.src.file, act)
	if err != nil {
		return nil, fmt.Errorf("%s@%s: %w", f.name, f.version, err)
	}
	for _, c := range f.places {
		run.Outputs = append(run.Outputs, action.Output{Path: c.node.loc})
		for _, link := range c.files {
			run.Outputs = append(run.Outputs, action.Output{Path: link.Path, Optional: true})
		}
	}
	return run, nil
}
