package npm

// Tarballs that are files of the project: "file:vendor/lib-1.0.0.tgz".

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"path"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// unpackDoc is where a node finds the description of what it unpacks.
const unpackDoc = "/mergefest-unpack.json"

// projectFile is the path in the project of a file that the lockfile names relative to the app.
func (a *app) projectFile(n *node, file string) (string, *Error) {
	p := path.Join(a.dir, file)
	if path.IsAbs(file) || !fs.ValidPath(p) {
		return "", &Error{Reason: UnsafePath, Package: n.id(), Msg: "its file " + file + " lies outside the project",
			Advice: "put it into the project, or name a directory above both as the project's"}
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
	act := f.fetch()
	for i := range act.Items {
		act.Items[i].URLs = []string{(&url.URL{Scheme: "file", Path: target}).String()}
	}
	doc, err := json.Marshal(act)
	if err != nil {
		return nil, fmt.Errorf("%s@%s: %w", f.name, f.version, err)
	}
	run := &graph.Run{
		Run: action.Run{
			Files: []action.File{{Path: unpackDoc, Text: string(doc)}},
			Tasks: []action.Task{{
				Name:     "unpack " + f.src.file,
				Commands: []action.Command{{Args: []string{"@unpack", unpackDoc}}},
			}},
		},
		Mounts: []graph.Input{{From: local, Path: name, Target: target}},
	}
	for _, c := range f.places {
		run.Outputs = append(run.Outputs, action.Output{Path: c.node.loc})
		for _, link := range c.files {
			run.Outputs = append(run.Outputs, action.Output{Path: link.Path, Optional: true})
		}
	}
	variant, err := digest(run)
	if err != nil {
		return nil, fmt.Errorf("%s@%s: %w", f.name, f.version, err)
	}
	id := graph.ID{Ecosystem: "npm", Kind: "unpack", Package: f.name, Version: f.version, Variant: variant}
	files := []graph.LocalFile{{Path: name, Source: f.src.file}}
	return []graph.Node{{ID: local, Action: &graph.Local{Files: files}}, {ID: id, Action: run}}, nil
}
