package place

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mergefest/mergefest/graph/action"
)

func TestSplit(t *testing.T) {
	tests := []struct{ in, want, err string }{
		{"a/b", "a/b", ""},
		{"./a//b/", "a/b", ""},
		{".", ".", ""},
		{"", ".", ""},
		{`a\b`, `a\b`, ""},
		{"…/ünï", "…/ünï", ""},
		{"...", "...", ""},
		{"/a", "", "is absolute"},
		{"../a", "", `has an element ".."`},
		{"a/../b", "", `has an element ".."`},
		{"a/..", "", `has an element ".."`},
		{"a\x00b", "", "NUL"},
		{"a\xff", "", "not UTF-8"},
		{strings.Repeat("x", 256), "", "element of 256 bytes"},
		{strings.Repeat("x/", 2048) + "x", "", "4097 bytes"},
	}
	for _, tt := range tests {
		elems, err := Split(tt.in)
		if tt.err != "" {
			var pe *PathError
			if !errors.As(err, &pe) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Split(%.20q): error %v, want %q", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil || Join(elems) != tt.want {
			t.Errorf("Split(%q) = %q, %v; want %q", tt.in, Join(elems), err, tt.want)
		}
	}
}

func TestInside(t *testing.T) {
	tests := []struct {
		place, target string
		want          bool
	}{
		{"a", "b", true},
		{"a", "./b/c", true},
		{"a/b", "../c", true},
		{"a/b/c", "../../d", true},
		{"a/b", ".", true},
		{"a", "..", false},
		{"a", "../b", false},
		{"a/b", "../../c", false},
		{"a", "/etc/passwd", false},
		{"a", "", false},
		{"a", "b\x00c", false},
		{"a/b/c", "d/..", false}, // d can be a link
		{"a/b/c", "../d/../e", false},
		{"a", "b/../../c", false},
	}
	for _, tt := range tests {
		elems, err := Split(tt.place)
		if err != nil {
			t.Fatal(err)
		}
		if got := Inside(elems, tt.target); got != tt.want {
			t.Errorf("Inside(%q, %q) = %v", tt.place, tt.target, got)
		}
	}
}

func open(t *testing.T) (*Output, string) {
	dir := t.TempDir()
	o, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o, dir
}

// TestWriters lets many writers share directories; afterwards everything has the fixed time.
func TestWriters(t *testing.T) {
	o, dir := open(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			w, err := o.Writer("base/shared")
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			for j := range 20 {
				elems := []string{fmt.Sprint("d", j%3), fmt.Sprint("e", j%2), fmt.Sprintf("f%d-%d", i, j)}
				if err := w.File(elems, 0o640, []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := o.Finish(); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if !fi.ModTime().Equal(time.Unix(Time, 0)) {
			t.Errorf("%s has the time %v", p, fi.ModTime())
		}
		want := fs.FileMode(0o640)
		if d.IsDir() {
			want = DirMode
		} else {
			files++
		}
		if p != dir && fi.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", p, fi.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil || files != 16*20 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestConflicts(t *testing.T) {
	o, _ := open(t)
	w, err := o.Writer(".")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.File([]string{"file"}, 0o644, nil))
	must(w.Dir([]string{"dir"}))
	must(w.Symlink([]string{"link"}, "dir"))
	tests := []struct {
		name string
		do   func() error
		want string
	}{
		{"file twice", func() error { return w.File([]string{"file"}, 0o644, nil) }, "file: is written twice"},
		{"file over directory", func() error { return w.File([]string{"dir"}, 0o644, nil) }, "dir: is a file and a directory"},
		{"directory over file", func() error { return w.Dir([]string{"file"}) }, "file: is a directory and a file"},
		{"below a file", func() error { return w.File([]string{"file", "x"}, 0o644, nil) }, "file: is a directory and a file"},
		{"through a link", func() error { return w.File([]string{"link", "x"}, 0o644, nil) }, "link: is a directory and a symbolic link"},
		{"link over file", func() error { return w.Symlink([]string{"file"}, "x") }, "file: is a symbolic link and a file"},
		{"link over link", func() error { return w.Symlink([]string{"link"}, "x") }, "link: is written twice"},
		{"hard link to a link", func() error { return w.Link([]string{"new"}, []string{"link"}) }, "link: is the target of a hard link and a symbolic link"},
		{"hard link over file", func() error { return w.Link([]string{"file"}, []string{"file"}) }, "file: is written twice"},
		{"the output as a file", func() error { return w.File(nil, 0o644, nil) }, "the output itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.do()
			var ce *ConflictError
			if !errors.As(err, &ce) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	must(w.Dir([]string{"dir"})) // a directory twice is fine
	must(w.Link([]string{"dir", "hard"}, []string{"file"}))
}

func TestFiles(t *testing.T) {
	o, dir := open(t)
	files := []action.File{
		{Path: "a/text", Text: "hello"},
		{Path: "a/data", Data: []byte{0, 1}, Mode: 0o755},
		{Path: "empty"},
		{Path: "a/link", Link: "../empty"},
		{Path: "d/e", Dir: true},
		{Path: "open", Dir: true, Mode: 0o777},
		{Path: "wide", Text: "x", Mode: 0o666},
	}
	for range 2 { // the second time they replace what is there
		if err := o.Files(files); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Finish(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"a/text": "-rw-r--r-- hello", "a/data": "-rwxr-xr-x \x00\x01", "empty": "-rw-r--r-- ",
		"a/link": "Lrwxrwxrwx ../empty", "d/e": "drwxr-xr-x ", "open": "drwxrwxrwx ", "wide": "-rw-rw-rw- x",
	} {
		p := filepath.Join(dir, path)
		fi, err := os.Lstat(p)
		if err != nil {
			t.Error(err)
			continue
		}
		content := ""
		if fi.Mode().IsRegular() {
			b, _ := os.ReadFile(p)
			content = string(b)
		} else if fi.Mode()&fs.ModeSymlink != 0 {
			content, _ = os.Readlink(p)
		}
		if got := fi.Mode().String() + " " + content; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}

	for want, bad := range map[string][]action.File{
		"is absolute":          {{Path: "/etc/x"}},
		`element ".."`:         {{Path: "../x"}},
		"written twice":        {{Path: "q"}, {Path: "q"}},
		"more than one of":     {{Path: "q", Text: "x", Link: "y"}},
		"permission bits":      {{Path: "q", Mode: 0o4755}},
		"is a directory and a": {{Path: "empty/x"}},
	} {
		if err := o.Files(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", bad, err, want)
		}
	}
}

// TestUmask can't run beside other tests: the mask belongs to the process.
func TestUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	o, dir := open(t)
	err := o.Files([]action.File{{Path: "d/f", Text: "x"}, {Path: "d/x", Mode: 0o755}, {Path: "e", Dir: true, Mode: 0o777}})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{"d": 0o755, "d/f": 0o644, "d/x": 0o755, "e": 0o777} {
		if fi, err := os.Stat(filepath.Join(dir, path)); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, fi.Mode(), err, want)
		}
	}
}

func TestSetTimes(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "a"), 0o755)
	os.Symlink("/nonexistent", filepath.Join(dir, "a", "l"))
	os.WriteFile(filepath.Join(dir, "f"), nil, 0o400)
	if err := SetTimes(dir); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{".", "a", "a/l", "f"} {
		fi, err := os.Lstat(filepath.Join(dir, p))
		if err != nil || fi.ModTime().Unix() != Time {
			t.Errorf("%s: %v, %v", p, fi.ModTime(), err)
		}
	}
}
