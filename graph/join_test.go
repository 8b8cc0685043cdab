package graph

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
)

// delivered is what every root gets.
func delivered(g *Graph) map[string]string {
	outs := execute(g)
	got := map[string]string{}
	for _, r := range g.Roots() {
		t := outs[r.From].sub(r.Path, "")
		for _, p := range slices.Sorted(maps.Keys(t)) {
			got[r.Name] += p + "=" + t[p] + "\n"
		}
	}
	return got
}

// TestJoinKeepsResults joins random groups of random graphs, and expects every root to get what it
// got before.
func TestJoinKeepsResults(t *testing.T) {
	joined := 0
	for seed := range uint64(300) {
		r := newRand(seed)
		g := copies(r, 2+r.IntN(12))
		want := delivered(g)
		k := 1 + r.IntN(4)
		groups := Condense(g, func(n Node) (ID, bool) {
			return id(fmt.Sprintf("group%d", r.IntN(k))), KindOf(n.Action) == "run" && r.IntN(5) > 0
		})
		h, err := Join(g, groups)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, g.Text())
		}
		got := delivered(h)
		for name := range want {
			if got[name] != want[name] || want[name] == "" {
				t.Fatalf("seed %d: root %s\ngot  %s\nwant %s\n%v\nfrom\n%s\nto\n%s", seed, name, got[name], want[name], groups, g.Text(), h.Text())
			}
		}
		joined += len(groups)
	}
	if joined < 100 {
		t.Errorf("only %d groups were joined", joined)
	}
}

func TestJoinIdentity(t *testing.T) {
	g := copies(newRand(1), 10)
	groups := map[ID][]ID{}
	for _, n := range g.Nodes() {
		groups[n.ID] = []ID{n.ID}
	}
	if got := must(Join(g, groups)).Text(); got != g.Text() {
		t.Errorf("joining single nodes changed the graph:\n%s", got)
	}
	if got := must(Join(g, nil)).Text(); got != g.Text() {
		t.Error("joining nothing changed the graph")
	}
	renamed := must(Join(g, map[ID][]ID{id("other"): {id("n01")}}))
	if _, ok := renamed.Node(id("other")); !ok || renamed.Len() != g.Len() || fmt.Sprint(delivered(renamed)) != fmt.Sprint(delivered(g)) {
		t.Errorf("a group of one isn't a new name:\n%s", renamed.Text())
	}
}

const pair = `graph 1
node t/local/src
  local
    file a
    file b
node t/n/a on linux/amd64
  run
    mount /in/src/a from t/local/src path=a
    file /tmp/flags
      | -O2
    task a
      exec cc -o /out/a/a.o /in/src/a
    output a/a.h from=/tmp/a.h
    output a/a.o
node t/n/b on linux/amd64
  run
    mount /in/a/a.h from t/n/a path=a/a.h
    mount /in/src/b from t/local/src path=b
    file /tmp/flags
      | -O2
    task b
      exec cc -o /out/b/b.o /in/src/b
    output b/b.o
node t/n/link on linux/amd64
  run
    mount /in/a/a.o from t/n/a path=a/a.o
    mount /in/b from t/n/b path=b
    task link
      exec ld -o /out/prog /in/a/a.o /in/b/b.o
    output prog
root prog from=t/n/link path=prog dest=prog
`

func TestJoinRun(t *testing.T) {
	g := must(ParseText("pair", pair))
	got := must(Join(g, map[ID][]ID{id("ab"): {id("b"), id("a")}})).Text()
	want := `graph 1
node t/local/src
  local
    file a
    file b
node t/n/ab on linux/amd64
  run
    mount /in/src/a from t/local/src path=a
    mount /in/src/b from t/local/src path=b
    internal /in/a/a.h /out/a/a.h
    file /tmp/flags
      | -O2
    task a
      exec cc -o /out/a/a.o /in/src/a
    task "a: outputs" after=0
      exec @copy /tmp/a.h /out/a/a.h
    task b after=1
      exec cc -o /out/b/b.o /in/src/b
    output a/a.h
    output a/a.o
    output b/b.o
node t/n/link on linux/amd64
  run
    mount /in/a/a.o from t/n/ab path=a/a.o
    mount /in/b from t/n/ab path=b
    task link
      exec ld -o /out/prog /in/a/a.o /in/b/b.o
    output prog
root prog from=t/n/link path=prog dest=prog
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestJoinFetch(t *testing.T) {
	fetch := func(name, dest string) Node {
		return Node{ID: id(name), Action: &Fetch{Fetch: action.Fetch{Items: []action.Item{{Name: name, URLs: []string{"https://registry.example.com/" + name},
			Integrity: []string{"sha256-AAAA"}, Unpack: &action.Unpack{Format: "tar"}, Dests: []string{dest}}}}}}
	}
	nodes := []Node{fetch("a", "m/a"), fetch("b", "m/b"), fetch("c", "m/c"), fetch("in", "m/a/m/in"), fetch("same", "m/a")}
	tree := func(parts ...string) Node {
		m := &Merge{}
		for _, p := range parts {
			m.Parts = append(m.Parts, Input{From: id(p)})
		}
		return Node{ID: id("tree"), Action: m}
	}
	text := func(parts ...string) string {
		g := must(New(append(nodes, tree(parts...)), []Root{{Name: "tree", From: id("tree")}}))
		h := must(Join(g, map[ID][]ID{id("ab"): {id("a"), id("b")}}))
		if fmt.Sprint(delivered(g)) != fmt.Sprint(delivered(h)) {
			t.Errorf("%v: got %v, want %v", parts, delivered(h), delivered(g))
		}
		n, _ := h.Node(id("tree"))
		return NodeText(n)
	}
	if got := text("a", "b", "c"); got != "node t/n/tree\n  merge\n    part t/n/ab\n    part t/n/c\n" {
		t.Errorf("all members: %s", got)
	}
	if got := text("a", "c", "b"); got != "node t/n/tree\n  merge\n    part t/n/ab\n    part t/n/c\n" {
		t.Errorf("something else between them: %s", got)
	}
	if got := text("a", "c"); got != "node t/n/tree\n  merge\n    part t/n/a\n    part t/n/c\n" {
		t.Errorf("one member: %s", got)
	}
	if got := text("a", "in", "b"); got != "node t/n/tree\n  merge\n    part t/n/ab\n    part t/n/in\n" {
		t.Errorf("something between them that overlaps with the first: %s", got)
	}
	for _, parts := range [][]string{{"b", "same", "a"}, {"b", "in", "a"}, {"a", "b", "same", "a"}} {
		if got := text(parts...); strings.Contains(got, "t/n/ab") {
			t.Errorf("%v: something between them that overlaps with what would be moved: %s", parts, got)
		}
	}
	for _, c := range []struct {
		members []ID
		want    string
	}{
		{[]ID{id("a"), id("same")}, `both make the output "m/a"`},
		{[]ID{id("a"), id("in")}, `the output "m/a/m/in" of one is inside of "m/a" of the other`},
		{[]ID{id("a"), id("tree")}, `a merge can't be joined`},
		{[]ID{id("a"), id("a")}, `it is listed twice`},
		{[]ID{id("zzz")}, `there is no such node`},
		{nil, `the group has no members`},
	} {
		g := must(New(append(nodes, tree("a")), nil))
		_, err := Join(g, map[ID][]ID{id("g"): c.members})
		var want *JoinError
		if !errors.As(err, &want) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %s", c.members, err, c.want)
		}
	}
	g := must(New(append(nodes, tree("a")), nil))
	for name, groups := range map[string]map[ID][]ID{
		"it is in the group t/n/g too":                {id("g"): {id("a"), id("b")}, id("h"): {id("a"), id("c")}},
		"another node has this name":                  {id("c"): {id("a"), id("b")}},
		"its whole output is needed by itself, which": {id("a"): {id("a"), id("b")}},
	} {
		if _, err := Join(g, groups); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}

func TestJoinRefusals(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"node t/n/b on linux/amd64", "node t/n/b on linux/arm64", "one is for the platform"},
		{"file /tmp/flags\n      | -O2\n    task b", "file /tmp/flags\n      | -O3\n    task b", "they write different files at /tmp/flags"},
		{"mount /in/src/b from t/local/src path=b", "mount /in/src/a from t/local/src path=b", "they mount different (or writable) things at /in/src/a"},
		{"output b/b.o", "output a/a.o", `both make the output "a/a.o"`},
		{"output b/b.o", "output a", `the output "a/a.h" of one is inside of "a" of the other`},
		{"output b/b.o", "output b/b.o from=/tmp/a.h", "both take an output from /tmp/a.h"},
		{"path=a/a.h", "path=a/a.h writable", "the mount /in/a/a.h is writable"},
		{"mount /in/a/a.h from", "mount /usr/a.h from", "the mount /usr/a.h isn't below /in"},
		{"mount /in/src/b from", "mount /in/a from", "reads an output of the group at /in/a/a.h"},
		{"from=/tmp/a.h", "from=/tmp/a.h optional", "which comes from /tmp/a.h and may be missing"},
		{"    task b\n", "    network\n    task b\n", "only one of them has a network"},
		{"node t/n/b on linux/amd64\n  run\n", "node t/n/b on linux/amd64\n  run\n    base t/local/src\n", "they have different bases"},
		{"from t/n/b path=b", "from t/n/b", ""}, // picked out
		{"    output b/b.o\n", "    output b/b.o optional\n", ""},
	} {
		text := strings.Replace(pair, c.old, c.new, 1)
		if text == pair {
			t.Fatalf("%q isn't there", c.old)
		}
		_, err := Join(must(ParseText("pair", text)), map[ID][]ID{id("ab"): {id("a"), id("b")}})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.new, err)
			}
			continue
		}
		var want *JoinError
		if !errors.As(err, &want) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.new, err, c.want)
		}
	}
}

func TestJoinCycle(t *testing.T) {
	run := func(name string, from ...string) Node {
		r := &Run{Run: action.Run{Tasks: []action.Task{{Name: name, Commands: []action.Command{{Args: []string{"x"}}}}}, Outputs: []action.Output{{Path: name}}}}
		for _, f := range from {
			r.Mounts = append(r.Mounts, Input{From: id(f), Path: f, Target: "/in/" + f})
		}
		return Node{ID: id(name), Platform: "linux/amd64", Action: r}
	}
	// a1 needs b1, which needs a2; c is apart; m is a merge on the way from d1 to d2.
	g := must(New([]Node{run("a1", "b1"), run("b1", "a2"), run("a2"), run("b2"), run("c1"), run("c2", "c1"),
		run("d2"), {ID: id("m"), Action: &Merge{Parts: []Input{{From: id("d2")}}}}, run("d1", "m"), run("d3")}, nil))
	_, err := Join(g, map[ID][]ID{id("A"): {id("a1"), id("a2")}, id("B"): {id("b1"), id("b2")}})
	var cycle *CycleError
	if !errors.As(err, &cycle) || names(cycle.IDs) != "A B" {
		t.Errorf("got %v", err)
	}
	key := func(n Node) (ID, bool) {
		if KindOf(n.Action) != "run" {
			return ID{}, false
		}
		return id(strings.ToUpper(n.ID.Package[:1])), true
	}
	groups := Condense(g, key)
	got := map[string]string{}
	for k, ids := range groups {
		got[k.Package] = names(ids)
	}
	if want := map[string]string{"A": "a1 a2 b1 b2", "C": "c1 c2"}; !maps.Equal(got, want) {
		t.Errorf("groups %v, want %v (d1, d2 and d3 would need themselves through a merge)", got, want)
	}
	if _, err := Join(g, groups); err != nil {
		t.Error(err)
	}
}

func BenchmarkJoin(b *testing.B) {
	benchmark(b, func(nodes []Node, roots []Root) {
		g := must(New(nodes, roots))
		must(Join(g, Condense(g, func(n Node) (ID, bool) {
			// A few hundred groups that need each other, as the modules of a large program do.
			return ID{"t", "group", n.ID.Package[:min(len(n.ID.Package), 6)], "", ""}, n.ID.Kind == "compile"
		})))
	})
}
