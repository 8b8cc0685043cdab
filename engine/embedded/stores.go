// The stores of the worker, all opened without fsync; doc.go says why that is right.

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	ctdmetadata "github.com/containerd/containerd/v2/core/metadata"
	ctdsnapshot "github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/storage"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"
	"github.com/moby/buildkit/cache/metadata"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/util/leaseutil"
	bolt "go.etcd.io/bbolt"
)

// namespace is containerd's, inside our own databases.
const namespace = "buildkit"

// stores are what a worker keeps on the disk.
type stores struct {
	root        string
	snapshotter string // its name
	snapshots   *storage.MetaStore
	containerd  *bolt.DB
	meta        *ctdmetadata.DB
	records     *metadata.Store // BuildKit's cache records; the worker closes it
	content     *containerdsnapshot.Store
	leases      *leaseutil.Manager
}

// boltOptions leave out fsync. NoFreelistSync would make opening a big database slow.
func boltOptions() *bolt.Options {
	return &bolt.Options{
		FreelistType: bolt.FreelistMapType,
		NoSync:       true,
		NoGrowSync:   true,
		Timeout:      5 * time.Second, // they are locked by the state's lock already
	}
}

func openStores(ctx context.Context, root string) (_ *stores, err error) {
	s := &stores{root: root}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	snapshotter, err := s.openSnapshotter(filepath.Join(root, "snapshots"))
	if err != nil {
		return nil, err
	}
	blobs, err := local.NewStore(filepath.Join(root, "content"))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(root, "containerd.db")
	if s.containerd, err = bolt.Open(path, 0o600, boltOptions()); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s.meta = ctdmetadata.NewDB(s.containerd, blobs, map[string]ctdsnapshot.Snapshotter{s.snapshotter: snapshotter})
	if err := s.meta.Init(ctx); err != nil {
		return nil, err
	}
	s.content = containerdsnapshot.NewContentStore(restartingStore{s.meta.ContentStore()}, namespace)
	s.leases = leaseutil.WithNamespace(ctdmetadata.NewLeaseManager(s.meta), namespace)

	if s.records, err = metadata.NewStore(filepath.Join(root, "records.db")); err != nil {
		return nil, err
	}
	if db, ok := s.records.DB().(*bolt.DB); ok {
		db.NoSync, db.NoGrowSync = true, true
	}
	return s, nil
}

// openSnapshotter chooses overlayfs where the file system can carry it, else plain directories,
// which cost copies.
func (s *stores) openSnapshotter(root string) (ctdsnapshot.Snapshotter, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	if err := overlayutils.Supported(root); err != nil {
		s.snapshotter = "native"
		return native.NewSnapshotter(root)
	}
	s.snapshotter = "overlayfs"
	var err error
	s.snapshots, err = storage.NewMetaStore(filepath.Join(root, "metadata.db"), func(o *bolt.Options) error {
		*o = *boltOptions()
		return nil
	})
	if err != nil {
		return nil, err
	}
	o, err := overlay.NewSnapshotter(root, overlay.AsynchronousRemove, overlay.WithMetaStore(s.snapshots))
	if err != nil {
		return nil, err
	}
	return &leafSnapshotter{Snapshotter: o, meta: s.snapshots, dir: filepath.Join(root, "snapshots")}, nil
}

// close closes what the worker doesn't close itself.
func (s *stores) close() error {
	var errs []error
	if s.containerd != nil {
		errs = append(errs, s.containerd.Close())
	}
	if s.snapshots != nil {
		errs = append(errs, s.snapshots.Close())
	}
	return errors.Join(errs...)
}
