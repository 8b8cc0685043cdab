package build

import (
	"fmt"
	"slices"
	"testing"

	digest "github.com/opencontainers/go-digest"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/llbgen"
)

func TestBucketed(t *testing.T) {
	var b graph.Builder
	merge := &graph.Merge{}
	var fetches []graph.ID
	for i := range 3 {
		name := fmt.Sprint("p", i)
		id := b.Add(graph.Node{ID: graph.ID{Ecosystem: "npm", Kind: "fetch", Package: name}, Action: &graph.Fetch{Fetch: action.Fetch{
			Items: []action.Item{{Name: name, URLs: []string{"https://registry.example.com/" + name}, Integrity: []string{"sha256-AAAA"}, Dests: []string{name}}}}}})
		fetches = append(fetches, id)
		merge.Parts = append(merge.Parts, graph.Input{From: id})
	}
	tree := b.Add(graph.Node{ID: graph.ID{Ecosystem: "npm", Kind: "tree", Package: "app"}, Action: merge})
	b.Root(graph.Root{Name: "tree", From: tree, Dest: "."})
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	helper := digest.FromString("helper")
	for _, tt := range []struct {
		name   string
		o      Options
		info   *engine.Info
		joined bool
	}{
		{"embedded", Options{}, &engine.Info{InProcess: []string{"sha256:other", helper.String()}}, false},
		{"embedded, of another build", Options{}, &engine.Info{InProcess: []string{"sha256:other"}}, true},
		{"stock", Options{}, &engine.Info{}, true},
		{"unknown", Options{}, nil, true},
		{"by package", Options{Granularity: "package"}, &engine.Info{}, false},
	} {
		l, err := tt.o.bucketed(g, map[string]digest.Digest{"linux/amd64": helper}, tt.info)
		if err != nil {
			t.Fatal(err)
		}
		if joined := l.graph.Len() == 2; joined != tt.joined || !joined && l.graph != g {
			t.Errorf("%s: %d nodes", tt.name, l.graph.Len())
		}
		if !tt.joined {
			continue
		}
		var group graph.ID
		for id := range l.joined {
			group = id
		}
		plan := &llbgen.Plan{Vertices: map[digest.Digest][]graph.ID{"sha256:a": {group}, "sha256:b": {tree}}}
		nodeOf := l.nodeOf(plan)
		if ids, ok := nodeOf("sha256:a"); !ok || !slices.Equal(ids, fetches) {
			t.Errorf("%s: the joined vertex is that of %v", tt.name, ids)
		}
		if ids, ok := nodeOf("sha256:b"); !ok || !slices.Equal(ids, []graph.ID{tree}) {
			t.Errorf("%s: the merge's vertex is that of %v", tt.name, ids)
		}
		if _, ok := nodeOf("sha256:c"); ok {
			t.Errorf("%s: a vertex of no node has nodes", tt.name)
		}
	}
}
