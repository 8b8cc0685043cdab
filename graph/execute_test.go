// An executor in memory, and graphs for it: what "the same result" means in the tests of Join.

package graph

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/graph/action"
)

// tree is a directory: the contents of files by path.
type tree map[string]string

// sub returns what is at or below a path, at another one.
func (t tree) sub(p, at string) tree {
	out := tree{}
	for name, v := range t {
		if below(name, p) {
			out[under(at, strings.TrimPrefix(name[len(p):], "/"))] = v
		}
	}
	return out
}

// execute is an executor in memory for runs that only copy, and for what else needs no execution.
// It is what "the same result" means in the tests of Join.
func execute(g *Graph) map[ID]tree {
	outs := map[ID]tree{}
	for _, id := range g.Topo() {
		n, _ := g.Node(id)
		out := tree{}
		switch a := n.Action.(type) {
		case *Write:
			for _, f := range a.Files {
				out[f.Path] = f.Text
			}
		case *Fetch:
			for _, it := range a.Items {
				for _, d := range it.Dests {
					out[under(d, "content")] = it.Name
				}
			}
		case *Merge:
			for _, p := range a.Parts {
				maps.Copy(out, outs[p.From].sub(p.Path, p.Target))
			}
		case *Run:
			out = executeRun(a, outs)
		}
		outs[id] = out
	}
	return outs
}

func executeRun(r *Run, outs map[ID]tree) tree {
	fs := tree{}
	for _, m := range r.Mounts {
		maps.Copy(fs, outs[m.From].sub(m.Path, m.Target[1:]))
	}
	for _, f := range r.Files {
		fs[f.Path[1:]] = f.Text
	}
	// A link shows, at any time, what is at its destination.
	read := func(p string) tree {
		got := fs.sub(p, "")
		for in, out := range r.Internal {
			if below(p, in[1:]) {
				maps.Copy(got, fs.sub(out[1:]+p[len(in)-1:], ""))
			} else if below(in[1:], p) {
				maps.Copy(got, fs.sub(out[1:], strings.TrimPrefix(in[1+len(p):], "/")))
			}
		}
		return got
	}
	done := make([]bool, len(r.Tasks))
	for left := len(r.Tasks); left > 0; {
		// The last task that may run is run first: an order that isn't asked for shows.
		for i := len(r.Tasks) - 1; ; i-- {
			if i < 0 {
				panic("no task can run")
			}
			if done[i] || slices.ContainsFunc(r.Tasks[i].After, func(a int) bool { return !done[a] }) {
				continue
			}
			for _, c := range r.Tasks[i].Commands {
				got := read(c.Args[1][1:])
				if len(got) == 0 {
					panic("nothing is at " + c.Args[1])
				}
				for name, v := range got {
					if c.Args[0] == "tool" { // which leaves a trace of what it was called with
						v = c.Args[1] + "(" + v + ")"
					}
					fs[under(c.Args[2][1:], name)] = v
				}
			}
			done[i] = true
			left--
			break
		}
	}
	out := tree{}
	for _, o := range r.Outputs {
		from := o.From
		if from == "" {
			from = path.Join(action.OutDir, o.Path)
		}
		maps.Copy(out, fs.sub(from[1:], o.Path))
	}
	return out
}

// copies returns a random graph whose runs copy, with consumers of every kind.
func copies(r *rand.Rand, n int) *Graph {
	var b Builder
	src := b.Add(Node{ID: id("src"), Action: &Write{Files: []action.File{{Path: "s", Text: "source"}}}})
	var runs []ID
	for i := range n {
		name := fmt.Sprintf("n%02d", i)
		a := &Run{Mounts: []Input{{From: src, Path: "s", Target: "/in/src/" + name}},
			Run: action.Run{Files: []action.File{{Path: "/tmp/shared", Text: "shared"}}}}
		first := action.Task{Name: name, Commands: []action.Command{{Args: []string{"tool", "/in/src/" + name, "/out/" + name + "/src"}}}}
		for range r.IntN(3) {
			if len(runs) == 0 {
				break
			}
			d := runs[r.IntN(len(runs))]
			in := Input{From: d, Path: d.Package, Target: "/in/" + d.Package}
			switch r.IntN(3) {
			case 0:
				in.Path, in.Target = path.Join(d.Package, "src"), in.Target+"/src"
			case 1:
				in.Path, in.Target = "", "/in/whole-"+name+"-"+d.Package
			}
			if slices.ContainsFunc(a.Mounts, func(m Input) bool { return below(m.Target, in.Target) || below(in.Target, m.Target) }) {
				continue
			}
			a.Mounts = append(a.Mounts, in)
			first.Commands = append(first.Commands, action.Command{Args: []string{"tool", in.Target, "/out/" + name + "/" + d.Package}})
		}
		out := action.Output{Path: name}
		second := action.Task{Name: name + "2", After: []int{0}, Commands: []action.Command{{Args: []string{"tool", "/out/" + name + "/src", "/out/" + name + "/again"}}}}
		if r.IntN(3) == 0 {
			out.From = "/tmp/made-" + name
			second.Commands = append(second.Commands, action.Command{Args: []string{"tool", "/out/" + name, out.From}})
		}
		a.Tasks, a.Outputs = []action.Task{first, second}, []action.Output{out}
		runs = append(runs, b.Add(Node{ID: id(name), Platform: "linux/amd64", Action: a}))
	}
	m := &Merge{}
	for _, d := range runs {
		in := Input{From: d}
		if r.IntN(4) == 0 {
			in.Path, in.Target = d.Package, "moved/"+d.Package
		}
		m.Parts = append(m.Parts, in)
		b.Root(Root{Name: d.Package, From: d, Path: []string{"", d.Package}[r.IntN(2)], Dest: d.Package})
	}
	b.Root(Root{Name: "all", From: b.Add(Node{ID: id("all"), Action: m}), Dest: "all"})
	return must(b.Build())
}
