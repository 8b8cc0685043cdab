// Cheaper snapshots without a parent.

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/storage"
)

// leafSnapshotter is containerd's overlay snapshotter, but for writable snapshots without a parent,
// of which every op makes one or two: they are plain directories, which need no work directory, and
// appear under their final name, because nobody looks before the transaction is over.
type leafSnapshotter struct {
	snapshots.Snapshotter
	meta *storage.MetaStore
	dir  string // the overlay snapshotter's "snapshots"
}

// Prepare implements snapshots.Snapshotter.
func (s *leafSnapshotter) Prepare(ctx context.Context, key, parent string, opts ...snapshots.Opt) ([]mount.Mount, error) {
	if parent != "" || hasMapping(opts) {
		return s.Snapshotter.Prepare(ctx, key, parent, opts...)
	}
	var upper string
	err := s.meta.WithTransaction(ctx, true, func(ctx context.Context) error {
		snap, err := storage.CreateSnapshot(ctx, snapshots.KindActive, key, "", opts...)
		if err != nil {
			return fmt.Errorf("create a snapshot: %w", err)
		}
		dir := filepath.Join(s.dir, snap.ID)
		upper = filepath.Join(dir, "fs")
		err = os.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) { // of a transaction that was rolled back
			if err = os.RemoveAll(dir); err == nil {
				err = os.Mkdir(dir, 0o700)
			}
		}
		if err != nil {
			return err
		}
		return os.Mkdir(upper, 0o755)
	})
	if err != nil {
		return nil, err
	}
	return []mount.Mount{{Source: upper, Type: "bind", Options: []string{"rw", "rbind"}}}, nil
}

// Cleanup implements snapshots.Cleaner, which embedding the interface hides.
func (s *leafSnapshotter) Cleanup(ctx context.Context) error {
	if c, ok := s.Snapshotter.(snapshots.Cleaner); ok {
		return c.Cleanup(ctx)
	}
	return nil
}

// hasMapping tells whether options ask for mapped owners.
func hasMapping(opts []snapshots.Opt) bool {
	var info snapshots.Info
	for _, o := range opts {
		if o(&info) != nil {
			return true // the overlay snapshotter reports it
		}
	}
	return info.Labels[snapshots.LabelSnapshotUIDMapping] != "" || info.Labels[snapshots.LabelSnapshotGIDMapping] != ""
}
