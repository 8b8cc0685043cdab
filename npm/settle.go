package npm

// Optional packages whose install scripts may fail: what goes with them is known when they ran.

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

//go:embed settle.cjs
var settler string

// Paths in the container.
const (
	settleFile  = "/mergefest-settle.cjs"
	settleJob   = "/mergefest-settle.json"
	settleLock  = "/mergefest-record.json"
	settleParts = "/mergefest-parts"
)

// unsettled are the packages of a tree that go if the scripts of optional ones fail.
type unsettled struct {
	scripted []*node // optional, with scripts that run
	nodes    []*node // all that may go
	index    map[*node]int
}

// unsettled finds them by letting all scripts fail.
func (a *app) unsettled(wanted map[*node][]*node) *unsettled {
	u := &unsettled{index: map[*node]int{}}
	for _, n := range a.tree.ordered() {
		if n.flags.optional && slices.Contains(wanted[a.tree.carrier(n)], n) {
			u.scripted = append(u.scripted, n)
		}
	}
	may := map[*node]bool{}
	for _, n := range u.scripted {
		for x := range optionalSet(n) {
			may[x], x.inert = true, true
		}
	}
	for _, n := range a.tree.ordered() {
		if may[n] {
			n.inert = false
			u.index[n] = len(u.nodes)
			u.nodes = append(u.nodes, n)
		}
	}
	return u
}

func (u *unsettled) has(n *node) bool {
	_, ok := u.index[n]
	return ok
}

// settleTask is what settle.cjs reads.
type settleTask struct {
	Scripted []settleScript `json:"scripted"`
	Nodes    []settleNode   `json:"nodes"`
	Packages bool           `json:"packages,omitempty"`
	Lock     string         `json:"lock,omitempty"`
	Indent   string         `json:"indent,omitempty"`
	Newline  string         `json:"newline,omitempty"`
	Out      string         `json:"out"`
}

type settleScript struct {
	At  string `json:"at"`
	Loc string `json:"loc"`
}

type settleNode struct {
	Loc  string       `json:"loc"`
	Part string       `json:"part,omitempty"`
	Held bool         `json:"held,omitempty"`
	In   []settleEdge `json:"in"`
	Out  []settleEdge `json:"out"`
}

// settleEdge is written as [index, optional].
type settleEdge struct {
	node     int
	optional bool
}

func (e settleEdge) MarshalJSON() ([]byte, error) { return json.Marshal([]any{e.node, e.optional}) }

// settle adds the nodes that leave out what has to go: one with the packages, and one with npm's record of
// the tree, which changes more often. parts has what each package comes from.
func (a *app) settle(p *Plan, w *work, parts map[*node]graph.ID) ([]graph.ID, error) {
	u := w.open
	indent, newline := a.manifests[""].style()
	packages := settleTask{Packages: true, Out: action.OutDir}
	record := settleTask{Lock: settleLock, Indent: indent, Newline: newline, Out: action.OutDir}
	var ids []graph.ID
	for _, job := range []struct {
		kind string
		task settleTask
	}{{"settle", packages}, {"record", record}} {
		if job.task.Lock == "" && !slices.ContainsFunc(u.nodes, func(n *node) bool { return a.tree.carrier(n) == n }) {
			continue
		}
		id := graph.ID{Ecosystem: "npm", Kind: job.kind, Package: p.App, Variant: a.variant("")}
		run, err := a.settleRun(u, parts, job.task)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		if job.task.Lock != "" {
			run.Files = append(run.Files, action.File{Path: settleLock, Text: w.lock})
		}
		p.Nodes = append(p.Nodes, graph.Node{ID: id, Platform: a.opt.Runtime.Platform, Action: run})
		ids = append(ids, id)
	}
	return ids, nil
}

func (a *app) settleRun(u *unsettled, parts map[*node]graph.ID, task settleTask) (*graph.Run, error) {
	run := &graph.Run{Base: &graph.Input{From: a.opt.Runtime.Node.ID}}
	mounted := map[graph.ID]string{}
	mount := func(n *node) string {
		id, ok := parts[a.tree.carrier(n)]
		if !ok {
			return ""
		}
		at := mounted[id]
		if at == "" {
			at = path.Join(settleParts, fmt.Sprint(len(mounted)))
			mounted[id] = at
			run.Mounts = append(run.Mounts, graph.Input{From: id, Target: at})
		}
		return at
	}
	for _, n := range u.scripted {
		task.Scripted = append(task.Scripted, settleScript{At: mount(n), Loc: n.loc})
	}
	for _, n := range u.nodes {
		s := settleNode{Loc: n.loc, In: []settleEdge{}, Out: []settleEdge{}}
		if task.Packages && a.tree.carrier(n) == n {
			s.Part = mount(n)
		}
		for _, e := range n.in {
			if i, ok := u.index[e.from]; ok {
				s.In = append(s.In, settleEdge{i, e.optional()})
			} else {
				s.Held = true
			}
		}
		for _, e := range n.edges {
			if i, ok := u.index[e.to]; ok && e.to != nil {
				s.Out = append(s.Out, settleEdge{i, e.optional()})
			}
		}
		task.Nodes = append(task.Nodes, s)
	}
	doc, err := json.Marshal(task)
	if err != nil {
		return nil, err
	}
	run.Files = []action.File{{Path: settleFile, Text: settler}, {Path: settleJob, Text: string(doc)}}
	run.Tasks = []action.Task{{Name: "optional packages", Commands: []action.Command{{
		Args: []string{"node", settleFile, settleJob}, Env: []string{"PATH=" + a.opt.Runtime.path()}, Dir: "/"}}}}
	return run, nil
}
