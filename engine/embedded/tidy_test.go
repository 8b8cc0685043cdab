package embedded

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTidy(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"old", "full/file", "new"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().Add(2 * tidyAge)
	if err := os.Chtimes(filepath.Join(dir, "new"), now, now); err != nil {
		t.Fatal(err)
	}
	tidy(dir, now)
	tidy(filepath.Join(dir, "missing"), now)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != "full" || entries[1].Name() != "new" {
		t.Errorf("left %v, %v", entries, err)
	}
}
