package localfs

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph"
)

// write makes files below a new directory; a name that ends in "*" is executable, and a content
// that begins with "->" a symbolic link.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		name, exec := strings.CutSuffix(name, "*")
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(content, "->"); ok {
			if err := os.Symlink(to, p); err != nil {
				t.Fatal(err)
			}
			continue
		}
		mode := iofs.FileMode(0o600)
		if exec {
			mode = 0o700
		}
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T, dirs ...Dir) *FS {
	t.Helper()
	f, err := New(t.Context(), dirs)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

type stat struct {
	mode iofs.FileMode
	size int64
	time int64
}

func walk(t *testing.T, f *FS, target string) ([]string, map[string]stat) {
	t.Helper()
	var names []string
	stats := map[string]stat{}
	err := f.Walk(context.Background(), target, func(p string, d iofs.DirEntry, err error) error {
		info, err := d.Info()
		if err != nil {
			return err
		}
		names = append(names, p)
		stats[p] = stat{info.Mode(), info.Size(), info.ModTime().UnixNano()}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names, stats
}

var sample = []graph.LocalFile{{Path: "b.go"}, {Path: "a/run.sh"}, {Path: "a.go"}, {Path: "a/link"}, {Path: "a/follow"}, {Path: "moved.go", Source: "b.go"}}

func sampleDir(t *testing.T, b string) Dir {
	root := write(t, map[string]string{"a.go": "a", "b.go": b, "a/run.sh*": "run", "a/link": "->gone", "a/follow": "->../unlisted", "unlisted": "x"})
	return Dir{Name: "n1", Root: root, Files: sample}
}

func TestWalkIsSortedAndNormalised(t *testing.T) {
	f := open(t, sampleDir(t, "b"))
	names, stats := walk(t, f, "/")
	want := []string{"n1", "n1/a", "n1/a/follow", "n1/a/link", "n1/a/run.sh", "n1/a.go", "n1/b.go", "n1/moved.go"}
	if !slices.Equal(names, want) {
		t.Errorf("walk = %q, want %q", names, want)
	}
	for p, mode := range map[string]iofs.FileMode{"n1/a": iofs.ModeDir | 0o755, "n1/a.go": 0o644, "n1/a/run.sh": 0o755, "n1/a/link": iofs.ModeSymlink | 0o777, "n1/a/follow": 0o644} {
		if stats[p].mode != mode {
			t.Errorf("%s: mode %v, want %v", p, stats[p].mode, mode)
		}
	}
	if sub, _ := walk(t, f, "/n1/a"); !slices.Equal(sub, []string{"n1/a", "n1/a/follow", "n1/a/link", "n1/a/run.sh"}) {
		t.Errorf("walk of a part = %q", sub)
	}
}

func TestTimesAndDigestFollowContentOnly(t *testing.T) {
	one, same, other := open(t, sampleDir(t, "b")), open(t, sampleDir(t, "b")), open(t, sampleDir(t, "c"))
	_, s1 := walk(t, one, "/")
	_, s2 := walk(t, same, "/")
	_, s3 := walk(t, other, "/")
	if one.Digest() != same.Digest() || one.Digest() == other.Digest() {
		t.Errorf("digests: %s, %s (same content), %s (other content)", one.Digest(), same.Digest(), other.Digest())
	}
	for p := range s1 {
		if s1[p] != s2[p] {
			t.Errorf("%s: %v and %v for the same content", p, s1[p], s2[p])
		}
		changed := p == "n1/b.go" || p == "n1/moved.go"
		if (s1[p].time != s3[p].time) != changed {
			t.Errorf("%s: times %d and %d, changed = %v", p, s1[p].time, s3[p].time, changed)
		}
	}
}

func TestMissingFilesAreAllReported(t *testing.T) {
	id := graph.ID{Ecosystem: "go", Kind: "local", Package: "example.com/p"}
	_, err := New(t.Context(), []Dir{{Name: "n", Node: id, Root: t.TempDir(), Files: []graph.LocalFile{{Path: "x"}, {Path: "y"}}}})
	var fe *FileError
	if !errors.As(err, &fe) || fe.Node != id || !errors.Is(err, iofs.ErrNotExist) {
		t.Fatalf("error = %v", err)
	}
	if !strings.Contains(err.Error(), "/x:") || !strings.Contains(err.Error(), "/y:") {
		t.Errorf("error doesn't name both files: %v", err)
	}
}

func TestSentCountsWhatWasOpened(t *testing.T) {
	f := open(t, sampleDir(t, "bb"), Dir{Name: "n2", Root: write(t, map[string]string{"z": "zz"}), Files: []graph.LocalFile{{Path: "z"}}})
	if len(f.Sent()) != 0 {
		t.Errorf("sent before anything was opened: %v", f.Sent())
	}
	r, err := f.Open("n1/b.go")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(r); err != nil || string(data) != "bb" {
		t.Errorf("content %q, %v", data, err)
	}
	if got := f.Sent(); len(got) != 1 || got["n1"] != 2 {
		t.Errorf("sent = %v, want n1:2", got)
	}
	if _, err := f.Open("n1/unlisted"); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("a file that isn't listed: %v", err)
	}
}

func TestChangeOfALargeFileIsNoticed(t *testing.T) {
	root := write(t, map[string]string{"big": strings.Repeat("x", maxKept+1)})
	f := open(t, Dir{Name: "n", Root: root, Files: []graph.LocalFile{{Path: "big"}}})
	read := func() error {
		r, err := f.Open("n/big")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
		return err
	}
	if err := read(); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "big"), []byte(strings.Repeat("y", maxKept+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := read(); !errors.Is(err, errChanged) {
		t.Errorf("changed: %v", err)
	}
	if err := os.Remove(filepath.Join(root, "big")); err != nil {
		t.Fatal(err)
	}
	if err := read(); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
}

func TestLinksThatLeadElsewhereAreFollowed(t *testing.T) {
	outside := filepath.Join(write(t, map[string]string{"o*": "outside"}), "o")
	root := write(t, map[string]string{"listed": "x", "unlisted": "unlisted", "sub/in": "->../listed",
		"sub/up": "->../unlisted", "abs": "->" + outside, "dangling": "->nowhere", "dir": "->sub", "pipe": "->/dev/null"})
	paths := func(names ...string) (files []graph.LocalFile) {
		for _, n := range names {
			files = append(files, graph.LocalFile{Path: n})
		}
		return files
	}
	f := open(t, Dir{Name: "n", Root: root, Files: paths("listed", "sub/in", "sub/up", "abs", "dir", "dangling", "pipe")})
	_, stats := walk(t, f, "/")
	for p, mode := range map[string]iofs.FileMode{"n/sub/in": iofs.ModeSymlink | 0o777, "n/sub/up": 0o644, "n/abs": 0o755, "n/dir": iofs.ModeSymlink | 0o777,
		"n/dangling": iofs.ModeSymlink | 0o777, "n/pipe": iofs.ModeSymlink | 0o777} {
		if stats[p].mode != mode {
			t.Errorf("%s: mode %v, want %v", p, stats[p].mode, mode)
		}
	}
	r, err := f.Open("n/abs")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(r); err != nil || string(data) != "outside" {
		t.Errorf("content %q, %v", data, err)
	}
	var fe *FileError
	if _, err := New(t.Context(), []Dir{{Name: "n", Root: root, Files: paths("sub")}}); !errors.As(err, &fe) || !strings.Contains(err.Error(), "it is a directory") {
		t.Errorf("a directory: %v", err)
	}
}

func TestWriteToMakesTheSameTree(t *testing.T) {
	f := open(t, sampleDir(t, "b"))
	dir := t.TempDir()
	if err := f.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	var again Dir
	again.Name, again.Root = "n1", filepath.Join(dir, "n1")
	for _, file := range sample {
		again.Files = append(again.Files, graph.LocalFile{Path: file.Path})
	}
	if got := open(t, again).Digest(); got != f.Digest() {
		t.Errorf("digest of the written tree %s, want %s", got, f.Digest())
	}
}
