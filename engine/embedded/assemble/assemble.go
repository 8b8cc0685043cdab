//go:build linux

// From BuildKit's references to snapshots.

package assemble

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/contenthash"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/snapshot"
	"github.com/moby/buildkit/util/bklog"
	"github.com/moby/buildkit/util/leaseutil"
)

const (
	// minLayers is where a merge is worth the trouble.
	minLayers = 8
	// maxDepth bounds the snapshots on top of each other: overlayfs looks into all of them, and a
	// mount's options have to fit into a page.
	maxDepth = 12
	// depthPrice is how many files a further snapshot below is worth.
	depthPrice = 256
	// maxRecent is how many merges are remembered, to make the next ones from.
	maxRecent = 4
	// minFiles is the size of those.
	minFiles = 1000
)

// Keys and labels under which BuildKit keeps what it doesn't export.
const (
	keySnapshot     = "cache.snapshot"
	keyMergeParents = "cache.mergeParents"
	labelSize       = "buildkit.mergeUsageSize"
	labelInodes     = "buildkit.mergeUsageInodes"
)

// Assembler makes the snapshots of merges. It is safe for concurrent use.
type Assembler struct {
	// Snapshots are those of the cache, and Leases keep them.
	Snapshots snapshot.Snapshotter
	Leases    leases.Manager
	// Dirs finds the directories of committed snapshots that have no parent. An error means that
	// there is one of another kind.
	Dirs func(ctx context.Context, keys []string) ([]string, error)
	// MinFiles is how many files a merge needs to be remembered; smaller ones are made from their
	// layers each time. 0 is 1000.
	MinFiles int

	mu     sync.Mutex
	layers map[string]layer // by snapshot: those of the recent merges
	recent []*tree          // the one used last is the last
}

// tree is a merge whose snapshot this package made.
type tree struct {
	key    string
	below  []string // the snapshots that it stands on
	layers []string
	files  manifest
	index  contenthash.CacheContext // once all of it was computed
}

// Prepare makes the snapshot of a reference, if it is a merge whose snapshot isn't there. It does
// nothing where BuildKit has to.
func (a *Assembler) Prepare(ctx context.Context, ref cache.ImmutableRef) {
	if ref == nil || ref.Get(keyMergeParents) == nil {
		return
	}
	key := ref.GetString(keySnapshot)
	there := func() bool {
		_, err := a.Snapshots.Stat(ctx, key)
		return err == nil
	}
	if key == "" || there() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if there() { // made meanwhile
		return
	}
	chain := ref.LayerChain()
	defer func() { _ = chain.Release(context.WithoutCancel(ctx)) }()
	if len(chain) < minLayers {
		return
	}
	if err := a.prepare(ctx, ref, key, chain); err != nil && ctx.Err() == nil {
		bklog.G(ctx).Debugf("the merge %s is left to BuildKit: %v", ref.ID(), err)
	}
}

// Indexed says that the digests of all of a reference were computed.
func (a *Assembler) Indexed(ctx context.Context, ref cache.ImmutableRef) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.recent {
		if ref != nil && t.key == ref.GetString(keySnapshot) && t.index == nil {
			if cc, err := contenthash.GetCacheContext(ctx, ref); err == nil {
				t.index = cc
			}
		}
	}
}

func (a *Assembler) prepare(ctx context.Context, ref cache.ImmutableRef, key string, chain cache.RefList) error {
	t := &tree{key: key}
	for _, r := range chain {
		t.layers = append(t.layers, r.GetString(keySnapshot))
	}
	list, err := a.read(ctx, t.layers)
	if err != nil {
		return err
	}
	t.files = merge(list)
	base, d := a.base(ctx, t.files)
	err = a.make(ctx, ref, t, base, d)
	if err != nil && base != nil && ctx.Err() == nil {
		// The base may have gone away meanwhile.
		bklog.G(ctx).Debugf("the merge %s is made from its layers: %v", ref.ID(), err)
		base, d = nil, diff(nil, t.files)
		err = a.make(ctx, ref, t, nil, d)
	}
	if err != nil {
		return err
	}
	if base != nil && base.index != nil {
		if err := index(ctx, ref, base.index, d); err != nil {
			return err // BuildKit reads everything
		}
	}
	a.remember(t, base)
	return nil
}

// read lists layers, which are read once.
func (a *Assembler) read(ctx context.Context, keys []string) ([]layer, error) {
	var missing []string
	for _, k := range keys {
		if _, ok := a.layers[k]; !ok {
			missing = append(missing, k)
		}
	}
	dirs, err := a.Dirs(ctx, missing)
	if err != nil {
		return nil, err
	}
	if a.layers == nil {
		a.layers = map[string]layer{}
	}
	for i, k := range missing {
		if a.layers[k], err = readLayer(dirs[i]); err != nil {
			delete(a.layers, k)
			return nil, err
		}
	}
	list := make([]layer, len(keys))
	for i, k := range keys {
		list[i] = a.layers[k]
	}
	return list, nil
}

// base chooses the merge that is the least work to start from; nil starts from nothing.
func (a *Assembler) base(ctx context.Context, files manifest) (*tree, difference) {
	var best *tree
	var least difference
	cost := 0
	for _, t := range slices.Backward(a.recent) {
		if len(t.below) >= maxDepth {
			continue
		}
		d := diff(t.files, files)
		c := d.size() + depthPrice*len(t.below)
		if best != nil && c >= cost || d.size() > len(files)/4 {
			continue
		}
		if _, err := a.Snapshots.Stat(ctx, t.key); err == nil {
			best, least, cost = t, d, c
		}
	}
	if best == nil {
		least = diff(nil, files)
	}
	return best, least
}

// make makes the snapshot.
func (a *Assembler) make(ctx context.Context, ref cache.ImmutableRef, t, base *tree, d difference) (err error) {
	parent := ""
	t.below = nil
	if base != nil {
		parent = base.key
		t.below = append(slices.Clone(base.below), base.key)
	}
	// BuildKit's lease of the reference keeps nothing but what it names.
	for _, k := range t.below {
		r := leases.Resource{ID: k, Type: "snapshots/" + a.Snapshots.Name()}
		if err := a.Leases.AddResource(ctx, leases.Lease{ID: ref.ID()}, r); err != nil && !cerrdefs.IsAlreadyExists(err) {
			return err
		}
	}
	ctx, done, err := leaseutil.WithLease(ctx, a.Leases, leaseutil.MakeTemporary)
	if err != nil {
		return err
	}
	defer func() { _ = done(context.WithoutCancel(ctx)) }() // it drops what wasn't committed
	active := identity.NewID()
	if err := a.Snapshots.Prepare(ctx, active, parent); err != nil {
		return err
	}
	upper, err := a.upper(ctx, active)
	if err != nil {
		return err
	}
	if err := apply(upper, d, t.files); err != nil {
		return err
	}
	// The files are counted with their layers.
	inodes := len(d.removed)
	for _, e := range d.changed {
		if e.isDir() {
			inodes++
		}
	}
	usage := snapshots.WithLabels(map[string]string{labelSize: strconv.Itoa(4096 * inodes), labelInodes: strconv.Itoa(inodes)})
	if err := a.Snapshots.Commit(ctx, t.key, active, usage); err != nil && !cerrdefs.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// upper is the directory in which a new snapshot's own content is.
func (a *Assembler) upper(ctx context.Context, key string) (string, error) {
	m, err := a.Snapshots.Mounts(ctx, key)
	if err != nil {
		return "", err
	}
	mounts, release, err := m.Mount()
	if err != nil {
		return "", err
	}
	dir := upperDir(mounts)
	if err := release(); err != nil {
		return "", err
	}
	if dir == "" {
		return "", errors.New("the snapshotter has no directory for changes")
	}
	return dir, nil
}

func upperDir(mounts []mount.Mount) string {
	if len(mounts) != 1 {
		return ""
	}
	switch m := mounts[0]; m.Type {
	case "bind":
		return m.Source
	case "overlay":
		for _, o := range m.Options {
			if dir, ok := strings.CutPrefix(o, "upperdir="); ok {
				return dir
			}
		}
	}
	return ""
}

// remember keeps a merge, and forgets the layers of those that are dropped for it.
func (a *Assembler) remember(t, base *tree) {
	if i := slices.Index(a.recent, base); i >= 0 {
		a.recent = append(slices.Delete(a.recent, i, i+1), base)
	}
	least := a.MinFiles
	if least == 0 {
		least = minFiles
	}
	if len(t.files) >= least {
		a.recent = append(a.recent, t)
	}
	if len(a.recent) > maxRecent {
		a.recent = slices.Delete(a.recent, 0, len(a.recent)-maxRecent)
	}
	used := map[string]bool{}
	for _, r := range a.recent {
		for _, k := range r.layers {
			used[k] = true
		}
	}
	maps.DeleteFunc(a.layers, func(k string, _ layer) bool { return !used[k] })
}
