package graph

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
)

func TestID(t *testing.T) {
	for _, c := range []struct {
		id   ID
		want string
	}{
		{ID{"go", "compile", "golang.org/x/text", "v0.3.0", "linux/amd64"}, "go/compile/golang.org/x/text@v0.3.0[linux/amd64]"},
		{ID{"npm", "fetch", "@types/node", "20.1.0", ""}, "npm/fetch/@types/node@20.1.0"},
		{ID{"npm", "fetch", "@types/node", "", ""}, "npm/fetch/@types/node"},
		{ID{"npm", "fetch", "a@b", "", ""}, "npm/fetch/a%40b"},
		{ID{"npm", "fetch", "a@b", "1", ""}, "npm/fetch/a@b@1"},
		{ID{"npm", "fetch", "a", "1@2", "x[y]"}, "npm/fetch/a@1%402[x%5By%5D]"},
		{ID{"a/b", "c@d", "/", "", " "}, "a%2Fb/c%40d//[%20]"},
		{ID{"a", "b", "\xff\n", "", ""}, "a/b/%FF%0A"},
	} {
		if got := c.id.String(); got != c.want {
			t.Errorf("%#v prints as %s, want %s", c.id, got, c.want)
		}
		if back, err := ParseID(c.want); err != nil || back != c.id {
			t.Errorf("%s parses as %#v (%v)", c.want, back, err)
		}
	}
	for _, bad := range []string{"", "a", "a/b", "a/b/c]", "a/b/%4", "a/b/%ff", "a/b/c@", "a/b/c[]", "a/b/c d"} {
		var want *IDError
		if id, err := ParseID(bad); !errors.As(err, &want) {
			t.Errorf("%q parses as %#v, %v", bad, id, err)
		}
	}
	for seed := range uint64(500) {
		r := newRand(seed)
		id := ID{randomText(r), randomText(r), randomText(r) + "p", randomText(r), randomText(r)}
		if back, err := ParseID(id.String()); err != nil || back != id {
			t.Fatalf("%#v prints as %s, and comes back as %#v, %v", id, id, back, err)
		}
	}
}

func id(pkg string) ID { return ID{"t", "n", pkg, "", ""} }

// chain makes merges that need each other, from lines such as "a: b c".
func merges(lines ...string) []Node {
	var nodes []Node
	for _, l := range lines {
		name, deps, _ := strings.Cut(l, ":")
		m := &Merge{}
		for _, d := range strings.Fields(deps) {
			m.Parts = append(m.Parts, Input{From: id(d)})
		}
		nodes = append(nodes, Node{ID: id(name), Action: m})
	}
	return nodes
}

func names(ids []ID) string {
	var s []string
	for _, id := range ids {
		s = append(s, id.Package)
	}
	return strings.Join(s, " ")
}

func TestOrderAndPaths(t *testing.T) {
	g := must(New(merges("d: b c", "b: a", "c: a", "a:", "lone:", "e: d a"), []Root{{Name: "e", From: id("e")}, {Name: "c", From: id("c"), Platform: "linux/arm64"}}))
	for _, c := range []struct{ what, got, want string }{
		{"Topo", names(g.Topo()), "a b c d e lone"},
		{"Dependents(a)", names(g.Dependents(id("a"))), "b c e"},
		{"Inputs(e)", names(g.Inputs(id("e"))), "d a"},
		{"Chain(a)", names(g.Chain(id("a"))), "e a"},
		{"Chain(b)", names(g.Chain(id("b"))), "e d b"},
		{"Chain(c)", names(g.Chain(id("c"))), "c"},
		{"Chain(lone)", names(g.Chain(id("lone"))), ""},
		{"Chain(unknown)", names(g.Chain(id("x"))), ""},
		{"Reachable", names(g.Reachable().Topo()), "a b c d e"},
		{"Select(c)", names(must(g.Select(SelectOptions{Roots: []string{"c"}})).Topo()), "a c"},
		{"Select(amd64)", names(must(g.Select(SelectOptions{Platforms: []string{"linux/amd64"}})).Topo()), "a b c d e"},
	} {
		if c.got != c.want {
			t.Errorf("%s = %q, want %q", c.what, c.got, c.want)
		}
	}
	var root *RootError
	if _, err := g.Select(SelectOptions{Roots: []string{"x"}}); !errors.As(err, &root) || !strings.Contains(err.Error(), "c, e") {
		t.Errorf("got %v", err)
	}
	if (&Graph{}).Chain(id("a")) != nil || (&Graph{}).Text() != "graph 1\n" {
		t.Error("the zero graph isn't empty")
	}
}

func TestCycle(t *testing.T) {
	_, err := New(merges("top: c", "c: z", "z: b", "b: c leaf", "leaf:"), nil)
	var cycle *CycleError
	if !errors.As(err, &cycle) || names(cycle.IDs) != "b c z" {
		t.Fatalf("got %v", err)
	}
	if want := "the graph has a cycle of 3 nodes:\n\tt/n/b\n\tneeds t/n/c\n\tneeds t/n/z\n\tneeds t/n/b"; err.Error() != want {
		t.Errorf("got %s", err)
	}
	if _, err := New(merges("a: a"), nil); !errors.As(err, &cycle) || names(cycle.IDs) != "a" {
		t.Errorf("got %v", err)
	}
}

func TestUnion(t *testing.T) {
	a := must(New(merges("a:", "b: a"), []Root{{Name: "b", From: id("b")}}))
	b := must(New(merges("a:", "c: a"), []Root{{Name: "c", From: id("c")}}))
	g := must(Union(a, b, a))
	if names(g.Topo()) != "a b c" || len(g.Roots()) != 2 {
		t.Errorf("got %s", g.Text())
	}
	c := must(New(merges("a: d", "d:"), nil))
	var conflict *ConflictError
	if _, err := Union(a, c); !errors.As(err, &conflict) || conflict.Node != id("a") || !strings.Contains(err.Error(), "merge.parts: 0 and 1 entries") {
		t.Errorf("got %v", err)
	}
	d := must(New(merges("a:"), []Root{{Name: "b", From: id("a")}}))
	if _, err := Union(a, d); !errors.As(err, &conflict) || conflict.Root != "b" {
		t.Errorf("got %v", err)
	}
}

func TestDigest(t *testing.T) {
	a := must(New(merges("a:", "b: a", "c: b"), nil))
	b := must(New(merges("x:", "y: x", "z: y a", "a:"), nil))
	if a.Digest(id("b")) != b.Digest(id("y")) {
		t.Error("the names of nodes are part of the digest")
	}
	if a.Digest(id("c")) == b.Digest(id("z")) || a.Digest(id("a")) == a.Digest(id("b")) || a.Digest(id("nope")) != "" {
		t.Error("different nodes have one digest")
	}
}

// TestInvalid has one problem per case; each must be found and say where it is.
func TestInvalid(t *testing.T) {
	run := func(f func(*Run)) Action {
		r := &Run{Run: action.Run{Tasks: []action.Task{{Name: "t", Commands: []action.Command{{Args: []string{"/x"}}}}}}}
		f(r)
		return r
	}
	item := func(f func(*action.Item)) Action {
		it := action.Item{Name: "n", URLs: []string{"https://registry.example.com/x"}, Integrity: []string{"sha256-AAAA"}, Dests: []string{"d"}, Unpack: &action.Unpack{Format: "tar"}}
		f(&it)
		return &Fetch{Fetch: action.Fetch{Items: []action.Item{it}}}
	}
	write := func(files ...action.File) Action { return &Write{Files: files} }
	for _, c := range []struct {
		want string
		a    Action
	}{
		{"it has no action", nil},
		{"it has no action", (*Run)(nil)},
		{"run.mounts[0].target: \"in/x\" must be absolute", run(func(r *Run) { r.Mounts = []Input{{From: id("ok"), Target: "in/x"}} })},
		{"run.mounts[0].target: \"/out/x\" is reserved", run(func(r *Run) { r.Mounts = []Input{{From: id("ok"), Target: "/out/x"}} })},
		{"run.mounts[0].target: \"/.mergefest/x\" is reserved", run(func(r *Run) { r.Mounts = []Input{{From: id("ok"), Target: "/.mergefest/x"}} })},
		{"run.mounts[0].target: \"/in/\" isn't clean; write \"/in\"", run(func(r *Run) { r.Mounts = []Input{{From: id("ok"), Target: "/in/"}} })},
		{"run.mounts[0].path: \"../x\" leads outside", run(func(r *Run) { r.Mounts = []Input{{From: id("ok"), Path: "../x", Target: "/in"}} })},
		{"run.mounts[1].target: two mounts", run(func(r *Run) {
			r.Mounts = []Input{{From: id("ok"), Target: "/in"}, {From: id("ok"), Path: "x", Target: "/in"}}
		})},
		{"run.mounts[0].from: refers to the node t/n/gone", run(func(r *Run) { r.Mounts = []Input{{From: id("gone"), Target: "/in"}} })},
		{"run.base.from: refers to the node t/n/gone", run(func(r *Run) { r.Base = &Input{From: id("gone")} })},
		{"run.files[0].path: \"/in/f\" is inside the read-only mount /in", run(func(r *Run) {
			r.Mounts = []Input{{From: id("ok"), Target: "/in"}}
			r.Files = []action.File{{Path: "/in/f"}}
		})},
		{"run.tasks[0].after: there is no task 3", run(func(r *Run) { r.Tasks[0].After = []int{3} })},
		{"run.tasks[0].after: the task waits for itself", run(func(r *Run) { r.Tasks[0].After = []int{0} })},
		{"run.tasks[0].commands[0].args: there is no built-in operation @x", run(func(r *Run) { r.Tasks[0].Commands[0].Args = []string{"@x"} })},
		{"run.tasks[0].commands[0].args: want @copy SRC DST", run(func(r *Run) { r.Tasks[0].Commands[0].Args = []string{"@copy", "x"} })},
		{"run.tasks[0].commands[0].env[0]: \"=x\" isn't \"NAME=value\"", run(func(r *Run) { r.Tasks[0].Commands[0].Env = []string{"=x"} })},
		{"run.tasks[0].commands[0].dir", run(func(r *Run) { r.Tasks[0].Commands[0].Dir = "x" })},
		{"run.outputs[0].path: \"/x\" is absolute", run(func(r *Run) { r.Outputs = []action.Output{{Path: "/x"}} })},
		{"run.secrets[0]: a secret needs either", run(func(r *Run) { r.Secrets = []Secret{{Name: "s"}} })},
		{"run.internal: \"/x\" must be", run(func(r *Run) { r.Internal = map[string]string{"/x": "/out/x"} })},
		{"fetch: it has neither", &Fetch{}},
		{"fetch.items[0].integrity: n has no integrity", item(func(i *action.Item) { i.Integrity = nil })},
		{"fetch.items[0].integrity[0]: \"md5-x\" isn't an integrity", item(func(i *action.Item) { i.Integrity = []string{"md5-x"} })},
		{"fetch.items[0].urls[0]: the scheme \"file\"", item(func(i *action.Item) { i.URLs = []string{"file:///x"} })},
		{"fetch.items[0].urls[0]: the URL of registry.example.com contains a user name", item(func(i *action.Item) { i.URLs = []string{"https://u:secret@registry.example.com/x"} })},
		{"fetch.items[0].unpack.format", item(func(i *action.Item) { i.Unpack.Format = "rar" })},
		{"fetch.items[0].dests[1]: \"d\" is made twice, by n and by n", item(func(i *action.Item) { i.Dests = []string{"d", "d"} })},
		{"fetch.items[0].auth", item(func(i *action.Item) { i.Auth = "../x" })},
		{"write.files[0]: text, data, link and dir exclude each other", write(action.File{Path: "a", Text: "x", Link: "y"})},
		{"write.files[1].path: \"a/b\" can't be below \"a\", which is a file", write(action.File{Path: "a"}, action.File{Path: "a/b"})},
		{"write.files[1].path: \"a\" is made twice", write(action.File{Path: "a"}, action.File{Path: "a"})},
		{"write.files[0].mode", write(action.File{Path: "a", Mode: 0o4755})},
		{"write.files[0].text", write(action.File{Path: "a", Text: "\xff"})},
		{"write.files[0].path: \"\\xff\" isn't valid UTF-8", write(action.File{Path: "\xff"})},
		{"local.files[0].source", &Local{Files: []LocalFile{{Path: "a", Source: "/etc/passwd"}}}},
		{"merge.parts[0].target: \"/x\" is absolute", &Merge{Parts: []Input{{From: id("ok"), Target: "/x"}}}},
		{"merge.parts[0].writable", &Merge{Parts: []Input{{From: id("ok"), Writable: true}}}},
		{"image.ref", &Image{}},
		{"git.url: want a URL with a host and a path", &Git{URL: "https://git.example.com/", Commit: strings.Repeat("a", 40)}},
		{"git.url: the scheme \"file\" isn't possible", &Git{URL: "file:///x", Commit: strings.Repeat("a", 40)}},
		{"git.url: the URL of git.example.com contains credentials", &Git{URL: "https://u:secret@git.example.com/x", Commit: strings.Repeat("a", 40)}},
		{"git.url: the URL of git.example.com contains credentials", &Git{URL: "ssh://u:secret@git.example.com/x", Commit: strings.Repeat("a", 40)}},
		{"git.url: the URL of git.example.com has a query", &Git{URL: "https://git.example.com/x#main", Commit: strings.Repeat("a", 40)}},
		{"git.commit: \"main\" isn't the complete hash", &Git{URL: "ssh://git@git.example.com/x", Commit: "main"}},
		{"import.digest", &Import{Digest: "sha256:x"}},
	} {
		_, err := New([]Node{{ID: id("bad"), Action: c.a}, {ID: id("ok"), Action: &Merge{}}}, nil)
		var graphErr *Error
		if !errors.As(err, &graphErr) || !strings.Contains(err.Error(), "node t/n/bad: "+c.want) {
			t.Errorf("want %s, got %v", c.want, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("a password is in the message: %v", err)
		}
	}
}

func TestInvalidGraph(t *testing.T) {
	ok := Node{ID: id("ok"), Action: &Merge{}}
	for _, c := range []struct {
		want  string
		nodes []Node
		roots []Root
	}{
		{"node t/n/ok: the node is given twice", []Node{ok, ok}, nil},
		{"node t/n/ok is defined twice, differently: they differ in platform", []Node{ok, {ID: id("ok"), Platform: "linux/amd64", Action: &Merge{}}}, nil},
		{`ecosystem "Go" isn't a lower-case word`, []Node{{ID: ID{"Go", "x", "p", "", ""}, Action: &Merge{}}}, nil},
		{"the package is empty", []Node{{ID: ID{"go", "x", "", "", ""}, Action: &Merge{}}}, nil},
		{`"amd64" isn't a platform`, []Node{{ID: id("x"), Platform: "amd64", Action: &Merge{}}}, nil},
		{`root "r": from: refers to`, nil, []Root{{Name: "r", From: id("x")}}},
		{`root "r": dest: a result that is discarded has no destination`, []Node{ok}, []Root{{Name: "r", From: id("ok"), Dest: "x", Discard: true}}},
		{`root "r": dest: "../x" leads outside`, []Node{ok}, []Root{{Name: "r", From: id("ok"), Dest: "../x"}}},
		{`root "r" is defined twice, differently: they differ in dest`, []Node{ok}, []Root{{Name: "r", From: id("ok")}, {Name: "r", From: id("ok"), Dest: "x"}}},
		{"a root needs a name", []Node{ok}, []Root{{From: id("ok")}}},
	} {
		if _, err := New(c.nodes, c.roots); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %s, got %v", c.want, err)
		}
	}
	// All problems are reported, not just the first.
	_, err := New([]Node{{ID: id("a"), Action: &Image{}}, {ID: id("b"), Action: &Import{}}}, []Root{{Name: "r", From: id("c")}})
	for _, want := range []string{"t/n/a", "t/n/b", `root "r"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
}

func TestBuilder(t *testing.T) {
	var b Builder
	a := b.Add(Node{ID: id("a"), Action: &Local{Files: []LocalFile{{Path: "x", Source: "x"}}}})
	b.Add(Node{ID: id("a"), Action: &Local{Files: []LocalFile{{Path: "x"}}}}) // the same in canonical form
	b.Root(Root{Name: "a", From: a, Path: "."})
	b.Root(Root{Name: "a", From: a})
	if g, err := b.Build(); err != nil || g.Len() != 1 || !b.Has(a) {
		t.Error(g, err)
	}
	b.Add(Node{ID: id("a"), Action: &Local{Files: []LocalFile{{Path: "y"}}}})
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), "local.files[0].path") {
		t.Error(err)
	}
}

func TestImmutable(t *testing.T) {
	g := must(New(merges("a:", "b: a"), []Root{{Name: "b", From: id("b")}}))
	before := g.Text()
	g.Nodes()[0] = Node{}
	g.Roots()[0].Name = "x"
	g.Topo()[0] = ID{}
	if g.Text() != before || !reflect.DeepEqual(names(g.Topo()), "a b") {
		t.Error("a result shares memory with the graph")
	}
}

func BenchmarkNew(b *testing.B) {
	benchmark(b, func(nodes []Node, roots []Root) { must(New(nodes, roots)) })
}

// BenchmarkAll builds, validates, orders and prints.
func BenchmarkAll(b *testing.B) {
	benchmark(b, func(nodes []Node, roots []Root) {
		g := must(New(nodes, roots))
		g.Topo()
		_ = g.Text()
	})
}

func BenchmarkJSON(b *testing.B) {
	benchmark(b, func(nodes []Node, roots []Root) {
		must(ParseJSON("x", must(must(New(nodes, roots)).MarshalJSON())))
	})
}

func benchmark(b *testing.B, f func([]Node, []Root)) {
	for _, n := range []int{10_000, 100_000} {
		nodes, roots := layered(b, newRand(1), n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				f(nodes, roots)
			}
		})
	}
}
