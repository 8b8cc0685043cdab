// From roots to exports.

package llbgen

import (
	"maps"
	"path"
	"slices"

	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client/llb"
)

// exports groups the roots by directory, and makes the definitions.
//
// A root is delivered without a copy if its whole node can be: if it selects nothing, or if its
// destination ends like its path and the node makes nothing else.
func (l *lowerer) exports() ([]Export, error) {
	parts := map[string][]graph.Input{}
	roots := map[string][]graph.Root{}
	var discarded []graph.Input
	var discards []graph.Root
	for _, r := range l.g.Roots() {
		if r.Discard {
			discarded = addPart(discarded, graph.Input{From: r.From})
			discards = append(discards, r)
			continue
		}
		dir, in := l.delivery(r)
		roots[dir] = append(roots[dir], r)
		parts[dir] = addPart(parts[dir], in)
	}
	var out []Export
	for _, dir := range slices.Sorted(maps.Keys(parts)) {
		name := "[mergefest] results"
		if dir != "" {
			name += " in " + dir
		}
		defs, err := l.definitions(parts[dir], []llb.ConstraintsOpt{llb.WithCustomName(name)})
		if err != nil {
			return nil, err
		}
		out = append(out, Export{Dir: path.Clean(dir), Roots: roots[dir], Definitions: defs})
	}
	if len(discards) > 0 {
		defs, err := l.definitions(discarded, []llb.ConstraintsOpt{llb.WithCustomName("[mergefest] checks")})
		if err != nil {
			return nil, err
		}
		out = append(out, Export{Dir: ".", Discard: true, Roots: discards, Definitions: defs})
	}
	return out, nil
}

func addPart(parts []graph.Input, in graph.Input) []graph.Input {
	if slices.Contains(parts, in) {
		return parts
	}
	return append(parts, in)
}

// delivery returns the directory of the output that a root goes to, and what goes there.
func (l *lowerer) delivery(r graph.Root) (dir string, in graph.Input) {
	in = graph.Input{From: r.From}
	if r.Path == "" {
		return r.Dest, in
	}
	dir, same := stripSuffix(r.Dest, r.Path)
	if !same {
		in.Path, in.Target = r.Path, r.Dest
		return "", in
	}
	if !l.within(r.From, r.Path) {
		in.Path, in.Target = r.Path, r.Path
	}
	return dir, in
}

// definitions makes one definition of all parts, or several if that is too large.
func (l *lowerer) definitions(parts []graph.Input, name []llb.ConstraintsOpt) ([]*llb.Definition, error) {
	whole, err := l.together(parts, name)
	if err != nil {
		return nil, err
	}
	if whole.Output() == nil {
		// A definition without ops is not "an empty directory" for BuildKit, but "no result".
		whole = llb.Scratch().File(llb.Mkdir("/", 0o755, llb.WithParents(true), fileTime()), name...)
	}
	m := newMarshaller(l.ctx, l.c)
	if err := m.add(whole); err != nil {
		return nil, err
	}
	if l.o.MaxBytes == 0 || m.size <= l.o.MaxBytes {
		def, err := m.definition(whole)
		return []*llb.Definition{def}, err
	}
	return l.split(l.flatten(parts), name)
}

// together merges parts into one state.
func (l *lowerer) together(parts []graph.Input, name []llb.ConstraintsOpt) (llb.State, error) {
	if l.o.NoMerge && len(parts) > 1 {
		return l.copyAll(l.sources(parts), name), nil
	}
	var states []llb.State
	for _, in := range parts {
		st, err := l.part(in.From, in)
		if err != nil {
			return llb.State{}, err
		}
		states = append(states, st)
	}
	return llb.Merge(states, name...), nil
}

// flatten replaces merges by their parts, in order.
func (l *lowerer) flatten(parts []graph.Input) []graph.Input {
	var out []graph.Input
	for _, in := range parts {
		n, _ := l.g.Node(in.From)
		if m, ok := n.Action.(*graph.Merge); ok && in.Path == "" && in.Target == "" {
			out = append(out, l.flatten(m.Parts)...)
			continue
		}
		out = append(out, in)
	}
	return out
}

// split makes as few definitions as possible of consecutive parts.
func (l *lowerer) split(parts []graph.Input, name []llb.ConstraintsOpt) ([]*llb.Definition, error) {
	var defs []*llb.Definition
	var group []graph.Input
	flush := func() error {
		if len(group) == 0 {
			return nil
		}
		st, err := l.together(group, name)
		if err != nil || st.Output() == nil {
			return err
		}
		m := newMarshaller(l.ctx, l.c)
		if err := m.add(st); err != nil {
			return err
		}
		def, err := m.definition(st)
		defs = append(defs, def)
		group = nil
		return err
	}
	m := newMarshaller(l.ctx, l.c)
	for _, in := range parts {
		st, err := l.part(in.From, in)
		if err != nil {
			return nil, err
		}
		if err := m.add(st); err != nil {
			return nil, err
		}
		// The merge itself has an input for each part, which the marshaller has not seen.
		if m.size+(len(group)+1)*inputSize > l.o.MaxBytes {
			if err := flush(); err != nil {
				return nil, err
			}
			m = newMarshaller(l.ctx, l.c)
			if err := m.add(st); err != nil {
				return nil, err
			}
			if m.size+inputSize > l.o.MaxBytes {
				return nil, &TooLargeError{Node: in.From, Size: m.size, Ops: len(m.def.Def), Most: l.o.MaxBytes}
			}
		}
		group = append(group, in)
	}
	return defs, flush()
}
