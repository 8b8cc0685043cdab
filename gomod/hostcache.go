// Modules that no proxy serves: they come from the host's module cache, where the go command puts
// them when it downloads from version control (GOPROXY=direct, GOPRIVATE) or from a directory.
package gomod

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// ModCacheRoot is the name of the host's module cache as a root of Local nodes.
const ModCacheRoot = "GOMODCACHE"

// hostPrefix is where the files of the host's module cache are in a container, as a URL.
const hostPrefix = "file://" + action.InDir + "/"

// fromHost makes the nodes that do to files of the host's module cache what act, whose URLs begin
// with hostPrefix, says. dir is the directory of the files in the cache, and why is why they can't
// be downloaded.
func (f *Fetcher) fromHost(id graph.ID, act action.Fetch, dir string, why error) ([]graph.Node, error) {
	local := &graph.Local{Root: ModCacheRoot}
	var outputs []action.Output
	for i := range act.Items {
		it := &act.Items[i]
		it.Auth, it.AuthHost, it.AnyFailure = "", "", nil
		name := path.Base(it.URLs[0])
		source := dir + name
		if _, err := fs.Stat(f.env.ModCache, source); err != nil {
			return nil, fmt.Errorf("%w; nor does the host's module cache have it, where it would be taken from: go mod download %s", why, id.Package)
		}
		local.Files = append(local.Files, graph.LocalFile{Path: name, Source: source, Mode: 0o644})
		for _, d := range it.Dests {
			outputs = append(outputs, action.Output{Path: d})
		}
	}
	for _, file := range act.Files {
		outputs = append(outputs, action.Output{Path: file.Path})
	}
	run, err := graph.UnpackRun(id.Package, act)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	source := id
	source.Kind = "host" + id.Kind
	run.Mounts = []graph.Input{{From: source, Path: ".", Target: action.InDir}}
	run.Outputs = outputs
	return []graph.Node{{ID: source, Action: local}, {ID: id, Action: run}}, nil
}
