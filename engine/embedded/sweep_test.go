package embedded_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mergefest/mergefest/engine/embedded"
)

// TestSweep starts where a server was killed that had no namespaces of its own: with mounts and
// temporary files.
func TestSweep(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it needs root")
	}
	dir := t.TempDir()
	worker := filepath.Join(dir, "engine", "worker")
	write(t, filepath.Join(dir, "engine", "format"), "1\n")
	junk := []string{"cachemounts/x/f", "scratch/executor/id/config.json", "scratch/executor/id/rootfs/f"}
	for _, f := range junk {
		write(t, filepath.Join(worker, f), "junk")
	}
	mount(t, "tmpfs", filepath.Join(worker, "scratch"), 0, "")
	write(t, filepath.Join(worker, "scratch/executor/id2/rootfs/f"), "junk")
	mount(t, "tmpfs", filepath.Join(worker, "scratch/executor/id2/rootfs"), 0, "")
	// A neighbour whose name begins alike must be left alone.
	neighbour := dir + "-neighbour"
	if err := os.Mkdir(neighbour, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(neighbour)
	mount(t, "tmpfs", neighbour, 0, "")

	s, err := embedded.Start(context.Background(), embedded.Options{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range junk {
		if _, err := os.Lstat(filepath.Join(worker, f)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s stays: %v", f, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir+"/") {
		t.Errorf("mounts stay:\n%s", mounts)
	}
	if !strings.Contains(string(mounts), neighbour) {
		t.Error("a neighbour's mount is gone")
	}
	if err := syscall.Unmount(neighbour, 0); err != nil {
		t.Error(err)
	}
}
