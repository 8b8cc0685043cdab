// What a lowering means is what an engine makes of it: these tests solve on real ones.

package llbgen_test

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/moby/buildkit/client"
	digest "github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/internal/helperbin"
	"github.com/mergefest/mergefest/internal/localfs"
	"github.com/mergefest/mergefest/internal/testengine"
	"github.com/mergefest/mergefest/llbgen"
)

// lab is an engine with the helper's image.
type lab struct {
	engine  *engine.Engine
	store   content.Store
	options llbgen.Options
}

func newLab(t *testing.T, e *engine.Engine) *lab {
	t.Helper()
	const platform = "linux/amd64"
	img, err := helperbin.ImageOf(platform)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := img.LayerData()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	for d, data := range map[digest.Digest][]byte{img.Layer.Digest: layer,
		img.Config.Descriptor.Digest: img.Config.Data, img.Manifest.Descriptor.Digest: img.Manifest.Data} {
		if err := os.WriteFile(filepath.Join(blobs, d.Encoded()), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	store, err := local.NewStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &lab{engine: e, store: store, options: llbgen.Options{Platform: platform,
		Helper: map[string]digest.Digest{platform: img.Manifest.Descriptor.Digest}}}
}

// build solves a graph and returns what is delivered, as "mode content" by path, and the names of
// the ops that were executed.
func (l *lab) build(t *testing.T, g *graph.Graph, project string, change func(*llbgen.Options)) (files map[string]string, executed []string) {
	t.Helper()
	var dirs []localfs.Dir
	for _, n := range g.Nodes() {
		if a, ok := n.Action.(*graph.Local); ok {
			dirs = append(dirs, localfs.Dir{Name: llbgen.LocalDir(n.ID), Node: n.ID, Root: project, Files: a.Files})
		}
	}
	locals, err := localfs.New(t.Context(), dirs)
	if err != nil {
		t.Fatal(err)
	}
	o := l.options
	o.LocalDigest = locals.Digest()
	if change != nil {
		change(&o)
	}
	plan, err := llbgen.Lower(context.Background(), g, o)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	ran, keyed := map[string]bool{}, map[digest.Digest]bool{}
	var mu sync.Mutex
	for _, e := range plan.Exports {
		for _, def := range e.Definitions {
			_, err := l.engine.Solve(t.Context(), engine.Request{
				Definition: def, SharedKey: project,
				Locals: map[string]fsutil.FS{llbgen.LocalName: locals},
				Stores: map[string]content.Store{llbgen.StoreName: l.store},
				Output: &engine.Output{Dir: filepath.Join(out, e.Dir)},
				Status: func(s *client.SolveStatus) {
					mu.Lock()
					defer mu.Unlock()
					for _, v := range s.Vertexes {
						if v.Completed == nil || v.Cached || len(plan.Vertices[v.Digest]) == 0 {
							continue
						}
						// An op without inputs first completes when its key is there.
						if keyed[v.Digest] || len(v.Inputs) > 0 {
							ran[v.Name] = true
						}
						keyed[v.Digest] = true
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return readTree(t, out), slices.Sorted(maps.Keys(ran))
}

func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		value := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			value += " " + string(data)
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			value += " " + to
		}
		files[rel] = value
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// engines runs a test on the embedded engine, and on a stock one if there is one.
func engines(t *testing.T, f func(t *testing.T, l *lab)) {
	t.Run("embedded", func(t *testing.T) { f(t, newLab(t, testengine.Start(t))) })
	t.Run("stock", func(t *testing.T) { f(t, newLab(t, testengine.Stock(t))) })
}

func parse(t *testing.T, text string) *graph.Graph {
	t.Helper()
	g, err := graph.ParseText("test", text)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestExample builds the example of a graph in all ways in which it can be lowered.
func TestExample(t *testing.T) {
	const project = "../examples/graph"
	data, err := os.ReadFile(filepath.Join(project, "graph.json"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.ParseJSON("graph.json", data)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"index.txt":               "-rw-r--r-- 2025/new.txt\n2024/old.txt\n",
		"site":                    "drwxr-xr-x",
		"site/bin":                "drwxr-xr-x",
		"site/bin/start":          "-rwxr-xr-x #!/bin/sh\necho started\n",
		"site/current":            "Lrwxrwxrwx notes/first.txt",
		"site/logs":               "drwxr-xr-x",
		"site/notes":              "drwxr-xr-x",
		"site/notes/2024":         "drwxr-xr-x",
		"site/notes/2024/old.txt": "-rw-r--r-- The first note.\n",
		"site/notes/2025":         "drwxr-xr-x",
		"site/notes/2025/new.txt": "-rw-r--r-- The second note.\n",
		"site/notes/first.txt":    "-rw-r--r-- The first note.\n",
		"site/notes/index":        "-rw-r--r-- 2025/new.txt\n2024/old.txt\n",
		"site/settings.ini":       "-rw-r--r-- [site]\nname = example\n",
	}
	engines(t, func(t *testing.T, l *lab) {
		for name, change := range map[string]func(*llbgen.Options){
			"merge":  nil,
			"copies": func(o *llbgen.Options) { o.NoMerge = true },
			"split":  func(o *llbgen.Options) { o.MaxBytes = 2600 },
		} {
			if name == "split" && l.engine.Info().MaxMessage == 0 {
				continue // nothing is split for it, and what it wrote to a directory is its own to remove
			}
			got, _ := l.build(t, g, project, change)
			if !maps.Equal(got, want) {
				t.Errorf("%s:\ngot  %q\nwant %q", name, got, want)
			}
		}
		if _, executed := l.build(t, g, project, nil); len(executed) > 0 && !slices.Equal(executed, []string{"[mergefest] local files"}) {
			t.Errorf("the second build executed %q", executed)
		}
	})
}

// TestSwappedSelectors: two ops that mount two paths of one source the other way round don't share a
// result.
func TestSwappedSelectors(t *testing.T) {
	const text = `graph 1
node t/write/w
  write
    file a text=A
    file b text=B
    file d/x text=X
    file d/y text=Y
node t/run/r on linux/amd64
  run
    mount /in/1 from t/write/w path=a
    mount /in/2 from t/write/w path=b
    mount /in/3 from t/write/w path=d
    mount /in/4 from t/write/w path=d/x
    task t
      exec @copy /in/1 /out/1
      exec @copy /in/2 /out/2
      exec @copy /in/4 /out/4
    output 1
    output 2
    output 4
root r from=t/run/r
`
	engines(t, func(t *testing.T, l *lab) {
		first, _ := l.build(t, parse(t, text), t.TempDir(), nil)
		swapped, _ := l.build(t, parse(t, strings.NewReplacer("path=a", "path=b", "path=b", "path=a", "path=d/x", "path=d/y").Replace(text)), t.TempDir(), nil)
		const mode = "-rw-r--r-- "
		if first["1"] != mode+"A" || first["2"] != mode+"B" || first["4"] != mode+"X" {
			t.Errorf("got %q", first)
		}
		if swapped["1"] != mode+"B" || swapped["2"] != mode+"A" || swapped["4"] != mode+"Y" {
			t.Errorf("the op with swapped paths got %q", swapped)
		}
	})
}

// TestCutoff: an op is executed again only if what it reads has changed, and not what surrounds it.
func TestCutoff(t *testing.T) {
	const text = `graph 1
node t/local/src
  local
    file a
    file b
node t/run/pack on linux/amd64
  run
    mount /in/a from t/local/src path=a
    task t
      exec @copy /in/a /out/pack/a
      exec @mkdir /out/pack/empty
    output pack
node t/run/use on linux/amd64
  run
    mount /in/pack from t/run/pack path=pack
    mount /in/w from t/local/src path=b writable
    task t
      exec @copy /in/pack/a /out/use
    output use
root use from=t/run/use path=use dest=use
`
	engines(t, func(t *testing.T, l *lab) {
		project := t.TempDir()
		edit := func(name, data string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(project, name), []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		build := func(text, want string) (executed string) {
			t.Helper()
			files, names := l.build(t, parse(t, text), project, nil)
			if files["use"] != "-rw-r--r-- "+want {
				t.Errorf("got %q, want %q", files["use"], want)
			}
			return strings.Join(slices.DeleteFunc(names, func(n string) bool { return !strings.Contains(n, "[t/run]") }), " ")
		}
		edit("a", "1")
		edit("b", "1")
		if got := build(text, "1"); got != "[t/run] pack [t/run] use" {
			t.Errorf("the first build executed %q", got)
		}
		if got := build(text, "1"); got != "" {
			t.Errorf("the second build executed %q", got)
		}
		edit("b", "2")
		if got := build(text, "1"); got != "[t/run] use" {
			t.Errorf("an edit of b executed %q", got)
		}
		// The first run does something else, with the same result.
		if got := build(strings.Replace(text, "exec @mkdir /out/pack/empty", "exec @mkdir /out/pack /out/pack/empty", 1), "1"); got != "[t/run] pack" {
			t.Errorf("another way to the same result executed %q", got)
		}
		edit("a", "2")
		if got := build(text, "2"); got != "[t/run] pack [t/run] use" {
			t.Errorf("an edit of a executed %q", got)
		}
	})
}
