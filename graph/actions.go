// The edges of each action, and its canonical form.

package graph

import (
	"slices"

	"github.com/mergefest/mergefest/graph/action"
)

func (*Fetch) isAction()  {}
func (*Run) isAction()    {}
func (*Write) isAction()  {}
func (*Local) isAction()  {}
func (*Merge) isAction()  {}
func (*Image) isAction()  {}
func (*Git) isAction()    {}
func (*Import) isAction() {}

// Inputs returns nil: fetching reads no node.
func (*Fetch) Inputs() []Input { return nil }

// Inputs returns the base, if there is one, and the mounts.
func (r *Run) Inputs() []Input {
	if r.Base == nil {
		return r.Mounts
	}
	return append([]Input{*r.Base}, r.Mounts...)
}

// Inputs returns nil.
func (*Write) Inputs() []Input { return nil }

// Inputs returns nil.
func (*Local) Inputs() []Input { return nil }

// Inputs returns the parts.
func (m *Merge) Inputs() []Input { return m.Parts }

// Inputs returns nil.
func (*Image) Inputs() []Input { return nil }

// Inputs returns nil.
func (*Git) Inputs() []Input { return nil }

// Inputs returns nil.
func (*Import) Inputs() []Input { return nil }

// KindOf returns the name of an action's kind, as the notations write it: "fetch", "run",
// "write", "local", "merge", "image", "git" or "import"; empty for nil.
func KindOf(a Action) string {
	switch a.(type) {
	case *Fetch:
		return "fetch"
	case *Run:
		return "run"
	case *Write:
		return "write"
	case *Local:
		return "local"
	case *Merge:
		return "merge"
	case *Image:
		return "image"
	case *Git:
		return "git"
	case *Import:
		return "import"
	}
	return ""
}

// normalPath writes "all of it" in one way.
func normalPath(p string) string {
	if p == "." {
		return ""
	}
	return p
}

// normal returns a node whose action has the canonical form: one way to write an empty path and an
// empty list, mounts ordered by target, outputs by path. Two nodes are equal if their canonical
// forms are.
func normal(n Node) Node {
	switch a := n.Action.(type) {
	case *Run:
		if a != nil {
			n.Action = normalRun(*a)
		}
	case *Merge:
		if a != nil {
			n.Action = &Merge{Parts: normalInputs(a.Parts)}
		}
	case *Local:
		if a != nil {
			l := &Local{Root: a.Root, Files: slices.Clone(a.Files)}
			for i, f := range l.Files {
				if f.Source == f.Path {
					l.Files[i].Source = ""
				}
			}
			slices.SortStableFunc(l.Files, func(a, b LocalFile) int { return compareString(a.Path, b.Path) })
			n.Action = l
		}
	case *Write:
		if a != nil {
			w := &Write{Files: slices.Clone(a.Files)}
			slices.SortStableFunc(w.Files, compareFiles)
			n.Action = w
		}
	}
	return n
}

func normalRun(r Run) *Run {
	if r.Base != nil {
		base := *r.Base
		base.Path = normalPath(base.Path)
		r.Base = &base
	}
	r.Mounts = normalInputs(r.Mounts)
	slices.SortStableFunc(r.Mounts, func(a, b Input) int { return compareString(a.Target, b.Target) })
	r.Outputs = slices.Clone(r.Outputs)
	slices.SortStableFunc(r.Outputs, func(a, b action.Output) int { return compareString(a.Path, b.Path) })
	r.Files = slices.Clone(r.Files)
	slices.SortStableFunc(r.Files, compareFiles)
	r.Secrets = slices.Clone(r.Secrets)
	slices.SortStableFunc(r.Secrets, func(a, b Secret) int { return compareString(a.Target+"\x00"+a.Env, b.Target+"\x00"+b.Env) })
	return &r
}

func normalInputs(in []Input) []Input {
	out := slices.Clone(in)
	for i := range out {
		out[i].Path = normalPath(out[i].Path)
		out[i].Target = normalPath(out[i].Target)
	}
	return out
}

func compareFiles(a, b action.File) int { return compareString(a.Path, b.Path) }
