package llbgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

func TestDelivery(t *testing.T) {
	const nodes = `graph 1
node t/run/one
  run
    task t
      exec x
    output bin/one
node t/run/two
  run
    task t
      exec x
    output bin/a
    output lib/b
node t/fetch/f
  fetch
    item f
      url https://registry.example.com/f
      integrity sha256-AAAA
      unpack tar
      dest node_modules/f
node t/write/links
  write
    file node_modules/.bin/f link=../f/f
node t/merge/tree
  merge
    part t/fetch/f
    part t/write/links
`
	for _, c := range []struct {
		roots, dirs string
		copies      int
	}{
		{"root a from=t/run/one path=bin/one dest=bin/one", ".", 0},
		{"root a from=t/run/one path=bin/one dest=linux_amd64/bin/one", "linux_amd64", 0},
		{"root a from=t/run/one path=bin/one dest=bin/other", ".", 1},
		{"root a from=t/run/two path=bin/a dest=bin/a", ".", 1},
		{"root a from=t/run/two dest=x", "x", 0},
		{"root a from=t/merge/tree path=node_modules dest=app/node_modules", "app", 0},
		{"root a from=t/merge/tree path=node_modules/f dest=node_modules/f", ".", 1},
		{"root a from=t/merge/tree dest=app\nroot b from=t/run/one path=bin/one dest=app/bin/one", "app", 0},
		{"root a from=t/merge/tree dest=x\nroot b from=t/run/one path=bin/one dest=y/bin/one", "x y", 0},
		{"root a from=t/run/one path=bin/one dest=bin/one\nroot b from=t/run/one dest=.", ".", 0},
	} {
		p := lower(t, nodes+c.roots+"\n", nil)
		var dirs []string
		copies := 0
		for _, e := range p.Exports {
			dirs = append(dirs, e.Dir)
			ops, _ := decode(t, e.Definitions[0])
			for _, o := range ops {
				for _, a := range o.GetFile().GetActions() {
					if a.GetCopy() != nil {
						copies++
					}
				}
			}
		}
		if strings.Join(dirs, " ") != c.dirs || copies != c.copies {
			t.Errorf("%s: directories %v, %d copies; want %s, %d", c.roots, dirs, copies, c.dirs, c.copies)
		}
	}
}

// fan returns a graph of n runs, of which each reads the one before if chain is set, and a merge of all.
func fan(t testing.TB, n, docSize int, chain bool) *graph.Graph {
	t.Helper()
	all := graph.ID{Ecosystem: "t", Kind: "merge", Package: "all"}
	m := &graph.Merge{}
	var b graph.Builder
	for i := range n {
		id := graph.ID{Ecosystem: "t", Kind: "run", Package: fmt.Sprintf("p%05d", i)}
		r := &graph.Run{Run: action.Run{
			Files:   []action.File{{Path: "/tmp/x", Text: strings.Repeat("x", docSize)}},
			Tasks:   []action.Task{{Name: id.Package, Commands: []action.Command{{Args: []string{"x", id.Package}}}}},
			Outputs: []action.Output{{Path: id.Package}},
		}}
		if chain && i > 0 {
			p := m.Parts[i-1].From
			r.Mounts = []graph.Input{{From: p, Path: p.Package, Target: "/in/" + p.Package}}
		}
		b.Add(graph.Node{ID: id, Platform: "linux/amd64", Action: r})
		m.Parts = append(m.Parts, graph.Input{From: id})
	}
	b.Add(graph.Node{ID: all, Action: m})
	b.Root(graph.Root{Name: "all", From: all})
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestSplit(t *testing.T) {
	const most = 200 << 10
	g := fan(t, 100, 10<<10, false)
	o := options()
	o.MaxBytes = most
	p, err := Lower(context.Background(), g, o)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, d := range p.Exports[0].Definitions {
		var b bytes.Buffer
		if err := Write(&b, d); err != nil {
			t.Fatal(err)
		}
		if b.Len() > most {
			t.Errorf("a definition has %d bytes", b.Len())
		}
		ops, _ := decode(t, d)
		for _, o := range named(ops, "[t/run]") {
			order = append(order, o.name)
		}
	}
	if n := len(p.Exports[0].Definitions); n < 6 || n > 7 {
		t.Errorf("%d definitions for a megabyte", n)
	}
	if len(order) != 100 || !slices.IsSorted(order) {
		t.Errorf("the parts are in another order, or not complete: %v", order)
	}

	o.MaxBytes = 0
	if p, err = Lower(context.Background(), g, o); err != nil || len(p.Exports[0].Definitions) != 1 {
		t.Errorf("unlimited: %v", err)
	}

	o.MaxBytes = most
	var large *TooLargeError
	if _, err = Lower(context.Background(), fan(t, 100, 10<<10, true), o); !errors.As(err, &large) || large.Size < most || large.Ops == 0 {
		t.Errorf("a chain that can't be split: %v", err)
	}
}
