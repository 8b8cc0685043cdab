// Arbitrary values and arbitrary graphs for property tests.

package graph

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
)

// fill sets every exported field of a value to something, so that a notation that forgets one is
// noticed.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem())
	case reflect.Struct:
		if id, ok := v.Addr().Interface().(*ID); ok {
			*id = ID{randomText(r), randomText(r), randomText(r) + "p", randomText(r), randomText(r)}
			return
		}
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Slice:
		n := 1 + r.IntN(2)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("k"+randomText(r)), reflect.ValueOf(randomText(r)))
	case reflect.String:
		v.SetString(randomText(r) + "x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(1 + r.IntN(9)))
	case reflect.Uint8, reflect.Uint32:
		v.SetUint(uint64(1 + r.IntN(127)))
	default:
		panic("no arbitrary value for " + v.Type().String())
	}
}

// randomText returns text with everything that is special in some notation.
func randomText(r *rand.Rand) string {
	pieces := []string{"a", "b/c", "@", "%", "[", "]", " ", "\"", "=", "\n", "\t", "|", "#", "-", "é", "\\", "'", "`", "..", "\x00", ">", "&"}
	var b strings.Builder
	for range r.IntN(5) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// layered returns a valid graph of n nodes: a toolchain, sources, and runs that read up to three
// earlier ones, much as a compiled project has them.
func layered(tb testing.TB, r *rand.Rand, n int) ([]Node, []Root) {
	tb.Helper()
	tool := ID{"t", "import", "tool", "1", ""}
	nodes := []Node{{ID: tool, Action: &Import{Digest: "sha256:" + strings.Repeat("0", 64), Name: "tool"}}}
	var runs []ID
	for i := 0; len(nodes) < n; i++ {
		src := ID{"t", "local", fmt.Sprintf("pkg/%d", i), "", ""}
		nodes = append(nodes, Node{ID: src, Action: &Local{Files: []LocalFile{{Path: "a.go"}, {Path: "b.go", Source: fmt.Sprintf("pkg/%d/b.go", i)}}}})
		run := ID{"t", "compile", fmt.Sprintf("pkg/%d", i), "", "linux/amd64"}
		a := &Run{
			Run: action.Run{
				Files:   []action.File{{Path: "/tmp/importcfg", Text: "packagefile a=/in/a\npackagefile b=/in/b\n"}},
				Tasks:   []action.Task{{Name: run.Package, Commands: []action.Command{{Args: []string{"/in/tool/compile", "-o", "/out/x", "-p", run.Package}, Env: []string{"A=b"}}}}},
				Outputs: []action.Output{{Path: fmt.Sprintf("p%d/x", i)}},
			},
			Mounts: []Input{{From: tool, Target: "/in/tool"}, {From: src, Target: fmt.Sprintf("/in/src%d", i)}},
		}
		used := map[int]bool{}
		for range min(3, len(runs)) {
			if j := r.IntN(len(runs)); !used[j] {
				used[j] = true
				p := fmt.Sprintf("p%d/x", j)
				a.Mounts = append(a.Mounts, Input{From: runs[j], Path: p, Target: "/in/" + p})
			}
		}
		nodes = append(nodes, Node{ID: run, Platform: "linux/amd64", Action: a})
		runs = append(runs, run)
	}
	return nodes, []Root{{Name: "all", From: nodes[len(nodes)-1].ID, Dest: "bin/all"}, {Name: "check", From: nodes[0].ID, Discard: true}}
}

// shuffled returns a copy in another order.
func shuffled[T any](r *rand.Rand, in []T) []T {
	out := append([]T(nil), in...)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
