//go:build linux

// Export compares the embedded engine's exporter with cp -r: the first time, when nothing changed,
// when one layer changed, and when somebody edited a file. The tree looks like a big node_modules
// directory with a big file: by default 900 layers with 25,200 small files and one of 100 MB.
//
//	go run ./bench/export [-layers 900] [-files 28] [-big 100] [-rounds 5] [-dir DIR] [-json FILE]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/mergefest/mergefest/bench/internal/measure"
	"github.com/mergefest/mergefest/engine/embedded/export"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	var b bench
	flag.IntVar(&b.layers, "layers", 900, "number of layers")
	flag.IntVar(&b.files, "files", 28, "small files in each layer")
	flag.IntVar(&b.big, "big", 100, "size of one more file, in MB (a layer of its own); 0 leaves it out")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds")
	flag.StringVar(&b.dir, "dir", "", "working directory, on the file system to measure; empty is a temporary one")
	jsonFile := flag.String("json", "", "also write all samples to this `file`")
	flag.Parse()
	if err := b.run(ctx, *jsonFile); err != nil {
		fmt.Fprintln(os.Stderr, "export:", err)
		os.Exit(1)
	}
}

type bench struct {
	layers, files, big, rounds int
	dir                        string

	list []export.Layer
	next int // number of the next destination
}

func (b *bench) run(ctx context.Context, jsonFile string) error {
	dir, err := os.MkdirTemp(b.dir, "bench-export-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	if err := b.makeLayers(); err != nil {
		return err
	}
	book := measure.NewBook(fmt.Sprintf("%d layers with %d small files each, and a file of %d MB", b.layers, b.files, b.big),
		"Nothing is flushed to the disk by either; before each run everything is.")
	for _, f := range []func(context.Context) (*measure.Scenario, error){b.first, b.again} {
		s, err := f(ctx)
		if err != nil {
			return err
		}
		book.Add(s)
	}
	for _, c := range b.changes() {
		s, err := b.change(ctx, c)
		if err != nil {
			return err
		}
		book.Add(s)
	}
	if jsonFile != "" {
		f, err := os.Create(jsonFile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := book.WriteJSON(f); err != nil {
			return err
		}
	}
	return book.WriteText(os.Stdout)
}

// makeLayers writes the layers. Sizes vary from 200 bytes to 9 kB, as those of modules do.
func (b *bench) makeLayers() error {
	content := make([]byte, 9000)
	for i := range content {
		content[i] = byte('a' + i%23)
	}
	for i := range b.layers {
		pkg := filepath.Join("node_modules", fmt.Sprintf("package-%d", i))
		files := map[string][]byte{}
		for f := range b.files {
			files[filepath.Join(pkg, fmt.Sprintf("lib%d", f%4), fmt.Sprintf("file%d.js", f))] = content[:200+(i*131+f*613)%8800]
		}
		if err := b.addLayer(fmt.Sprint("layer", i), files); err != nil {
			return err
		}
	}
	if b.big > 0 {
		big := make([]byte, b.big<<20)
		for i := range big {
			big[i] = byte(i * 7)
		}
		return b.addLayer("big", map[string][]byte{"bin/big": big})
	}
	return nil
}

func (b *bench) addLayer(id string, files map[string][]byte) error {
	l, err := b.makeLayer(id, files)
	b.list = append(b.list, l)
	return err
}

func (b *bench) makeLayer(id string, files map[string][]byte) (export.Layer, error) {
	dir := filepath.Join(b.dir, "layers", id)
	for path, content := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return export.Layer{}, err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return export.Layer{}, err
		}
	}
	return export.Layer{ID: id, Open: func(context.Context) (*export.Source, error) { return &export.Source{Dir: dir}, nil }}, nil
}

func (b *bench) sync(ctx context.Context, dest string) (export.Summary, error) {
	return export.Sync(ctx, export.Request{
		Dest: filepath.Join(b.dir, dest), StateDir: filepath.Join(b.dir, "state"), Parts: []export.Part{{Layers: b.list}},
	})
}

// first writes to a new directory each time. Directories are kept until the end, because ext4 makes
// files slowly where many were removed a moment ago.
func (b *bench) first(ctx context.Context) (*measure.Scenario, error) {
	if _, err := b.sync(ctx, "out"); err != nil {
		return nil, err
	}
	prepare := func(context.Context, int) error { b.next++; unix.Sync(); return nil }
	return measure.Compare(ctx, "first time", measure.Options{Rounds: b.rounds, Warmup: 1, Log: os.Stderr},
		measure.Contestant{Name: "cp -r", Prepare: prepare, Run: func(ctx context.Context) error {
			return b.cp(ctx, fmt.Sprint("cp", b.next))
		}},
		measure.Contestant{Name: "export", InProcess: true, Prepare: prepare, Run: func(ctx context.Context) error {
			_, err := b.sync(ctx, fmt.Sprint("export", b.next))
			return err
		}})
}

func (b *bench) cp(ctx context.Context, dest string, flags ...string) error {
	args := append(flags, "-r", filepath.Join(b.dir, "out/."), filepath.Join(b.dir, dest))
	out, err := exec.CommandContext(ctx, "cp", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	return nil
}

// again is an export when nothing changed, beside cp -ru, which compares times.
func (b *bench) again(ctx context.Context) (*measure.Scenario, error) {
	if err := os.Mkdir(filepath.Join(b.dir, "cp-again"), 0o755); err != nil {
		return nil, err
	}
	prepare := func(context.Context, int) error { unix.Sync(); return nil }
	return measure.Compare(ctx, "nothing changed", measure.Options{Rounds: b.rounds, Warmup: 1, Log: os.Stderr},
		measure.Contestant{Name: "cp -ru", Prepare: prepare, Run: func(ctx context.Context) error { return b.cp(ctx, "cp-again", "-u") }},
		measure.Contestant{Name: "export", InProcess: true, Prepare: prepare, Run: func(ctx context.Context) error {
			sum, err := b.sync(ctx, "out")
			if err == nil && sum.Written > 0 {
				err = fmt.Errorf("%d files were written", sum.Written)
			}
			return err
		}})
}

// change is something that happens before an export.
type change struct {
	name    string
	do      func(round int) error
	written int
}

func (b *bench) changes() []change {
	k := b.layers / 2
	path := fmt.Sprintf("node_modules/package-%d/lib0/file0.js", k)
	return []change{
		{"one layer changed", func(round int) error {
			id := fmt.Sprintf("layer%d-%d", k, round)
			files := map[string][]byte{}
			for f := range b.files {
				files[filepath.Join(fmt.Sprintf("node_modules/package-%d/lib%d", k, f%4), fmt.Sprintf("file%d.js", f))] = fmt.Appendf(nil, "round %d, file %d", round, f)
			}
			l, err := b.makeLayer(id, files)
			b.list[k] = l
			return err
		}, b.files},
		{"one file edited by hand", func(round int) error {
			return os.WriteFile(filepath.Join(b.dir, "out", path), fmt.Appendf(nil, "edit %d", round), 0o644)
		}, 1},
	}
}

func (b *bench) change(ctx context.Context, c change) (*measure.Scenario, error) {
	var sum export.Summary
	return measure.Compare(ctx, c.name, measure.Options{Rounds: b.rounds, Warmup: 1, Log: os.Stderr},
		measure.Contestant{Name: "export", InProcess: true,
			Prepare: func(_ context.Context, round int) error {
				if err := c.do(round); err != nil {
					return err
				}
				unix.Sync()
				return nil
			},
			Run: func(ctx context.Context) (err error) {
				sum, err = b.sync(ctx, "out")
				return err
			},
			Check: func(context.Context, int) error {
				if sum.Written != c.written {
					return fmt.Errorf("%d files were written, not %d", sum.Written, c.written)
				}
				return nil
			}})
}
