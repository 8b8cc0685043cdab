// The built-in commands, and headers.

package run

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
)

func TestAppend(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"a.o": "odd", "even.o": "even", "a_name_longer_than_sixteen.o": "x", "empty.o": ""}
	var names []string
	for name, body := range files {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, p)
	}
	ours, theirs := filepath.Join(dir, "ours.a"), filepath.Join(dir, "theirs.a")
	for i := range names {
		if err := (&runner{}).builtin(t.Context(), action.Command{Args: []string{"@append", ours, names[i]}, Dir: "/"}); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", append([]string{"tool", "pack", "r", theirs}, names...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a, _ := os.ReadFile(ours)
	b, _ := os.ReadFile(theirs)
	if len(a) == 0 || !bytes.Equal(a, b) {
		t.Errorf("ours:\n%q\ntheirs:\n%q", a, b)
	}

	bad := filepath.Join(dir, "bad.a")
	for content, want := range map[string]string{"no archive": "not an archive", "!<arch>\nx": "odd length"} {
		os.WriteFile(bad, []byte(content), 0o644)
		if err := appendArchive(bad, names[:1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := appendArchive(ours, []string{dir}); err == nil {
		t.Error("a directory was appended")
	}
}

func TestCopy(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "to", "dst")
	os.MkdirAll(src+"/d", 0o755)
	os.WriteFile(src+"/d/f", []byte("x"), 0o640)
	os.WriteFile(src+"/x", []byte("x"), 0o755)
	os.Symlink("d/f", src+"/l")
	for range 2 { // the second time over what is there
		if err := (&runner{}).builtin(t.Context(), action.Command{Args: []string{"@copy", "src", "to/dst"}, Dir: dir}); err != nil {
			t.Fatal(err)
		}
	}
	for p, want := range map[string]fs.FileMode{"d": fs.ModeDir | 0o755, "d/f": 0o640, "x": 0o755, "l": fs.ModeSymlink | 0o777} {
		if fi, err := os.Lstat(filepath.Join(dst, p)); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v, %v", p, fi, err)
		}
	}
	syscall.Mkfifo(src+"/fifo", 0o600)
	if err := copyTree(src, dst); err == nil || !strings.Contains(err.Error(), "neither file") {
		t.Errorf("got %v", err)
	}
}

func TestHeader(t *testing.T) {
	if got, want := header("t", []string{"a", "b c", "it's", ""}), "# t\n$ a 'b c' 'it'\\''s' ''\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := header("t", strings.Fields(strings.Repeat("argument ", 1000))); len(got) > maxHeader+100 || !strings.Contains(got, "more arguments)") {
		t.Errorf("a header of %d bytes", len(got))
	}
}
