package graph

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

var actions = []Action{&Fetch{}, &Run{}, &Write{}, &Local{}, &Merge{}, &Image{}, &Git{}, &Import{}}

// TestNotationsKeepEveryField fills every field of every action, and expects it back.
func TestNotationsKeepEveryField(t *testing.T) {
	for _, kind := range actions {
		for seed := range uint64(50) {
			r := newRand(seed)
			v := reflect.New(reflect.TypeOf(kind).Elem())
			fill(r, v.Elem())
			n := normal(Node{Platform: "linux/amd64", Action: v.Interface().(Action)})
			fill(r, reflect.ValueOf(&n.ID).Elem())

			text := NodeText(n)
			lines, errs := readLines("x", text)
			p := &textParser{errs: errs, at: map[ID]Position{}}
			p.parseNode(lines[0])
			if len(p.errs) > 0 {
				t.Fatalf("seed %d: %v\n%s", seed, p.errs, text)
			}
			if got := p.nodes[0]; difference(got, n) != "" || got.ID != n.ID {
				t.Fatalf("seed %d: text: %s differs\n%s\n%s", seed, difference(got, n), text, NodeText(got))
			}

			data, err := json.Marshal(wireNode(n))
			if err != nil {
				t.Fatal(err)
			}
			var w jsonNode
			if err := json.Unmarshal(data, &w); err != nil {
				t.Fatal(err)
			}
			if got, _ := w.node(); difference(got, n) != "" {
				t.Fatalf("seed %d: json: %s differs\n%s", seed, difference(got, n), data)
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for seed := range uint64(20) {
		r := newRand(seed)
		nodes, roots := layered(t, r, 2+r.IntN(60))
		g := must(New(nodes, roots))
		text := g.Text()
		again, err := ParseText("g.txt", text)
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Text(); got != text {
			t.Fatalf("text changed:\n%s\n%s", text, got)
		}
		data := must(g.MarshalJSON())
		again, err = ParseJSON("g.json", data)
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Text(); got != text {
			t.Fatalf("JSON lost something:\n%s\n%s", text, got)
		}
		var viaInterface Graph
		if err := json.Unmarshal(data, &viaInterface); err != nil || viaInterface.Text() != text {
			t.Fatal("json.Unmarshal gives another graph", err)
		}
	}
}

func TestCanonicalOrder(t *testing.T) {
	r := newRand(1)
	nodes, roots := layered(t, r, 200)
	want := must(New(nodes, roots))
	for range 10 {
		got := must(New(shuffled(r, nodes), roots))
		if got.Text() != want.Text() || string(must(got.MarshalJSON())) != string(must(want.MarshalJSON())) || got.DOT() != want.DOT() {
			t.Fatal("the order of the input shows")
		}
		if !reflect.DeepEqual(got.Topo(), want.Topo()) {
			t.Fatal("the order of the input shows in Topo")
		}
	}
}

const sample = `graph 1
node t/fetch/lib@1.0
  fetch
    item lib@1.0
      url https://registry.example.com/lib-1.0.tgz
      integrity sha256-AAAA
      unpack tar strip=1 links=skip hashbang
        executable bin/lib
        rename a b
      dest node_modules/lib
    file .meta if=node_modules/lib text="no end\x1b"
node t/git/lib@1
  git https://git.example.com/lib.git 0123456789012345678901234567890123456789 submodules
node t/image/base@1
  image registry.example.com/base:1
node t/local/src
  local
    file main.c
    file util.c source=../util.c
node t/merge/all
  merge
    part t/fetch/lib@1.0
    part t/write/links target=sub
node t/run/build[linux/amd64] on linux/amd64
  run
    base t/image/base@1
    mount /in/lib from t/fetch/lib@1.0 path=node_modules/lib writable
    mount /in/src from t/local/src
    secret token env=TOKEN optional
    file /tmp/args mode=0755
      | -a
      |
      |- end
    task compile
      exec cc -o /out/prog "with space" a=b
        env LANG=C
        dir /in/src
        stdout /tmp/log
    task strip after=0
      exec @copy /out/prog /out/prog2
    output prog
    output prog2 from=/tmp/prog2 optional
node t/write/links
  write
    file bin/prog link=../prog
    file data data=AAEC
    file empty dir
root all from=t/merge/all dest=out platform=linux/amd64
root prog from=t/run/build[linux/amd64] path=prog dest=bin/prog
`

func TestTextSample(t *testing.T) {
	g, err := ParseText("sample", sample)
	if err != nil {
		t.Fatal(err)
	}
	// Roots are ordered by platform first: the one for any platform comes first.
	got := strings.Replace(g.Text(), "root prog", "", 1)
	if g.Len() != 7 || !strings.Contains(got, "      | -a\n      |\n      |- end\n") {
		t.Errorf("got:\n%s", g.Text())
	}
	again := must(ParseText("again", g.Text()))
	if again.Text() != g.Text() {
		t.Error("printing isn't stable")
	}
	n, _ := g.Node(ID{"t", "run", "build", "", "linux/amd64"})
	if f := n.Action.(*Run).Files[0]; f.Text != "-a\n\nend" || f.Mode != 0o755 {
		t.Errorf("file: %+v", f)
	}
}

func TestTextErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", `g:1:1: the text is empty`},
		{"comment only", "# x\n", `the text is empty`},
		{"no header", "node a/b/c\n", `g:1:1: a graph begins with "graph 1"`},
		{"version", "graph 2\n", `version 2 isn't known`},
		{"keyword", "graph 1\nnod a/b/c\n", `g:2:1: unknown keyword "nod"`},
		{"tabs", "graph 1\n\tnode a/b/c\n", `indent with spaces`},
		{"no action", "graph 1\nnode a/b/c\n", `g:2:1: node a/b/c: the node has 0 actions`},
		{"two actions", "graph 1\nnode a/b/c\n  merge\n  merge\n", `has 2 actions`},
		{"id", "graph 1\nnode a/b\n  merge\n", `"a/b" isn't a node's name`},
		{"attribute", "graph 1\nnode a/b/c\n  merge\n    part a/b/d pth=x\n", `g:4:5: node a/b/c: "pth=x" isn't possible here`},
		{"quote", "graph 1\nnode a/b/c\n  image \"x\n", `isn't a complete string`},
		{"missing", "graph 1\nnode a/b/c\n  merge\n    part a/b/d\n", `g:2:1: node a/b/c: merge.parts[0].from: refers to the node a/b/d, which isn't in the graph`},
		{"text elsewhere", "graph 1\nnode a/b/c\n  merge\n    | x\n", "must be indented below its file"},
		{"several", "graph 1\nnode a/b/c\n  merge x\n  root\nrt\n", `unknown keyword "rt"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseText("g", c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestJSONErrors(t *testing.T) {
	head := "{\"version\":1,\n\"nodes\":[\n"
	for _, c := range []struct{ name, json, want string }{
		{"empty", " ", `g:1:1: the file is empty`},
		{"not an object", `[]`, `a graph is an object`},
		{"cut off", head + `{"id":"a/b/c","merge":{"parts":[`, `g:3:33: the text ends in the middle`},
		{"syntax", head + `{"id":"a/b/c",}`, `g:3:15: invalid character`},
		{"version", `{"version":2}`, `g:1:12: version 2 isn't known`},
		{"no version", `{"nodes":[]}`, `there is no "version"`},
		{"unknown name", head + `{"id":"a/b/c","merg":{}}]}`, `g:3:15: node a/b/c: unknown name "merg"`},
		{"unknown top name", `{"version":1,"node":[]}`, `unknown name "node"`},
		{"twice", head + `{"id":"a/b/c","id":"a/b/d","merge":{"parts":[]}}]}`, `g:3:15: the name "id" is there twice`},
		{"twice by case", head + `{"id":"a/b/c","ID":"a/b/d","merge":{"parts":[]}}]}`, `the name "ID" is there twice`},
		{"type", head + `{"id":"a/b/c","merge":{"parts":7}}]}`, `g:3:`},
		{"id", head + `{"id":"a","merge":{"parts":[]}}]}`, `g:3:7: node a: "a" isn't a node's name`},
		{"no action", head + `{"id":"a/b/c"}]}`, `g:3:1: node a/b/c: the node has 0 actions`},
		{"two actions", head + `{"id":"a/b/c","merge":{"parts":[]},"image":{"ref":"x"}}]}`, `has 2 actions`},
		{"trailing", `{"version":1} x`, `there is text after the graph`},
		{"invalid", head + `{"id":"a/b/c","image":{"ref":""}}]}`, `g:3:1: node a/b/c: image.ref`},
		{"root", head + `],"roots":[{"name":"r","from":"a/b/c"}]}`, `g:3:12: root "r": from: refers to the node a/b/c`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseJSON("g", []byte(c.json))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	// Names that are data may differ in case only.
	ok := head + `{"id":"a/b/c","run":{"tasks":[],"outputs":[],"internal":{"/in/a":"/out/a","/in/A":"/out/a"}}}]}`
	if _, err := ParseJSON("g", []byte(ok)); err != nil {
		t.Error(err)
	}
}

func TestJSONExample(t *testing.T) {
	const file = "../examples/graph/graph.json"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := ParseJSON(file, data)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, n := range g.Nodes() {
		kinds[KindOf(n.Action)] = true
	}
	for _, k := range []string{"write", "local", "run", "merge"} {
		if !kinds[k] {
			t.Errorf("the example shows no %s", k)
		}
	}
	doc, err := os.ReadFile("../docs/graph-json.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), strings.TrimSpace(string(data))) {
		t.Error("docs/graph-json.md doesn't contain the example as it is")
	}
}

func TestDOT(t *testing.T) {
	dot := must(ParseText("s", sample)).DOT()
	for _, want := range []string{"digraph", `label="t/fetch\nlib\n1.0"`, "n0 -> n4;", "shape=folder"} {
		if !strings.Contains(dot, want) {
			t.Errorf("no %s in\n%s", want, dot)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func seeds(f *testing.F) {
	for seed := range uint64(3) {
		nodes, roots := layered(f, newRand(seed), 6)
		g := must(New(nodes, roots))
		f.Add(g.Text())
		f.Add(string(must(g.MarshalJSON())))
	}
	f.Add(sample)
	f.Add(string(must(must(ParseText("s", sample)).MarshalJSON())))
	f.Add("graph 1\nnode a/b/c\n  write\n    file x text=\"\\xff\"\n")
}

func FuzzParseText(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		g, err := ParseText("f", text)
		if err != nil {
			return
		}
		again, err := ParseText("f", g.Text())
		if err != nil || again.Text() != g.Text() {
			t.Fatalf("printing and parsing changed it (%v):\n%s", err, g.Text())
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		g, err := ParseJSON("f", []byte(text))
		if err != nil {
			return
		}
		again, err := ParseJSON("f", must(g.MarshalJSON()))
		if err != nil || again.Text() != g.Text() {
			t.Fatalf("printing and parsing changed it (%v):\n%s", err, g.Text())
		}
	})
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"a/b/c", "npm/fetch/@types/node@1.0[x y]", "a/b/@x", "a/b/%40", "//", "a/b/c@", "a/b/c[]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		var idErr *IDError
		if err != nil {
			if !errors.As(err, &idErr) {
				t.Fatalf("%T", err)
			}
			return
		}
		if id.String() != s {
			t.Fatalf("%q became %q", s, id)
		}
	})
}
