// Merge: MergeOp for whole parts, copies for parts that are placed or selected.

package llbgen

import (
	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/graph"
)

func (l *lowering) merge(n graph.Node, a *graph.Merge) llb.State {
	return l.join(a.Parts, l.meta(n))
}

// join merges parts; none is the empty directory and one is itself.
func (l *lowering) join(parts []graph.Input, c []llb.ConstraintsOpt) llb.State {
	if l.o.NoMerge && len(parts) > 1 {
		st := llb.Scratch()
		for _, p := range parts {
			st = l.copyInto(st, p, p.Target, c)
		}
		return st
	}
	var states []llb.State
	for _, p := range parts {
		st := l.part(p, c)
		if st.Output() != nil { // merging the empty directory changes nothing
			states = append(states, st)
		}
	}
	switch len(states) {
	case 0:
		return llb.Scratch()
	case 1:
		return states[0]
	}
	return llb.Merge(states, c...)
}

// part is one part of a merge, in its place.
func (l *lowering) part(p graph.Input, c []llb.ConstraintsOpt) llb.State {
	if l.whole(p) {
		return l.states[p.From]
	}
	return l.copyInto(llb.Scratch(), p, p.Target, c)
}

// whole says that a part needs no copy. A Local node's output is a directory of a source that
// others share, so that it always does.
func (l *lowering) whole(p graph.Input) bool {
	return clean(p.Path) == "" && clean(p.Target) == "" && l.dirOf(p.From) == ""
}
