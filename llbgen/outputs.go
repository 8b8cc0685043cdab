// What an action can leave in its output, as far as the graph says so.

package llbgen

import (
	"path"
	"strings"

	"github.com/mergefest/mergefest/graph"
)

// outputs returns paths such that everything in a node's output is at or below one of them; an empty
// path is "anything". A run leaves nothing but what it declares.
func (l *lowerer) outputs(id graph.ID) []string {
	if paths, ok := l.made[id]; ok {
		return paths
	}
	n, _ := l.g.Node(id)
	var paths []string
	switch a := n.Action.(type) {
	case *graph.Fetch:
		for _, it := range a.Items {
			for _, d := range it.Dests {
				paths = append(paths, under("", d))
			}
		}
		for _, f := range a.Files {
			paths = append(paths, f.Path)
		}
	case *graph.Run:
		for _, o := range a.Outputs {
			paths = append(paths, o.Path)
		}
	case *graph.Write:
		for _, f := range a.Files {
			paths = append(paths, f.Path)
		}
	case *graph.Local:
		for _, f := range a.Files {
			paths = append(paths, f.Path)
		}
	case *graph.Merge:
		for _, in := range a.Parts {
			paths = append(paths, l.partOutputs(in)...)
		}
	default:
		paths = []string{""}
	}
	l.made[id] = paths
	return paths
}

func (l *lowerer) partOutputs(in graph.Input) []string {
	if in.Path == "" && in.Target == "" {
		return l.outputs(in.From)
	}
	var paths []string
	for _, p := range l.outputs(in.From) {
		switch {
		case isBelow(p, in.Path):
			paths = append(paths, under(in.Target, strings.TrimPrefix(strings.TrimPrefix(p, in.Path), "/")))
		case isBelow(in.Path, p):
			paths = append(paths, in.Target)
		}
	}
	return paths
}

// within reports whether everything in a node's output is at or below a path.
func (l *lowerer) within(id graph.ID, p string) bool {
	for _, out := range l.outputs(id) {
		if !isBelow(out, p) {
			return false
		}
	}
	return true
}

// isBelow reports whether p is dir or below it; both are relative, and empty is everything.
func isBelow(p, dir string) bool {
	return dir == "" || p == dir || strings.HasPrefix(p, dir+"/")
}

// stripSuffix removes a path from the end of another one.
func stripSuffix(p, suffix string) (dir string, ok bool) {
	if p == suffix {
		return "", true
	}
	dir, ok = strings.CutSuffix(p, "/"+suffix)
	return path.Clean(dir), ok
}
