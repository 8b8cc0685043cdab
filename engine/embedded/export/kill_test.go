//go:build linux

package export

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The parts of a child process's export, in its environment.
const (
	childLayers = "EXPORT_TEST_LAYERS" // comma-separated directories
	childDest   = "EXPORT_TEST_DEST"
	childState  = "EXPORT_TEST_STATE"
)

// TestChild is the process that TestKill9 kills.
func TestChild(t *testing.T) {
	if os.Getenv(childDest) == "" {
		t.Skip("it is a part of TestKill9")
	}
	var layers []Layer
	for _, dir := range strings.Split(os.Getenv(childLayers), ",") {
		layers = append(layers, Layer{ID: filepath.Base(dir), Open: func(context.Context) (*Source, error) { return &Source{Dir: dir}, nil }})
	}
	_, err := Sync(context.Background(), Request{Dest: os.Getenv(childDest), StateDir: os.Getenv(childState), Parts: []Part{{Layers: layers}}})
	if err != nil {
		t.Fatal(err)
	}
}

// A process that is killed with SIGKILL at any time leaves whole files only, and the next one
// finishes its work.
func TestKill9(t *testing.T) {
	e := newEnv(t)
	versions := make([][]string, 3) // of directories
	for v := range versions {
		for p := range 20 {
			dir := filepath.Join(e.layers, fmt.Sprintf("v%d-p%d", v, p))
			for f := range 15 {
				size := 1000 + 3000*f
				makeTree(t, dir, fmt.Sprintf("p%d/d%d/f%d=%s", p, f%4, f, strings.Repeat(string(rune('a'+v)), size)))
			}
			makeTree(t, dir, fmt.Sprintf("p%d/only%d=%d", p, v, v))
			versions[v] = append(versions[v], dir)
		}
	}
	killed := 0
	for round := range 12 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
		cmd.Env = append(os.Environ(), childDest+"="+e.dest, childState+"="+e.state, childLayers+"="+strings.Join(versions[round%3], ","))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(160)) * time.Millisecond)
		cmd.Process.Kill()
		if cmd.Wait() != nil {
			killed++
		}
		for _, line := range showVisible(t, e.dest) {
			name, content, file := strings.Cut(line, "=")
			if file && !strings.Contains(name, "only") && (len(content)%3000 != 1000 || strings.Count(content, content[:1]) != len(content)) {
				t.Fatalf("round %d: %s is half-written (%d bytes)", round, name, len(content))
			}
		}
	}
	t.Logf("%d of 12 processes were killed", killed)
	var layers []Layer
	ref := t.TempDir()
	for _, dir := range versions[1] {
		layers = append(layers, e.dirLayer(filepath.Base(dir), dir))
		naiveCopy(t, dir, ref)
	}
	e.mustSync(layers...)
	if diff := cmp.Diff(showTree(t, ref), showTree(t, e.dest)); diff != "" {
		t.Error(diff)
	}
}

// showVisible is showTree without staging directories, of a directory that may not be there.
func showVisible(t testing.TB, dir string) []string {
	if _, err := os.Lstat(dir); err != nil {
		return nil
	}
	return slices.DeleteFunc(showTree(t, dir), func(s string) bool { return strings.HasPrefix(s, stagePrefix) })
}

// Somebody who swaps directories for symbolic links while exports run can't make them write
// elsewhere.
func TestSwappedForLinks(t *testing.T) {
	e := newFastEnv(t)
	outside := makeTree(t, mkdir(t, filepath.Join(filepath.Dir(e.dest), "outside")), "f=precious", "d/f=precious")
	before := showTree(t, outside)
	layers := [][]Layer{
		{e.layer("a", []string{"d/d/f=1", "d/f=1", "d/d/g=1"})},
		{e.layer("b", []string{"d/d/f=2", "d/h=1", "d/d/d/f=1"})},
		nil,
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, p := range []string{"d/d", "d"} {
				p = filepath.Join(e.dest, p)
				os.Rename(p, p+"-away")
				os.Symlink(outside, p)
				time.Sleep(100 * time.Microsecond)
				os.Remove(p)
				os.Rename(p+"-away", p)
			}
		}
	}()
	for i := range 600 {
		e.sync(layers[i%3]...) // it may well fail
	}
	close(stop)
	<-done
	if diff := cmp.Diff(before, showTree(t, outside)); diff != "" {
		t.Error(diff)
	}
}

// Concurrent exports to one destination wait for each other; the last one wins.
func TestConcurrent(t *testing.T) {
	e := newEnv(t)
	a := e.layer("a", []string{"f=1", "d/g=1", "only/a=1"})
	b := e.layer("b", []string{"f=2", "d/g=2", "only/b=1"})
	a.Open, b.Open = plainOpen(e, "a"), plainOpen(e, "b")
	errs := make(chan error)
	for i := range 8 {
		go func() {
			_, err := Sync(context.Background(), Request{Dest: e.dest, StateDir: e.state, Parts: []Part{{Layers: []Layer{[]Layer{a, b}[i%2]}}}})
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	got := showTree(t, e.dest)
	one := []string{"d/", "d/g=1", "f=1", "only/", "only/a=1"}
	two := []string{"d/", "d/g=2", "f=2", "only/", "only/b=1"}
	if !slices.Equal(got, one) && !slices.Equal(got, two) {
		t.Errorf("mixed: %v", got)
	}
}

func plainOpen(e *env, id string) func(context.Context) (*Source, error) {
	return func(context.Context) (*Source, error) { return &Source{Dir: filepath.Join(e.layers, id)}, nil }
}
