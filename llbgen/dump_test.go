// Decoding definitions for tests: every test here looks at what was marshalled.

package llbgen

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"

	"github.com/mergefest/mergefest/graph"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	helperAMD = digest.Digest("sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
	helperARM = digest.Digest("sha256:ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
)

func options() Options {
	return Options{
		Platform:    "linux/amd64",
		Helper:      map[string]digest.Digest{"linux/amd64": helperAMD, "linux/arm64": helperARM},
		LocalDigest: "local-1",
	}
}

// lower lowers the text of a graph.
func lower(t testing.TB, text string, change func(*Options)) *Plan {
	t.Helper()
	g, err := graph.ParseText("g", text)
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	if change != nil {
		change(&o)
	}
	p, err := Lower(context.Background(), g, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// op is a decoded vertex.
type op struct {
	*pb.Op
	digest digest.Digest
	name   string
}

// decode returns the vertices of a definition, without the last, which names the result.
func decode(t testing.TB, def *llb.Definition) (ops []op, result *pb.Input) {
	t.Helper()
	for i, data := range def.Def {
		var o pb.Op
		if err := o.UnmarshalVT(data); err != nil {
			t.Fatal(err)
		}
		dgst := digest.FromBytes(data)
		if i == len(def.Def)-1 {
			if len(o.Inputs) != 1 || o.Op != nil {
				t.Fatalf("the last op isn't a result: %v", &o)
			}
			return ops, o.Inputs[0]
		}
		ops = append(ops, op{Op: &o, digest: dgst, name: def.Metadata[dgst].Description["llb.customname"]})
	}
	t.Fatal("an empty definition")
	return nil, nil
}

// named returns the ops whose name has a prefix.
func named(ops []op, prefix string) (found []op) {
	for _, o := range ops {
		if strings.HasPrefix(o.name, prefix) {
			found = append(found, o)
		}
	}
	return found
}

func one(t testing.TB, p *Plan) []op {
	t.Helper()
	if len(p.Exports) != 1 || len(p.Exports[0].Definitions) != 1 {
		t.Fatalf("want one definition, got %+v", p.Exports)
	}
	ops, _ := decode(t, p.Exports[0].Definitions[0])
	return ops
}

// dump prints a definition: the ops numbered in their order, one line for each fact.
func dump(t testing.TB, def *llb.Definition) string {
	ops, result := decode(t, def)
	number := map[string]int{}
	var b strings.Builder
	ref := func(inputs []*pb.Input, i int64) string {
		if i < 0 {
			return "scratch"
		}
		return fmt.Sprintf("%d.%d", number[inputs[i].Digest], inputs[i].Index)
	}
	for i, o := range ops {
		number[string(o.digest)] = i
		fmt.Fprintf(&b, "%d %s\n", i, o.name)
		if p := o.Platform; p != nil {
			fmt.Fprintf(&b, "  platform %s/%s\n", p.OS, p.Architecture)
		}
		switch v := o.Op.Op.(type) {
		case *pb.Op_Source:
			fmt.Fprintf(&b, "  source %s\n", v.Source.Identifier)
			var attrs []string
			for k, val := range v.Source.Attrs {
				attrs = append(attrs, fmt.Sprintf("    %s = %s\n", k, val))
			}
			sort.Strings(attrs)
			b.WriteString(strings.Join(attrs, ""))
		case *pb.Op_Exec:
			dumpExec(&b, o, v.Exec, ref)
		case *pb.Op_File:
			for _, a := range v.File.Actions {
				in := ref(o.Inputs, min(a.Input, int64(len(o.Inputs))-1))
				if a.Input >= int64(len(o.Inputs)) {
					in = "above"
				}
				fmt.Fprintf(&b, "  on %s: ", in)
				dumpAction(&b, o, a, ref)
			}
		case *pb.Op_Merge:
			for _, in := range v.Merge.Inputs {
				fmt.Fprintf(&b, "  merge %s\n", ref(o.Inputs, in.Input))
			}
		}
	}
	fmt.Fprintf(&b, "result %s\n", ref([]*pb.Input{result}, 0))
	return b.String()
}

func dumpExec(b *strings.Builder, o op, e *pb.ExecOp, ref func([]*pb.Input, int64) string) {
	fmt.Fprintf(b, "  exec %s in %s, network %s\n", strings.Join(e.Meta.Args, " "), e.Meta.Cwd, e.Network)
	for _, env := range e.Meta.Env {
		fmt.Fprintf(b, "  env %s\n", env)
	}
	for _, s := range e.Secretenv {
		fmt.Fprintf(b, "  secret %s in $%s optional=%t\n", s.ID, s.Name, s.Optional)
	}
	for _, m := range e.Mounts {
		if s := m.SecretOpt; s != nil {
			fmt.Fprintf(b, "  secret %s at %s optional=%t\n", s.ID, m.Dest, s.Optional)
			continue
		}
		fmt.Fprintf(b, "  mount %s from %s", m.Dest, ref(o.Inputs, m.Input))
		if m.Selector != "" {
			fmt.Fprintf(b, " path %s", m.Selector)
		}
		if m.Readonly {
			b.WriteString(" readonly")
		}
		if m.Output >= 0 {
			fmt.Fprintf(b, " output %d", m.Output)
		}
		b.WriteByte('\n')
	}
}

func dumpAction(b *strings.Builder, o op, a *pb.FileAction, ref func([]*pb.Input, int64) string) {
	switch v := a.Action.(type) {
	case *pb.FileAction_Mkdir:
		fmt.Fprintf(b, "mkdir %s %o time %d\n", v.Mkdir.Path, v.Mkdir.Mode, v.Mkdir.Timestamp/1e9)
	case *pb.FileAction_Mkfile:
		fmt.Fprintf(b, "mkfile %s %o %.60q time %d\n", v.Mkfile.Path, v.Mkfile.Mode, v.Mkfile.Data, v.Mkfile.Timestamp/1e9)
	case *pb.FileAction_Symlink:
		fmt.Fprintf(b, "symlink %s -> %s time %d\n", v.Symlink.Newpath, v.Symlink.Oldpath, v.Symlink.Timestamp/1e9)
	case *pb.FileAction_Copy:
		c := v.Copy
		fmt.Fprintf(b, "copy %s:%s to %s contents=%t parents=%t replace=%t time %d\n", ref(o.Inputs, a.SecondaryInput), c.Src, c.Dest,
			c.DirCopyContents, c.CreateDestPath, c.AlwaysReplaceExistingDestPaths, c.Timestamp/1e9)
	default:
		fmt.Fprintf(b, "%T\n", v)
	}
}

// golden compares with a file, or rewrites it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", file, got)
	}
}

// bytesOf is what would be sent.
func bytesOf(t testing.TB, p *Plan) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, e := range p.Exports {
		for _, d := range e.Definitions {
			if err := Write(&b, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.Bytes()
}
