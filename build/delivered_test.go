package build

import (
	"slices"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/llbgen"
)

func TestDelivered(t *testing.T) {
	for _, c := range []struct {
		name string
		sums []engine.Summary
		want []string
	}{
		{"nothing to do", []engine.Summary{{Files: 3, Unchanged: 3}}, nil},
		{"written", []engine.Summary{{Files: 3, Written: 1, Bytes: 1500}, {Files: 2, Written: 2, Bytes: 500}}, []string{"out: wrote 3 of 5 files (2kB)"}},
		{"removed", []engine.Summary{{Files: 3, Removed: 2}}, []string{"out: wrote 0 of 3 files (0B), removed 2"}},
		{"noted", []engine.Summary{{Files: 1, Unchanged: 1, Notes: []string{"a", "b"}}}, []string{"out/x: a", "out/x: b"}},
	} {
		var d delivered
		for _, s := range c.sums {
			d.add("out/x", &engine.Result{Response: s.Response()})
		}
		if got := d.lines("out/"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	var d delivered
	d.add("out", &engine.Result{Response: map[string]string{"containerimage.digest": "sha256:0"}})
	if got := d.lines("out"); got != nil {
		t.Errorf("a stock engine: %q", got)
	}
}

func TestOverlaps(t *testing.T) {
	id := func(kind string) graph.ID { return graph.ID{Ecosystem: "t", Kind: kind, Package: "p"} }
	run := func(outputs ...string) *graph.Run {
		r := &graph.Run{Run: action.Run{Tasks: []action.Task{{Name: "t", Commands: []action.Command{{Args: []string{"/x"}}}}}}}
		for _, o := range outputs {
			r.Outputs = append(r.Outputs, action.Output{Path: o})
		}
		return r
	}
	g, err := graph.New([]graph.Node{{ID: id("script"), Platform: "linux/amd64", Action: run("bin", "dist")}, {ID: id("link"), Platform: "linux/amd64", Action: run("bin/tool")},
		{ID: id("tree"), Action: &graph.Write{Files: []action.File{{Path: "bin", Text: "x"}}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &building{planned: &Planned{Graph: g}}
	script := llbgen.Export{Dir: ".", Roots: []graph.Root{{Name: "script", From: id("script")}}}
	link := llbgen.Export{Dir: "bin", Roots: []graph.Root{{Name: "link", From: id("link"), Path: "bin/tool", Dest: "bin/tool"}}}
	tree := llbgen.Export{Dir: "bin", Roots: []graph.Root{{Name: "tree", From: id("tree"), Dest: "bin"}}}
	other := llbgen.Export{Dir: "out", Roots: []graph.Root{{Name: "other", From: id("script"), Dest: "out"}}}
	if got := b.overlaps([]llbgen.Export{script, tree, other}); got != nil {
		t.Errorf("%q", got)
	}
	if got := b.overlaps([]llbgen.Export{script, link}); len(got) != 1 || !strings.HasPrefix(got[0], "bin (script) and bin/tool (link) go to the same place") {
		t.Errorf("%q", got)
	}
}
