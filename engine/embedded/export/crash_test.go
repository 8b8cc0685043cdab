//go:build linux

package export

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// errKilled stands for the death of the process: from the failing step on, nothing more happens,
// no clean-up either.
var errKilled = errors.New("killed")

func killAt(n int) func(op, path string) error {
	return func(op, path string) error {
		if n--; n < 0 {
			return errKilled
		}
		return nil
	}
}

// An export killed before any of its steps, followed by one of a third result, gives the third
// result, and leaves the user's files and nothing else.
func TestKill(t *testing.T) {
	a := []string{"same=1", "edit=1", "gone=1", "dir/x=1", "dir/y=1", "kind/f=1", "kind2=1", "ro/f=1 0444", "ro/ 0555", "mode=1", "l->1"}
	b := []string{"same=1", "edit=2", "dir/x=1", "dir/z/new=1", "kind=1", "kind2/g=1", "fresh/p/q=1", "ro/f=2", "ro/g=1", "ro/ 0555", "mode=1 0755", "l->2", "mine2=theirs"}
	for name, c := range map[string][]string{
		"nothing":   nil,
		"the same":  b,
		"the first": a,
		"another":   {"same/n=1", "fresh/p=1", "fresh/o=2", "kind/h=1", "ro/g=1", "edit=3"},
	} {
		for n := 0; ; n++ {
			e := newFastEnv(t)
			makeTree(t, mkdir(t, e.dest), "mine=1", "mine2=1", "dir/mine=1")
			before := e.layer("a", a)
			e.mustSync(before)
			e.fault = killAt(n)
			_, err := e.sync(e.layer("b", b))
			e.fault = nil
			if err == nil {
				if n < 20 {
					t.Fatalf("only %d steps", n)
				}
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			checkWhole(t, e)
			replaced := readFile(e.dest+"/mine2") != "1"
			if _, err := e.sync(e.layer("c", c)); err != nil {
				t.Fatalf("%s, killed before step %d: %v", name, n, err)
			}
			want := wantAfterKill(t, e, c, replaced)
			if diff := cmp.Diff(want, showTree(t, e.dest)); diff != "" {
				t.Fatalf("%s, killed before step %d: (- wanted, + found)\n%s", name, n, diff)
			}
		}
	}
}

func wantAfterKill(t *testing.T, e *env, c []string, replaced bool) []string {
	alone := newFastEnv(t)
	alone.mustSync(alone.layer("c", c))
	extra := []string{"mine=1"}
	if !replaced && !slices.ContainsFunc(c, func(s string) bool { return strings.HasPrefix(s, "mine2") }) {
		extra = append(extra, "mine2=1")
	}
	makeTree(t, alone.dest, append(extra, "dir/mine=1")...)
	return showTree(t, alone.dest)
}

func readFile(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

// checkWhole finds half-written files: everything visible is what one of the two results has.
func checkWhole(t *testing.T, e *env) {
	t.Helper()
	for _, line := range showTree(t, e.dest) {
		if strings.HasPrefix(line, stagePrefix) {
			continue
		}
		if _, content, ok := strings.Cut(line, "="); ok && content == "" {
			t.Errorf("half-written: %s", line)
		}
	}
}

// TestKillTwice kills a run, then kills the run that would repair it, then lets a third one finish.
func TestKillTwice(t *testing.T) {
	a := []string{"x=1", "d/y=1", "k/f=1"}
	b := []string{"x=2", "d/y=1", "d/n=1", "k=1", "new/f=1"}
	c := []string{"x=3", "new2/g=1", "k/g=1"}
	for n := 0; n < 14; n++ {
		for m := 0; m < 16; m++ {
			e := newFastEnv(t)
			e.mustSync(e.layer("a", a))
			e.fault = killAt(n)
			e.sync(e.layer("b", b))
			e.fault = killAt(m)
			e.sync(e.layer("c", c))
			e.fault = nil
			e.mustSync(e.layer("d", []string{"x=4"}))
			if diff := cmp.Diff([]string{"x=4"}, showTree(t, e.dest)); diff != "" {
				t.Fatalf("killed before steps %d and %d:\n%s", n, m, diff)
			}
		}
	}
}

// An error in the middle cleans up, and before the first visible change it changes nothing.
func TestFailure(t *testing.T) {
	full := errors.New("no space")
	for n := 0; ; n++ {
		e := newFastEnv(t)
		e.mustSync(e.layer("a", []string{"x=1", "d/y=1"}))
		before := showTree(t, e.dest)
		i, visible := 0, false
		e.fault = func(op, path string) error {
			if i++; i == n+1 {
				return full
			}
			visible = visible || op == "unlink" || op == "rename" || op == "chmod"
			return nil
		}
		_, err := e.sync(e.layer("b", []string{"x=2", "z/y=1"}))
		e.fault = nil
		if err == nil {
			break
		}
		if !errors.Is(err, full) {
			t.Fatal(err)
		}
		after := showTree(t, e.dest)
		after = slices.DeleteFunc(after, func(s string) bool { return strings.HasPrefix(s, stagePrefix) })
		if diff := cmp.Diff(before, after); diff != "" && !visible {
			t.Errorf("failed at step %d:\n%s", n, diff)
		}
		e.mustSync(e.layer("b", nil))
		e.want("x=2", "z/", "z/y=1")
	}
}

// Random results one after the other, with edits and kills between them, against a naive copy.
func TestRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	e := newFastEnv(t)
	for round := range 1500 {
		var layers []Layer
		ref := mkdir(t, filepath.Join(filepath.Dir(e.dest), fmt.Sprint("ref", round)))
		for range rng.IntN(4) {
			id := fmt.Sprint("l", rng.IntN(12)) // layers come back, with the same content
			layers = append(layers, e.layer(id, randomLayer(rng)))
			naiveCopy(t, filepath.Join(e.layers, id), ref)
		}
		// What somebody puts in the place of a file between a kill and the next export is theirs,
		// so the edit comes first.
		randomEdit(rng, e)
		if rng.IntN(3) == 0 {
			e.fault = killAt(rng.IntN(15))
			e.sync(append(slices.Clone(layers), e.layer(fmt.Sprint("k", round), randomLayer(rng)))...)
			e.fault = nil
		}
		for {
			var conflict *ConflictError
			_, err := e.sync(layers...)
			if err == nil {
				break
			} else if !errors.As(err, &conflict) || !strings.Contains(conflict.Have, "link") {
				t.Fatal(err)
			}
			os.Remove(filepath.Join(e.dest, conflict.Path)) // a link that randomEdit made
		}
		if diff := cmp.Diff(showTree(t, ref), showTree(t, e.dest)); diff != "" {
			t.Fatalf("round %d: (- wanted, + found)\n%s", round, diff)
		}
	}
}

func randomLayer(rng *rand.Rand) []string {
	var spec []string
	used := map[string]bool{}
	for range rng.IntN(8) {
		path := []string{"a", "b", "c"}[rng.IntN(3)]
		for range rng.IntN(3) {
			if used[path] {
				break
			}
			path += "/" + []string{"a", "b", "c"}[rng.IntN(3)]
		}
		bad := used[path]
		for p := range used { // a file can't have something below it
			bad = bad || strings.HasPrefix(p, path+"/") || strings.HasPrefix(path, p+"/")
		}
		if bad {
			continue
		}
		used[path] = true
		switch rng.IntN(5) {
		case 0:
			spec = append(spec, path+"->"+fmt.Sprint("t", rng.IntN(2)))
		case 1:
			spec = append(spec, path+"/ 0"+[]string{"755", "555", "700"}[rng.IntN(3)])
		default:
			spec = append(spec, fmt.Sprintf("%s=%d 0%s", path, rng.IntN(3), []string{"644", "755", "444"}[rng.IntN(3)]))
		}
	}
	return spec
}

// naiveCopy is the plainest way to lay one directory over another.
func naiveCopy(t *testing.T, src, dst string) {
	for _, line := range showTree(t, src) {
		dir := strings.Contains(line, "/") && !strings.ContainsAny(line, "=>")
		name := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune("=>- ", r) })[0]
		p := filepath.Join(dst, name)
		if fi, err := os.Lstat(p); err == nil && (fi.IsDir() != dir) {
			os.RemoveAll(p)
		}
		if dir {
			os.Mkdir(p, 0o755)
			if !strings.Contains(line, " 0") {
				line += " 0755"
			}
		}
		makePath(t, dst, line)
	}
}

// randomEdit changes, removes or replaces a file that is there, or chmods a directory.
func randomEdit(rng *rand.Rand, e *env) {
	all := e.inodes()
	for p := range all {
		full := filepath.Join(e.dest, p)
		switch rng.IntN(6) {
		case 0:
			os.Remove(full)
		case 1:
			os.Chmod(full, 0o600)
		case 2:
			if fi, err := os.Lstat(full); err == nil && fi.Mode().IsRegular() {
				os.WriteFile(full, []byte("edited"), 0o644)
			}
		case 3:
			os.Remove(full)
			os.Symlink("nowhere", full)
		case 4:
			os.Chmod(filepath.Dir(full), 0o711)
		}
	}
	os.Chmod(e.dest, 0o755)
}
