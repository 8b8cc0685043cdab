// What a killed server leaves: temporary files, and, if it had no namespaces of its own, containers
// that still run, mounts and bundles. They are removed before the stores open, because a container
// may still write into a snapshot.

package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// sweep cleans a worker's directory. Everything in it belongs to this state directory's server,
// whose lock the caller holds.
func sweep(ctx context.Context, root string, rt *ociRuntime, log func(string, ...any)) error {
	ids, err := rt.containers()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, id := range ids {
		// The runtime checks that the process is still the one it started, by its start time.
		if err := rt.delete(ctx, id); err != nil {
			log("sweep: container %s: %v", id, err)
			os.RemoveAll(filepath.Join(rt.state, id))
			continue
		}
		log("sweep: ended container %s of an earlier engine", id)
	}
	if err := unmountBelow(root); err != nil {
		return err
	}
	for _, dir := range []string{"scratch", "cachemounts"} {
		if err := os.RemoveAll(filepath.Join(root, dir)); err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
	}
	return nil
}

// tidyAge is how old an empty temporary directory must be to be nobody's.
const tidyAge = time.Minute

// tidy removes empty directories that were made in a directory long ago: BuildKit leaves one behind
// for each file that it mounted by itself. One that is in use is a mount point or not empty, and
// can't be removed.
func tidy(dir string, now time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() && now.Sub(info.ModTime()) > tidyAge {
			unix.Rmdir(filepath.Join(dir, e.Name())) // fails for those in use
		}
	}
}

// unmountBelow detaches every mount of this mount namespace below a directory, the deepest first.
func unmountBelow(dir string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	ms, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !strings.HasPrefix(m.Mountpoint, dir+"/"), false
	})
	if err != nil {
		return fmt.Errorf("sweep: list mounts: %w", err)
	}
	slices.SortFunc(ms, func(a, b *mountinfo.Info) int {
		return cmp.Or(-cmp.Compare(len(a.Mountpoint), len(b.Mountpoint)), -cmp.Compare(a.ID, b.ID))
	})
	for _, m := range ms {
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("sweep: unmount %s: %w", m.Mountpoint, err)
		}
	}
	return nil
}
