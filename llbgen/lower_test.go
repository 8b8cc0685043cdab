package llbgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

const everything = `graph 1
node t/fetch/lib@1.0
  fetch
    item lib@1.0
      url https://registry.example.com/lib.tgz
      integrity sha256-AAAA
      auth lib-token
      unpack tar strip=1
      dest lib
node t/image/base@1
  image registry.example.com/base:1
node t/import/tool@2[linux/amd64] on linux/amd64
  import sha256:0000000000000000000000000000000000000000000000000000000000000000 name="tool 2"
node t/local/src
  local
    file a.c
    file b.c
node t/write/links
  write
    file bin/prog link=../prog
    file empty dir mode=0700
    file sub/dir/note text="note <1>"
node t/run/build on linux/amd64
  run
    mount /in/a.c from t/local/src path=a.c
    mount /in/b.c from t/local/src path=b.c
    mount /in/lib from t/fetch/lib@1.0 path=lib writable
    mount /in/tool from t/import/tool@2[linux/amd64]
    secret token env=TOKEN
    secret other target=/run/other optional
    task build
      exec /in/tool/cc -o /out/prog /in/a.c /in/b.c
    output prog
node t/run/check on linux/arm64
  run
    base t/image/base@1
    mount /in/prog from t/run/build path=prog
    network
    internal /in/x /out/y
    task check
      exec /in/prog
    output y
node t/merge/all
  merge
    part t/run/build
    part t/write/links
    part t/local/src target=src
    part t/fetch/lib@1.0 path=lib target=lib
root all from=t/merge/all
root check from=t/run/check path=y dest=y
root prog from=t/run/build path=prog dest=bin/prog
`

func TestGolden(t *testing.T) {
	p := lower(t, everything, nil)
	var b strings.Builder
	for _, e := range p.Exports {
		for _, d := range e.Definitions {
			fmt.Fprintf(&b, "# %s\n%s\n", e.Dir, dump(t, d))
		}
	}
	fmt.Fprintf(&b, "imports %v\nsecrets %v\noptional %v\nimages %v\n", p.Imports, p.Secrets, p.OptionalSecrets, p.Images)
	golden(t, "everything.txt", b.String())

	b.Reset()
	p = lower(t, everything, func(o *Options) { o.NoMerge = true })
	for _, e := range p.Exports {
		fmt.Fprintf(&b, "# %s\n%s\n", e.Dir, dump(t, e.Definitions[0]))
	}
	golden(t, "nomerge.txt", b.String())
}

func TestDeterministic(t *testing.T) {
	want := bytesOf(t, lower(t, everything, nil))
	for range 10 {
		if !bytes.Equal(bytesOf(t, lower(t, everything, nil)), want) {
			t.Fatal("the same graph gave other bytes")
		}
	}
	// The result is BuildKit's own: it reads the bytes back.
	def, err := llb.ReadFrom(bytes.NewReader(bytesOf(t, lower(t, "graph 1\nnode t/image/x\n  image x\nroot x from=t/image/x\n", nil))))
	if err != nil || len(def.Def) != 2 {
		t.Fatal(def, err)
	}
}

// TestNothingOfTheHost lowers for a foreign platform, and looks for this one.
func TestNothingOfTheHost(t *testing.T) {
	p := lower(t, strings.ReplaceAll(everything, "linux/amd64", "linux/arm64"), func(o *Options) { o.Platform = "linux/arm64" })
	for _, e := range p.Exports {
		ops, _ := decode(t, e.Definitions[0])
		for _, o := range ops {
			if o.Platform != nil && o.Platform.Architecture != "arm64" {
				t.Errorf("%s runs on %s", o.name, o.Platform)
			}
		}
	}
}

func TestMergeAlgebra(t *testing.T) {
	const parts = `node t/write/a
  write
    file a text=a
node t/write/b
  write
    file b text=b
node t/merge/none
  merge
node t/merge/one
  merge
    part t/write/a
node t/merge/same
  merge
    part t/merge/none
    part t/write/a
node t/merge/two
  merge
    part t/write/a
    part t/write/b
node t/merge/moved
  merge
    part t/write/a target=sub
`
	digests := map[string]string{}
	for _, name := range []string{"merge/none", "merge/one", "merge/same", "merge/two", "merge/moved", "write/a"} {
		p := lower(t, "graph 1\n"+parts+"root r from=t/"+name+"\n", nil)
		ops, result := decode(t, p.Exports[0].Definitions[0])
		digests[name] = result.Digest
		merges := 0
		for _, o := range ops {
			if o.GetMerge() != nil {
				merges++
			}
		}
		if want := map[string]int{"merge/two": 1}[name]; merges != want {
			t.Errorf("%s: %d merge ops, want %d", name, merges, want)
		}
	}
	if digests["merge/one"] != digests["write/a"] || digests["merge/same"] != digests["write/a"] {
		t.Error("a merge of one isn't that one")
	}
	if digests["merge/two"] == digests["write/a"] || digests["merge/moved"] == digests["write/a"] {
		t.Error("different merges are the same")
	}
}

// TestNetworkAndSecrets: only fetches, and runs that were allowed to, have a network; secrets are
// mounted only where a node asks for them. Runs with a network get the settings of the network, too.
func TestNetworkAndSecrets(t *testing.T) {
	for _, e := range lower(t, everything, nil).Exports {
		ops, _ := decode(t, e.Definitions[0])
		for _, o := range ops {
			x := o.GetExec()
			if x == nil {
				continue
			}
			var secrets []string
			for _, m := range x.Mounts {
				if m.SecretOpt != nil {
					secrets = append(secrets, m.SecretOpt.ID)
				}
			}
			for _, s := range x.Secretenv {
				secrets = append(secrets, s.ID)
			}
			want, network := "", pb.NetMode_NONE
			switch o.name {
			case "[t/fetch] lib@1.0":
				want, network = "mergefest.net lib-token", pb.NetMode_UNSET
			case "[t/run] build":
				want = "other token"
			case "[t/run] check":
				want, network = "mergefest.ca", pb.NetMode_UNSET
				for _, name := range graph.NetworkEnv() {
					want += " mergefest.env." + name
				}
			}
			if got := strings.Join(secrets, " "); got != want || x.Network != network {
				t.Errorf("%s: secrets %q, network %s", o.name, got, x.Network)
			}
		}
	}
}

// TestEarlyCutoff: every input but the root is mounted so that BuildKit keys it by content, and the
// output is a mount of its own.
func TestEarlyCutoff(t *testing.T) {
	for _, e := range lower(t, everything, nil).Exports {
		ops, _ := decode(t, e.Definitions[0])
		for _, o := range ops {
			for _, m := range o.GetExec().GetMounts() {
				switch {
				case m.Dest == "/", m.SecretOpt != nil:
				case m.Dest == "/out":
					if m.Input != int64(pb.Empty) || m.Output < 0 {
						t.Errorf("%s: /out is %v", o.name, m)
					}
				case m.Output != int64(pb.SkipOutput):
					t.Errorf("%s: the mount %s has an output", o.name, m.Dest)
				}
			}
		}
	}
}

// TestWritableLocalFiles: the client's files themselves are never mounted to be written to, because
// then BuildKit couldn't bring them up to date for the next build.
func TestWritableLocalFiles(t *testing.T) {
	const text = `graph 1
node t/image/i
  image x
node t/local/src
  local
    file a.c
node t/run/r on linux/amd64
  run
    mount /read from t/local/src
    mount /write from t/local/src writable
    task x
      exec x
    output o
root r from=t/run/r
`
	ops := one(t, lower(t, text, nil))
	byDigest := map[string]op{}
	for _, o := range ops {
		byDigest[o.digest.String()] = o
	}
	for _, o := range ops {
		for _, m := range o.GetExec().GetMounts() {
			if m.Dest != "/read" && m.Dest != "/write" {
				continue
			}
			in := byDigest[o.Inputs[m.Input].Digest]
			if local := in.GetSource() != nil; local != m.Readonly {
				t.Errorf("%s: readonly=%v, the client's own files=%v", m.Dest, m.Readonly, local)
			}
		}
	}
}

// selectorsOf returns what tells the mounts of one source apart.
func selectorsOf(t *testing.T, mounts string) (env string) {
	t.Helper()
	text := "graph 1\nnode t/image/i\n  image x\nnode t/run/r\n  run\n" + mounts + "    task x\n      exec x\n    output o\nroot r from=t/run/r\n"
	for _, e := range named(one(t, lower(t, text, nil)), "[t/run]")[0].GetExec().Meta.Env {
		if v, ok := strings.CutPrefix(e, SelectorsEnv+"="); ok {
			env = v
		}
	}
	return env
}

func TestSelectorsAreInTheKey(t *testing.T) {
	mount := func(target, path string) string {
		return "    mount " + target + " from t/image/i path=" + path + "\n"
	}
	single := selectorsOf(t, mount("/in/a", "v1/x"))
	same := selectorsOf(t, mount("/in/a", "v1/x")+mount("/in/b", "v1/x"))
	if single != "" || same != "" {
		t.Error("one path of a source needs no distinction")
	}
	base := selectorsOf(t, mount("/in/a", "v1/x")+mount("/in/b", "v1/y"))
	swapped := selectorsOf(t, mount("/in/a", "v1/y")+mount("/in/b", "v1/x"))
	version := selectorsOf(t, mount("/in/a", "v2/x")+mount("/in/b", "v2/y"))
	inside := selectorsOf(t, mount("/in/a", "v1/x")+mount("/in/b", "v1/x/y"))
	inside2 := selectorsOf(t, mount("/in/a", "v1/x")+mount("/in/b", "v1/x/z"))
	if base == "" || base == swapped {
		t.Errorf("mounts that swap their paths have one key (%q)", base)
	}
	if base != version {
		t.Error("another name for the same paths in the same order prevents early cutoff")
	}
	if inside == inside2 || inside == "" {
		t.Error("a path below another one isn't in the key")
	}
}

func TestLongDocument(t *testing.T) {
	text := func(n int) string {
		return "graph 1\nnode t/run/r\n  run\n    file /tmp/x text=" + strings.Repeat("x", n) + "\n    task x\n      exec x\n    output o\nroot r from=t/run/r\n"
	}
	short := one(t, lower(t, text(100), nil))
	if len(short) != 2 || !strings.HasPrefix(short[1].GetExec().Meta.Args[2], `{"files":[{"path":"/tmp/x"`) {
		t.Errorf("got %v", short)
	}
	p := lower(t, text(InlineLimit), nil)
	long := named(one(t, p), "[t/run]")
	if len(long) != 2 || long[0].name != "[t/run] r: plan" {
		t.Fatalf("got %v", long)
	}
	doc, exec := long[0].GetFile().Actions[0].GetMkfile(), long[1].GetExec()
	if arg := exec.Meta.Args[2]; arg != "@/.mergefest-doc.json" || !bytes.HasPrefix(doc.Data, []byte(`{"files":`)) {
		t.Errorf("args %q, file %.40q", exec.Meta.Args, doc.Data)
	}
	if plan, run := p.Vertices[long[0].digest], p.Vertices[long[1].digest]; len(plan) != 0 || len(run) != 1 {
		t.Errorf("the file belongs to %v and the op to %v; want no node and one", plan, run)
	}
}

func TestManyFilesAreWrittenByTheHelper(t *testing.T) {
	var w graph.Write
	for i := range maxFileActions + 1 {
		w.Files = append(w.Files, action.File{Path: fmt.Sprint("f", i), Text: "x"})
	}
	id := graph.ID{Ecosystem: "t", Kind: "write", Package: "w"}
	g, err := graph.New([]graph.Node{{ID: id, Action: &w}}, []graph.Root{{Name: "w", From: id}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Lower(context.Background(), g, options())
	if err != nil {
		t.Fatal(err)
	}
	exec := named(one(t, p), "[t/write] w")[1].GetExec()
	if exec == nil || exec.Meta.Args[1] != "write" || exec.Network != pb.NetMode_NONE {
		t.Errorf("got %v", exec)
	}
}

func TestVertices(t *testing.T) {
	text := `graph 1
node t/local/a
  local
    file a
node t/local/b
  local
    file b
node t/write/w1
  write
    file x text=x
node t/write/w2
  write
    file x text=x
node t/merge/m
  merge
    part t/local/a
    part t/local/b
    part t/write/w1
    part t/write/w2
root m from=t/merge/m
`
	p := lower(t, text, nil)
	got := map[string]string{}
	for _, o := range one(t, p) {
		var ids []string
		for _, id := range p.Vertices[o.digest] {
			ids = append(ids, id.Kind+"/"+id.Package)
		}
		got[o.name] = strings.Join(ids, " ")
	}
	for name, want := range map[string]string{
		"[mergefest] local files": "local/a local/b",
		"[t/write] w1":            "write/w1 write/w2", // the same op
		"[t/merge] m":             "merge/m",
		"[t/merge] m: part of a":  "merge/m",
	} {
		if got[name] != want {
			t.Errorf("%s belongs to %q, want %q (all: %v)", name, got[name], want, got)
		}
	}
}

func TestErrors(t *testing.T) {
	g, err := graph.ParseText("g", everything)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.Platform = "" }, "option Platform: "},
		{func(o *Options) { o.LocalDigest = "" }, "option LocalDigest: "},
		{func(o *Options) { o.Helper = map[string]digest.Digest{"linux/amd64": "x"} }, "option Helper: "},
		{func(o *Options) { delete(o.Helper, "linux/arm64") }, "node t/run/check: nothing can run on linux/arm64"},
	} {
		o := options()
		c.change(&o)
		if _, err := Lower(context.Background(), g, o); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	o := options()
	o.Helper = nil
	_, err = Lower(context.Background(), g, o)
	var e *Error
	var h *HelperError
	if !errors.As(err, &e) || !errors.As(err, &h) || !strings.Contains(err.Error(), "needed by:\n\tt/merge/all") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkLower(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		g := fan(b, n, 1<<10, true)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Lower(context.Background(), g, options()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
