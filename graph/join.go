// Joining nodes: granularity as a transformation of graphs.

package graph

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Join returns the graph in which the members of each group have become one node, whose ID is the
// group's key. It changes how much is done again after a change, and never what a root gets:
// members keep the paths of their outputs, and whoever selected a part of one selects it from the
// group. Where that can't tell a member's output from the others' (a whole output, mostly), a Merge
// that picks it out takes the member's place, under the member's ID; a Merge of all members of a
// group takes the group itself.
//
// Members are all Run nodes or all Fetch nodes of one platform. The joined run has all mounts,
// files, secrets and outputs of its members; its tasks wait for the tasks of the members that theirs
// read from, whose outputs they find by symbolic links (Run.Internal). That asks of members that
//
//   - their outputs don't overlap, and don't come from one place (Output.From);
//   - what they mount or write at the same path is the same, and what they mount from each other is
//     mounted read-only below action.InDir;
//   - their base, and whether they have a network, are the same;
//   - what else they write outside of action.OutDir doesn't get into the way of each other. This
//     can't be seen in a graph.
//
// What doesn't fit is a *JoinError, and all are reported. Groups that would need each other are a
// *CycleError: see Condense. A group of one member under its own ID changes nothing.
func Join(g *Graph, groups map[ID][]ID) (*Graph, error) {
	j := &joiner{g: g, memberOf: map[ID]*group{}, picks: map[ID]Node{}}
	for _, id := range slices.SortedFunc(maps.Keys(groups), ID.Compare) {
		j.addGroup(id, groups[id])
	}
	if len(j.errs) > 0 {
		return nil, errors.Join(j.errs...)
	}
	var nodes []Node
	for _, gr := range j.groups {
		if n, ok := j.joined(gr); ok {
			nodes = append(nodes, n)
		}
	}
	for _, n := range g.nodes {
		if j.memberOf[n.ID] == nil {
			nodes = append(nodes, j.rewritten(n))
		}
	}
	roots := slices.Clone(g.roots)
	for i, r := range roots {
		in := j.outside(Input{From: r.From, Path: r.Path})
		roots[i].From, roots[i].Path = in.From, in.Path
	}
	if len(j.errs) > 0 {
		return nil, errors.Join(j.errs...)
	}
	return New(append(nodes, slices.Collect(maps.Values(j.picks))...), roots)
}

// JoinError says why nodes can't be joined.
type JoinError struct {
	Group   ID   // what they would be joined to
	Members []ID // those that it is about
	Err     error
}

func (e *JoinError) Error() string {
	s := fmt.Sprintf("can't join nodes to %s: ", e.Group)
	for i, id := range e.Members {
		if i > 0 {
			s += " and "
		}
		s += id.String()
	}
	if len(e.Members) > 0 {
		s += ": "
	}
	return s + e.Err.Error()
}

// Unwrap returns the cause.
func (e *JoinError) Unwrap() error { return e.Err }

type joiner struct {
	g        *Graph
	groups   []*group
	memberOf map[ID]*group
	picks    map[ID]Node // merges that stand for members
	errs     []error
}

type group struct {
	id      ID
	members []Node          // in topological order
	outputs map[ID][]output // of each member
	paths   *pathIndex      // all of them
}

// output is a declared path of a member's output.
type output struct {
	path     string
	optional bool
}

func (j *joiner) failf(gr *group, members []ID, format string, args ...any) {
	j.errs = append(j.errs, &JoinError{Group: gr.id, Members: members, Err: fmt.Errorf(format, args...)})
}

// addGroup checks what can be seen without the edges.
func (j *joiner) addGroup(id ID, members []ID) {
	gr := &group{id: id, outputs: map[ID][]output{}, paths: newPathIndex()}
	if len(members) == 0 {
		j.failf(gr, nil, "the group has no members")
		return
	}
	for _, m := range members {
		at, ok := j.g.index[m]
		switch {
		case !ok:
			j.failf(gr, []ID{m}, "there is no such node")
			return
		case j.memberOf[m] == gr:
			j.failf(gr, []ID{m}, "it is listed twice")
			return
		case j.memberOf[m] != nil:
			j.failf(gr, []ID{m}, "it is in the group %s too", j.memberOf[m].id)
			return
		}
		j.memberOf[m] = gr
		gr.members = append(gr.members, j.g.nodes[at])
	}
	if _, taken := j.g.index[id]; taken && !slices.Contains(members, id) {
		j.failf(gr, nil, "another node has this name")
	}
	slices.SortFunc(gr.members, func(a, b Node) int { return j.g.ranks[j.g.index[a.ID]] - j.g.ranks[j.g.index[b.ID]] })
	j.groups = append(j.groups, gr)
	if len(gr.members) == 1 {
		return
	}
	first := gr.members[0]
	for _, n := range gr.members {
		pair := []ID{first.ID, n.ID}
		kind := KindOf(n.Action)
		switch {
		case kind != "run" && kind != "fetch":
			j.failf(gr, []ID{n.ID}, "a %s can't be joined, only runs and fetches can", kind)
		case kind != KindOf(first.Action):
			j.failf(gr, pair, "one is a %s and one is a %s", KindOf(first.Action), kind)
		case n.Platform != first.Platform:
			j.failf(gr, pair, "one is for the platform %q and one for %q", first.Platform, n.Platform)
		}
		gr.outputs[n.ID] = declared(n)
	}
	j.checkOutputs(gr)
}

// declared returns the outputs that a run or fetch declares.
func declared(n Node) []output {
	var out []output
	switch a := n.Action.(type) {
	case *Run:
		for _, o := range a.Outputs {
			out = append(out, output{o.Path, o.Optional})
		}
	case *Fetch:
		for _, it := range a.Items {
			for _, d := range it.Dests {
				out = append(out, output{path: normalPath(d)})
			}
		}
		for _, f := range a.Files {
			out = append(out, output{f.Path, f.If != ""})
		}
	}
	return out
}

// checkOutputs refuses members that make the same path, or one inside of another's.
func (j *joiner) checkOutputs(gr *group) {
	for _, n := range gr.members {
		for _, o := range gr.outputs[n.ID] {
			if other, taken := gr.paths.add(o.path, n.ID); taken {
				j.failf(gr, []ID{other, n.ID}, "both make the output %q", o.path)
				return
			}
		}
	}
	for _, n := range gr.members {
		for _, o := range gr.outputs[n.ID] {
			if p, other, ok := gr.paths.above(o.path, n.ID); ok {
				j.failf(gr, []ID{other, n.ID}, "the output %q of one is inside of %q of the other", o.path, p)
				return
			}
		}
		f, ok := n.Action.(*Fetch)
		if !ok {
			continue
		}
		for _, file := range f.Files {
			if _, other, ok := gr.paths.above(file.If, n.ID); file.If != "" && ok {
				j.failf(gr, []ID{other, n.ID}, "the file %q of one depends on %q of the other", file.Path, file.If)
			}
		}
	}
}

// rewritten returns a node that is in no group, with its inputs taken from groups.
func (j *joiner) rewritten(n Node) Node {
	switch a := n.Action.(type) {
	case *Run:
		r := *a
		r.Mounts = slices.Clone(a.Mounts)
		for i := range r.Mounts {
			r.Mounts[i] = j.outside(r.Mounts[i])
		}
		if a.Base != nil {
			base := j.outside(*a.Base)
			r.Base = &base
		}
		n.Action = &r
	case *Merge:
		n.Action = &Merge{Parts: j.parts(a.Parts)}
	}
	return n
}

// outside returns an input for someone outside of the group that the input's node is in.
func (j *joiner) outside(in Input) Input {
	gr := j.memberOf[in.From]
	if gr == nil {
		return in
	}
	if len(gr.members) == 1 || gr.paths.alone(in.Path, in.From) {
		in.From = gr.id
		return in
	}
	j.pick(gr, in.From)
	return in
}

// pick makes the node that has a member's whole output, and nothing else.
func (j *joiner) pick(gr *group, member ID) {
	if _, done := j.picks[member]; done {
		return
	}
	if member == gr.id {
		j.failf(gr, []ID{member}, "its whole output is needed by itself, which would have its name: give the group another one")
		return
	}
	m := &Merge{}
	for _, o := range gr.outputs[member] {
		if o.optional {
			j.failf(gr, []ID{member}, "its whole output is needed by itself, and the output %q may be missing", o.path)
			return
		}
		m.Parts = append(m.Parts, Input{From: gr.id, Path: o.path, Target: o.path})
	}
	j.picks[member] = Node{ID: member, Action: m}
}

// parts rewrites the parts of a merge. Where it takes the whole outputs of all members of a group,
// to one place, it takes the group's, at the place of the first one.
func (j *joiner) parts(parts []Input) []Input {
	type use struct {
		gr     *group
		target string
	}
	first, count := map[use]int{}, map[use]int{}
	seen := map[Input]bool{}
	useOf := func(in Input) use { return use{j.memberOf[in.From], in.Target} }
	for i, in := range parts {
		u := useOf(in)
		if u.gr == nil || len(u.gr.members) == 1 || in.Path != "" || seen[in] {
			continue
		}
		seen[in] = true
		if count[u]++; count[u] == 1 {
			first[u] = i
		}
	}
	whole := map[use]bool{}
	for u, n := range count {
		whole[u] = n == len(u.gr.members)
	}
	for moved := len(whole) > 0; moved; {
		at := make([]int, len(parts))
		made := make([][]string, len(parts))
		for i, in := range parts {
			at[i], made[i] = i, j.g.made(in)
			if u := useOf(in); whole[u] && in.Path == "" {
				at[i] = first[u]
			}
		}
		moved = false
		for _, i := range misplaced(made, at) {
			whole[useOf(parts[i])], moved = false, true
		}
	}
	var out []Input
	for i, in := range parts {
		u := useOf(in)
		switch {
		case !whole[u] || in.Path != "":
			out = append(out, j.outside(in))
		case i == first[u]:
			in.From = u.gr.id
			out = append(out, in)
		}
	}
	return out
}
