package testtree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder counts errors in place of failing.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper()                           {}
func (r *recorder) Log(...any)                        {}
func (r *recorder) Errorf(format string, args ...any) { r.errors = append(r.errors, format) }

// TestCompare: each kind of difference is one.
func TestCompare(t *testing.T) {
	make := func(change func(dir string) error) string {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "d", "f"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("d/f", filepath.Join(dir, "l")); err != nil {
			t.Fatal(err)
		}
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	same := func(string) error { return nil }
	want := make(same)
	for name, change := range map[string]func(dir string) error{
		"same":    same,
		"content": func(d string) error { return os.WriteFile(d+"/d/f", []byte("y"), 0o644) },
		"mode":    func(d string) error { return os.Chmod(d+"/d/f", 0o755) },
		"dirmode": func(d string) error { return os.Chmod(d+"/d", 0o700) },
		"more":    func(d string) error { return os.Mkdir(d+"/e", 0o755) },
		"less":    func(d string) error { return os.Remove(d + "/l") },
		"link": func(d string) error {
			if err := os.Remove(d + "/l"); err != nil {
				return err
			}
			return os.Symlink("./d/f", d+"/l")
		},
	} {
		r := &recorder{TB: t}
		n := Compare(r, want, make(change), nil)
		wantErrors := 1
		if name == "same" {
			wantErrors = 0
		}
		if len(r.errors) != wantErrors || n < 4 {
			t.Errorf("%s: %d paths, errors %q", name, n, r.errors)
		}
	}
	r := &recorder{TB: t}
	Compare(r, want, make(func(d string) error { return os.Remove(d + "/l") }), func(p string) bool { return strings.HasPrefix(p, "d") })
	if len(r.errors) != 0 {
		t.Errorf("a path that isn't kept counts: %q", r.errors)
	}
}
