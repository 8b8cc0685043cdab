// Joining nodes: what one run or fetch of several is.

package graph

import (
	"maps"
	"path"
	"slices"

	"github.com/mergefest/mergefest/graph/action"
)

func under(dir, p string) string { return normalPath(path.Join(dir, p)) }

// joined returns a group's node.
func (j *joiner) joined(gr *group) (Node, bool) {
	n := gr.members[0]
	if len(gr.members) == 1 {
		n = j.rewritten(n)
		n.ID = gr.id
		return n, true
	}
	n.ID = gr.id
	switch n.Action.(type) {
	case *Fetch:
		n.Action = j.fetches(gr)
	case *Run:
		n.Action = j.runs(gr)
	}
	return n, true
}

func (j *joiner) fetches(gr *group) *Fetch {
	f := &Fetch{}
	for _, m := range gr.members {
		a := m.Action.(*Fetch)
		f.Items = append(f.Items, a.Items...)
		f.Files = append(f.Files, a.Files...)
	}
	return f
}

// runJoin is a joined run in the making.
type runJoin struct {
	*joiner
	gr       *group
	run      *Run
	tasks    map[ID][2]int // the tasks of each member: from, to
	mounts   map[string]owned[Input]
	files    map[string]owned[action.File]
	secrets  map[string]owned[Secret]
	froms    map[string]ID // who has an output from a place
	stdouts  map[string]ID
	internal map[string]ID // who reads by a link
	read     map[ID]bool   // members that others read
}

// owned is something that a member brings.
type owned[T any] struct {
	by    ID
	value T
}

func (j *joiner) runs(gr *group) *Run {
	r := &runJoin{joiner: j, gr: gr, run: &Run{}, tasks: map[ID][2]int{}, mounts: map[string]owned[Input]{},
		files: map[string]owned[action.File]{}, secrets: map[string]owned[Secret]{}, froms: map[string]ID{},
		stdouts: map[string]ID{}, internal: map[string]ID{}, read: map[ID]bool{}}
	for _, m := range gr.members {
		for _, in := range m.Action.Inputs() {
			if j.memberOf[in.From] == gr {
				r.read[in.From] = true
			}
		}
	}
	first := gr.members[0].Action.(*Run)
	r.run.Network = first.Network
	for _, m := range gr.members {
		a := m.Action.(*Run)
		pair := []ID{gr.members[0].ID, m.ID}
		if a.Network != first.Network {
			j.failf(gr, pair, "only one of them has a network")
		}
		if (a.Base == nil) != (first.Base == nil) || a.Base != nil && *a.Base != *first.Base {
			j.failf(gr, pair, "they have different bases")
		}
		r.add(m.ID, a)
	}
	if first.Base != nil {
		if j.memberOf[first.Base.From] == gr {
			j.failf(gr, []ID{first.Base.From}, "it is the base of another member")
		}
		base := j.outside(*first.Base)
		r.run.Base = &base
	}
	r.checkLinks()
	return r.run
}

// add adds a member; those that it reads from have been added.
func (r *runJoin) add(id ID, a *Run) {
	var producers []ID
	for _, m := range a.Mounts {
		if r.memberOf[m.From] == r.gr {
			producers = append(producers, m.From)
			r.link(id, m)
			continue
		}
		unite(r, r.mounts, m.Target, id, r.outside(m), &r.run.Mounts, "mount different (or writable) things at", func(x, y Input) bool { return x == y && !x.Writable })
	}
	for _, f := range a.Files {
		unite(r, r.files, f.Path, id, f, &r.run.Files, "write different files at", equalFiles)
	}
	for _, s := range a.Secrets {
		place := s.Target + s.Env
		unite(r, r.secrets, place, id, s, &r.run.Secrets, "have different secrets at", func(x, y Secret) bool { return x == y })
	}
	r.addTasks(id, a, producers)
}

// unite adds a value at a place, or complains if another member has something else there. It is no
// method because methods can't have type parameters.
func unite[T any](r *runJoin, at map[string]owned[T], place string, id ID, v T, to *[]T, what string, same func(x, y T) bool) {
	old, taken := at[place]
	switch {
	case !taken:
		at[place] = owned[T]{id, v}
		*to = append(*to, v)
	case !same(old.value, v):
		r.failf(r.gr, []ID{old.by, id}, "they %s %s", what, place)
	}
}

func equalFiles(x, y action.File) bool {
	a, b := Node{Action: &Write{Files: []action.File{x}}}, Node{Action: &Write{Files: []action.File{y}}}
	return equalNodes(a, b)
}

// link lets a member find another member's output where it would have been mounted.
func (r *runJoin) link(id ID, m Input) {
	pair := []ID{m.From, id}
	if m.Writable {
		r.failf(r.gr, pair, "the mount %s is writable, which only a copy could be", m.Target)
		return
	}
	if m.Target == action.InDir || !below(m.Target, action.InDir) {
		r.failf(r.gr, pair, "the mount %s isn't below %s", m.Target, action.InDir)
		return
	}
	links := map[string]string{}
	if m.Path != "" && r.gr.paths.alone(m.Path, m.From) {
		links[m.Target] = path.Join(action.OutDir, m.Path)
	} else {
		// A link to a directory that has outputs of others would show these too.
		for _, o := range r.gr.outputs[m.From] {
			if below(o.path, m.Path) {
				links[path.Join(m.Target, o.path[len(m.Path):])] = path.Join(action.OutDir, o.path)
			}
		}
	}
	for in, out := range links {
		if by, taken := r.internal[in]; taken && r.run.Internal[in] != out {
			r.failf(r.gr, []ID{by, id}, "they read different outputs at %s", in)
			continue
		}
		if r.run.Internal == nil {
			r.run.Internal = map[string]string{}
		}
		r.run.Internal[in] = out
		r.internal[in] = id
	}
}

// checkLinks refuses links where something is mounted or in something that is, and links inside of
// others, unless the outer one shows the same there: that one suffices then.
func (r *runJoin) checkLinks() {
	mounts, links := newPathIndex(), newPathIndex()
	for target, m := range r.mounts {
		mounts.add(target, m.by)
	}
	for _, in := range slices.Sorted(maps.Keys(r.run.Internal)) {
		by := r.internal[in]
		if target, other, ok := mounts.above(in, ID{}); ok {
			r.failf(r.gr, []ID{other, by}, "one mounts %s, where the other one reads an output of the group at %s", target, in)
		} else if _, ok := mounts.under[in]; ok {
			r.failf(r.gr, []ID{by}, "it reads an output of the group at %s, and something is mounted inside of it", in)
		}
		outer, other, ok := links.above(in, ID{})
		if !ok {
			links.add(in, by)
			continue
		}
		if r.run.Internal[in] != r.run.Internal[outer]+in[len(outer):] {
			r.failf(r.gr, []ID{other, by}, "they read different outputs of the group at %s and inside of it at %s", outer, in)
		}
		delete(r.run.Internal, in)
	}
}

// addTasks appends a member's tasks, after those of the members that it reads.
func (r *runJoin) addTasks(id ID, a *Run, producers []ID) {
	offset := len(r.run.Tasks)
	var after []int
	slices.SortFunc(producers, ID.Compare)
	for _, p := range slices.Compact(producers) {
		after = append(after, r.last(p)...)
	}
	slices.Sort(after)
	for _, t := range a.Tasks {
		t.After = slices.Clone(t.After)
		for i := range t.After {
			t.After[i] += offset
		}
		if len(t.After) == 0 {
			t.After = after
		}
		for _, c := range t.Commands {
			if by, taken := r.stdouts[c.Stdout]; taken && by != id && c.Stdout != "" {
				r.failf(r.gr, []ID{by, id}, "both write their output to %s", c.Stdout)
			}
			r.stdouts[c.Stdout] = id
		}
		r.run.Tasks = append(r.run.Tasks, t)
	}
	r.tasks[id] = [2]int{offset, len(r.run.Tasks)}
	r.addOutputs(id, a)
}

// last returns the tasks of a member that none of its tasks waits for.
func (r *runJoin) last(id ID) []int {
	from, to := r.tasks[id][0], r.tasks[id][1]
	waited := map[int]bool{}
	for _, t := range r.run.Tasks[from:to] {
		for _, a := range t.After {
			waited[a] = true
		}
	}
	var out []int
	for i := from; i < to; i++ {
		if !waited[i] {
			out = append(out, i)
		}
	}
	return out
}

// addOutputs appends a member's outputs. One that is moved into place after all tasks would come
// too late for the members that read it: it is copied by a task of its own.
func (r *runJoin) addOutputs(id ID, a *Run) {
	place := action.Task{Name: id.Package + ": outputs"}
	for _, o := range a.Outputs {
		if o.From != "" {
			if by, taken := r.froms[o.From]; taken {
				r.failf(r.gr, []ID{by, id}, "both take an output from %s", o.From)
			}
			r.froms[o.From] = id
		}
		if o.From != "" && r.read[id] {
			if o.Optional {
				r.failf(r.gr, []ID{id}, "another member reads its output %q, which comes from %s and may be missing", o.Path, o.From)
			}
			place.Commands = append(place.Commands, action.Command{Args: []string{"@copy", o.From, path.Join(action.OutDir, o.Path)}})
			o.From = ""
		}
		r.run.Outputs = append(r.run.Outputs, o)
	}
	if len(place.Commands) == 0 {
		return
	}
	place.After = r.last(id)
	r.run.Tasks = append(r.run.Tasks, place)
	span := r.tasks[id]
	r.tasks[id] = [2]int{span[0], len(r.run.Tasks)}
}
