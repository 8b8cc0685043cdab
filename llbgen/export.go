// Exports: which results go to which directory, and in how many definitions.

package llbgen

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/graph"
)

// exports groups the roots by directory.
func (l *lowering) exports() ([]Export, error) {
	parts := map[string][]graph.Input{}
	for _, r := range l.g.Roots() {
		dir, in := l.place(r)
		if !slices.Contains(parts[dir], in) {
			parts[dir] = append(parts[dir], in)
		}
	}
	var out []Export
	for _, dir := range slices.Sorted(maps.Keys(parts)) {
		defs, err := l.definitions(parts[dir])
		if err != nil {
			return nil, err
		}
		out = append(out, Export{Dir: dir, Definitions: defs})
	}
	return out, nil
}

// place finds the directory for a root and the part that goes there. Where the output has nothing
// but the wanted path, and the path keeps its name, it is taken whole, which costs no copy.
func (l *lowering) place(r graph.Root) (dir string, in graph.Input) {
	sel, dest := strings.TrimPrefix(clean(r.Path), "/"), strings.TrimPrefix(clean(r.Dest), "/")
	if sel == "" {
		return path.Clean(dest), graph.Input{From: r.From}
	}
	if n, _ := l.g.Node(r.From); solePath(n.Action) == sel {
		if dest == sel {
			return ".", graph.Input{From: r.From}
		}
		if dir, ok := strings.CutSuffix(dest, "/"+sel); ok {
			return dir, graph.Input{From: r.From}
		}
	}
	return ".", graph.Input{From: r.From, Path: sel, Target: dest}
}

// solePath is the only output of a Run that has one.
func solePath(a graph.Action) string {
	if r, ok := a.(*graph.Run); ok && len(r.Outputs) == 1 {
		return r.Outputs[0].Path
	}
	return ""
}

// definitions marshals the merge of parts, split where it would be too large.
func (l *lowering) definitions(parts []graph.Input) ([]*llb.Definition, error) {
	c := l.constraints()
	meta := []llb.ConstraintsOpt{llb.WithCustomName("[result] merge"), llb.Platform(*c.Platform)}
	def, err := l.join(parts, meta).Marshal(l.ctx, llb.Platform(*c.Platform))
	if err != nil {
		return nil, err
	}
	size := sizeOf(def)
	if l.o.MaxBytes == 0 || size <= l.o.MaxBytes {
		return []*llb.Definition{def}, nil
	}
	if len(parts) == 1 {
		inner := l.expand(parts[0])
		if inner == nil {
			return nil, &TooLargeError{Node: parts[0].From, Size: size, Most: l.o.MaxBytes}
		}
		return l.definitions(inner)
	}
	var out []*llb.Definition
	for _, half := range [][]graph.Input{parts[:len(parts)/2], parts[len(parts)/2:]} {
		defs, err := l.definitions(half)
		if err != nil {
			return nil, err
		}
		out = append(out, defs...)
	}
	return out, nil
}

// expand gives the parts of a merge that is taken whole, or nil.
func (l *lowering) expand(p graph.Input) []graph.Input {
	n, _ := l.g.Node(p.From)
	m, ok := n.Action.(*graph.Merge)
	if !ok || !l.whole(p) || len(m.Parts) == 0 {
		return nil
	}
	return m.Parts
}

// sizeOf is the size of a definition in a message, with a little room for its framing.
func sizeOf(def *llb.Definition) int {
	return def.ToPB().SizeVT() + 1024
}
