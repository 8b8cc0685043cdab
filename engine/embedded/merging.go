// Merges that are mounted: package assemble makes them before BuildKit would.

package embedded

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/storage"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/snapshot"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/worker"
	digest "github.com/opencontainers/go-digest"
	bolt "go.etcd.io/bbolt"

	"github.com/mergefest/mergefest/engine/embedded/assemble"
)

// mergingOp is an op of BuildKit's that has its inputs prepared.
type mergingOp struct {
	solver.Op
	trees *assemble.Assembler
	// whole says of each input whether computing its key indexes all of it.
	whole map[int]bool
}

// newMergingOp wraps an op that mounts its inputs.
func newMergingOp(op solver.Op, exec *pb.ExecOp, trees *assemble.Assembler) solver.Op {
	o := &mergingOp{Op: op, trees: trees, whole: map[int]bool{}}
	for _, m := range exec.GetMounts() {
		// BuildKit indexes the directory around what is selected.
		if m.Input >= 0 && path.Dir(path.Join("/", m.Selector)) == "/" {
			o.whole[int(m.Input)] = true
		}
	}
	return o
}

// CacheMap implements solver.Op. BuildKit calls the functions of a dependency before it reads it.
func (o *mergingOp) CacheMap(ctx context.Context, jc solver.JobContext, index int) (*solver.CacheMap, bool, error) {
	cm, done, err := o.Op.CacheMap(ctx, jc, index)
	if err != nil || cm == nil {
		return cm, done, err
	}
	for i := range cm.Deps {
		d := &cm.Deps[i]
		if prepare := d.PreprocessFunc; prepare != nil {
			d.PreprocessFunc = func(ctx context.Context, res solver.Result, g session.Group) error {
				o.trees.Prepare(ctx, immutable(res))
				return prepare(ctx, res, g)
			}
		}
		if compute := d.ComputeDigestFunc; compute != nil && o.whole[i] {
			d.ComputeDigestFunc = func(ctx context.Context, res solver.Result, g session.Group) (digest.Digest, error) {
				sum, err := compute(ctx, res, g)
				if err == nil {
					o.trees.Indexed(ctx, immutable(res))
				}
				return sum, err
			}
		}
	}
	return cm, done, nil
}

func immutable(res solver.Result) cache.ImmutableRef {
	if ref, ok := res.Sys().(*worker.WorkerRef); ok {
		return ref.ImmutableRef
	}
	return nil
}

// assembler makes merges in the stores; nil where the snapshotter has no layers.
func (s *stores) assembler(sn snapshot.Snapshotter) *assemble.Assembler {
	if s.snapshots == nil {
		return nil
	}
	return &assemble.Assembler{Snapshots: sn, Leases: s.leases, Dirs: s.layerDirs}
}

// layerDirs implements assemble.Assembler.Dirs from the databases: asking the snapshotter would make
// a view, and a lease, for each.
func (s *stores) layerDirs(ctx context.Context, keys []string) ([]string, error) {
	names := make([]string, len(keys))
	err := s.containerd.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("v1"))
		for _, name := range []string{namespace, "snapshots", s.snapshotter} {
			if b != nil {
				b = b.Bucket([]byte(name))
			}
		}
		if b == nil {
			return errors.New("containerd's database has no snapshots")
		}
		for i, key := range keys {
			snap := b.Bucket([]byte(key))
			if snap == nil {
				return fmt.Errorf("the snapshot %q isn't there", key)
			}
			names[i] = string(snap.Get([]byte("name")))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	dirs := make([]string, len(keys))
	err = s.snapshots.WithTransaction(ctx, false, func(ctx context.Context) error {
		for i, name := range names {
			id, info, _, err := storage.GetInfo(ctx, name)
			if err != nil {
				return err
			}
			if info.Kind != snapshots.KindCommitted || info.Parent != "" {
				return fmt.Errorf("the snapshot %q isn't a layer by itself", strings.TrimSpace(name))
			}
			dirs[i] = filepath.Join(s.root, "snapshots", "snapshots", id, "fs")
		}
		return nil
	})
	return dirs, err
}
