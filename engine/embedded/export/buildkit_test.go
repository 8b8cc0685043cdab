//go:build linux

package export_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded/export"
	"github.com/mergefest/mergefest/internal/testengine"
)

// files makes a state with files and their content, one layer.
func files(spec ...string) llb.State {
	var actions *llb.FileAction
	for i := 0; i < len(spec); i += 2 {
		path, content := "/"+spec[i], []byte(spec[i+1])
		mkdir := func(dir string) {
			if actions == nil {
				actions = llb.Mkdir(dir, 0o755, llb.WithParents(true))
			} else {
				actions = actions.Mkdir(dir, 0o755, llb.WithParents(true))
			}
		}
		if dir := filepath.Dir(path); dir != "/" {
			mkdir(dir)
		}
		if actions == nil {
			actions = llb.Mkfile(path, 0o644, content)
		} else {
			actions = actions.Mkfile(path, 0o644, content)
		}
	}
	return llb.Scratch().File(actions)
}

func solve(t testing.TB, e *engine.Engine, s llb.State, dir string, attrs ...string) (export.Summary, error) {
	t.Helper()
	def, err := s.Marshal(context.Background(), llb.Platform(ocispecs.Platform{OS: "linux", Architecture: "amd64"}))
	if err != nil {
		t.Fatal(err)
	}
	out := &engine.Output{Dir: dir, Attrs: map[string]string{}}
	for _, a := range attrs {
		k, v, _ := strings.Cut(a, "=")
		out.Attrs[k] = v
	}
	res, err := e.Solve(context.Background(), engine.Request{Definition: def, Output: out, Status: exportTime(t)})
	if err != nil {
		return export.Summary{}, err
	}
	sum, ok := engine.ParseSummary(res.Response)
	if !ok {
		t.Fatalf("response: %v", res.Response)
	}
	return sum, nil
}

// exportTime logs how long the export itself took, without the solve.
func exportTime(t testing.TB) func(*client.SolveStatus) {
	return func(st *client.SolveStatus) {
		for _, v := range st.Vertexes {
			if strings.HasPrefix(v.Name, "exporting to ") && v.Started != nil && v.Completed != nil {
				t.Logf("%s: %v", v.Name, v.Completed.Sub(*v.Started).Round(time.Millisecond))
			}
		}
	}
}

func tree(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		list = append(list, rel+"="+string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// Every shape of result gives what BuildKit's own exporter gives.
func TestShapes(t *testing.T) {
	e := testengine.Start(t)
	a := files("a/x", "1", "a/y", "2", "top", "3")
	b := files("b/x", "4", "a/y", "5")
	stacked := a.File(llb.Rm("/a/x").Mkfile("/a/z", 0o644, []byte("6")))
	replaced := a.File(llb.Rm("/a")).File(llb.Mkdir("/a", 0o755).Mkfile("/a/new", 0o644, []byte("7")))
	cases := map[string]struct {
		state llb.State
		want  []string
	}{
		"leaf":             {a, []string{"a/x=1", "a/y=2", "top=3"}},
		"merge":            {llb.Merge([]llb.State{a, b}), []string{"a/x=1", "a/y=5", "b/x=4", "top=3"}},
		"stack":            {stacked, []string{"a/y=2", "a/z=6", "top=3"}},
		"merge of stacks":  {llb.Merge([]llb.State{b, stacked}), []string{"a/y=2", "a/z=6", "b/x=4", "top=3"}},
		"replaced":         {replaced, []string{"a/new=7", "top=3"}},
		"merge, replaced":  {llb.Merge([]llb.State{b, replaced}), []string{"a/new=7", "b/x=4", "top=3"}},
		"diff":             {llb.Diff(a, stacked), []string{"a/z=6"}},
		"merge of diff":    {llb.Merge([]llb.State{a, llb.Diff(a, stacked)}), []string{"a/y=2", "a/z=6", "top=3"}},
		"computed diff":    {llb.Merge([]llb.State{a, b, llb.Diff(llb.Merge([]llb.State{a, b}), files("a/x", "1"))}), []string{"a/x=1"}},
		"stack on a merge": {llb.Merge([]llb.State{a, b}).File(llb.Rm("/a/x")), []string{"a/y=5", "b/x=4", "top=3"}},
		"copy of a merge":  {llb.Scratch().File(llb.Copy(llb.Merge([]llb.State{a, b}), "/a", "/c")), []string{"c/x=1", "c/y=5"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			sum, err := solve(t, e, c.state, dir)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, tree(t, dir)); diff != "" {
				t.Errorf("(- wanted, + found)\n%s", diff)
			}
			if sum.Files != len(c.want) || sum.Written != len(c.want) {
				t.Errorf("%+v", sum)
			}
			sum, err = solve(t, e, c.state, dir)
			if err != nil || sum.Written > 0 || sum.Removed > 0 {
				t.Errorf("the second export: %+v, %v", sum, err)
			}
		})
	}
}

// A merge is exported without being materialised, and a change of one part touches that part only.
func TestIncremental(t *testing.T) {
	e := testengine.Start(t)
	dir := t.TempDir()
	pkg := func(i int, version string) llb.State {
		return files(fmt.Sprintf("node_modules/p%d/index.js", i), version, fmt.Sprintf("node_modules/p%d/lib/a.js", i), "same")
	}
	var parts []llb.State
	for i := range 40 {
		parts = append(parts, pkg(i, "1"))
	}
	sum, err := solve(t, e, llb.Merge(parts), dir)
	if err != nil || sum.Written != 80 {
		t.Fatal(sum, err)
	}
	parts[7] = pkg(7, "2")
	sum, err = solve(t, e, llb.Merge(parts[:39]), dir)
	if err != nil || sum.Written != 1 || sum.Removed != 2 || sum.Unchanged != 77 {
		t.Fatal(sum, err)
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "node_modules/p7/index.js")); string(data) != "2" {
		t.Errorf("%q", data)
	}
	os.WriteFile(filepath.Join(dir, "node_modules/p3/index.js"), []byte("X"), 0o644)
	sum, err = solve(t, e, llb.Merge(parts[:39]), dir)
	if err != nil || sum.Written != 1 {
		t.Fatal(sum, err)
	}
}

// A conflict reaches the client with the name of what is in the way.
func TestConflictReachesClient(t *testing.T) {
	e := testengine.Start(t)
	dir := t.TempDir()
	os.Symlink(t.TempDir(), filepath.Join(dir, "a"))
	_, err := solve(t, e, files("a/f", "1"), dir)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "a")+" is a symbolic link") {
		t.Error(err)
	}
}

// TestManyLayers shows what a merge of many packages costs beside its solve.
func TestManyLayers(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	e := testengine.Start(t)
	dir := t.TempDir()
	var parts []llb.State
	for i := range 300 {
		var spec []string
		for f := range 5 {
			spec = append(spec, fmt.Sprintf("node_modules/p%d/f%d.js", i, f), fmt.Sprint("content ", i, f))
		}
		parts = append(parts, files(spec...))
	}
	all := llb.Merge(parts)
	for _, step := range []string{"first", "nothing changed", "one changed", "removed and exported again"} {
		switch step {
		case "one changed":
			parts[150] = files("node_modules/p150/f0.js", "changed")
			all = llb.Merge(parts)
		case "removed and exported again":
			os.RemoveAll(filepath.Join(dir, "node_modules"))
		}
		start := time.Now()
		sum, err := solve(t, e, all, dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %v, %+v", step, time.Since(start).Round(time.Millisecond), sum)
	}
}
