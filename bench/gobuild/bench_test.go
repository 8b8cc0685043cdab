// Tests of what the comparison rests on: edits that change what they claim to, and a project that
// builds from the benchmark's own proxy.

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestGeneratedProject(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	if cache, err := exec.Command("go", "env", "GOCACHE").Output(); err != nil {
		t.Fatal(err)
	} else if err := os.Symlink(strings.TrimSpace(string(cache)), filepath.Join(dir, "gocache")); err != nil {
		t.Fatal(err) // the host's cache saves compiling the standard library
	}
	t.Cleanup(func() { removeAll(dir) }) // a module cache is read-only
	host, err := hostGo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p, err := serveProxy(filepath.Join(dir, "proxy"), filepath.Join(dir, "none"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	pr, err := newGenerated(25, 3, "./...", p)
	if err != nil {
		t.Fatal(err)
	}
	tm := &team{src: filepath.Join(dir, "src"), out: filepath.Join(dir, "out")}
	goTeam(tm, dir, host, p, pr)
	if err := pr.write(tm.src); err != nil {
		t.Fatal(err)
	}
	build := func() string {
		t.Helper()
		if err := tm.build(ctx); err != nil {
			t.Fatal(err)
		}
		sum, err := sumTree(tm.out)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	seen := map[string]edit{build(): noEdit}
	for _, tt := range []struct {
		e      edit
		n      int
		change bool
	}{{commentEdit, 1, false}, {bodyEdit, 1, true}, {bodyEdit, 2, true}, {apiEdit, 1, true}, {apiEdit, 2, true}, {bumpEdit, 1, true}, {bumpEdit, 2, true}} {
		if err := pr.apply(tm.src, tt.e, tt.n); err != nil {
			t.Fatal(err)
		}
		sum := build()
		if _, old := seen[sum]; old == tt.change {
			t.Errorf("edit %s %d: the output is new: %v, want %v", tt.e, tt.n, !old, tt.change)
		}
		seen[sum] = tt.e
	}
	if err := pr.apply(tm.src, bumpEdit, 3); err == nil {
		t.Error("a version that isn't there was accepted")
	}
}

func TestEditsReplaceEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.go")
	const original = "package x\n"
	if err := writeFile(path, original); err != nil {
		t.Fatal(err)
	}
	for _, e := range []edit{bodyEdit, apiEdit, commentEdit} {
		if err := editFile(path, e, 7); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := original + "\n// bench: comment 7\n"; string(b) != want {
		t.Errorf("after three edits: %q, want %q", b, want)
	}
}
