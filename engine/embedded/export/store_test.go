//go:build linux

package export

import (
	"os"
	"path/filepath"
	"testing"
)

// What was written to a directory that is gone is forgotten, whatever the state directory is called.
func TestSweep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state [1]*")
	gone, here := t.TempDir(), t.TempDir()
	for _, dest := range []string{gone, here} {
		s, err := openStore(t.Context(), dir, dest)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.save(".manifest", &manifest{dest: identity{path: dest}}); err != nil {
			t.Fatal(err)
		}
		s.close()
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	s, err := openStore(t.Context(), dir, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.sweep()
	left := 0
	files, err := os.ReadDir(dir)
	for _, f := range files {
		if filepath.Ext(f.Name()) == ".manifest" {
			left++
		}
	}
	if err != nil || left != 1 {
		t.Errorf("%d manifests are left, %v; want one", left, err)
	}
}
