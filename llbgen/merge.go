// Merge: a MergeOp, or copies.

package llbgen

import (
	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client/llb"
)

func (l *lowerer) merge(n graph.Node, a *graph.Merge) (result, error) {
	if l.o.NoMerge && len(a.Parts) > 1 {
		st := l.copyAll(l.sources(a.Parts), describe(n.ID, ""))
		return result{state: st}, l.own(n.ID, st)
	}
	var parts []llb.State
	for _, in := range a.Parts {
		st, err := l.part(n.ID, in)
		if err != nil {
			return result{}, err
		}
		parts = append(parts, st)
	}
	st := llb.Merge(parts, describe(n.ID, "")...)
	if len(parts) == 1 {
		return result{state: st}, nil // it is the part itself
	}
	return result{state: st}, l.own(n.ID, st)
}

// part returns a state whose whole content is an input at its target: the input's own state where
// that's possible, else a copy.
func (l *lowerer) part(owner graph.ID, in graph.Input) (llb.State, error) {
	from := l.results[in.From]
	if from.state.Output() == nil || from.dir == "" && in.Path == "" && in.Target == "" {
		return from.state, nil
	}
	what := "part of " + in.From.Package
	if in.Target != "" {
		what += " at " + in.Target
	}
	st := l.copyAll(l.sources([]graph.Input{in}), describe(owner, what))
	return st, l.own(owner, st)
}

// source is something to copy.
type source struct {
	from   llb.State
	path   string // absolute
	target string // absolute
}

func (l *lowerer) sources(parts []graph.Input) []source {
	var out []source
	for _, in := range parts {
		from := l.results[in.From]
		if from.state.Output() == nil {
			continue // nothing to copy
		}
		out = append(out, source{from: from.state, path: "/" + under(from.dir, in.Path), target: "/" + in.Target})
	}
	return out
}

// copyAll copies in order: later sources win. A directory's content goes to the target, a file
// becomes the target.
func (l *lowerer) copyAll(sources []source, name []llb.ConstraintsOpt) llb.State {
	var fa *llb.FileAction
	for _, s := range sources {
		info := &llb.CopyInfo{CopyDirContentsOnly: true, CreateDestPath: true, AlwaysReplaceExistingDestPaths: len(sources) > 1}
		if fa == nil {
			fa = llb.Copy(s.from, s.path, s.target, info, fileTime())
		} else {
			fa = fa.Copy(s.from, s.path, s.target, info, fileTime())
		}
	}
	if fa == nil {
		return llb.Scratch()
	}
	return llb.Scratch().File(fa, name...)
}
