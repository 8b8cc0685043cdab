package embedded

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/pkg/gc"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/contenthash"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/snapshot"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"

	"github.com/mergefest/mergefest/engine/embedded/assemble"
)

// TestAssembledMerges changes merges at random, step by step, and compares each with the merge of the
// same layers that BuildKit makes: what a mount shows, and the digests of its content.
func TestAssembledMerges(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { assembleSteps(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func assembleSteps(t *testing.T, r *rand.Rand) {
	b := newMergeBench(t)
	var layers []cache.ImmutableRef
	for range 12 {
		layers = append(layers, b.layer(r))
	}
	onTop := 0
	for step := range 8 {
		ours, theirs := b.merge(layers), b.merge(layers)
		b.trees.Prepare(b.ctx, ours)
		info, err := b.snapshots.Stat(b.ctx, ours.GetString("cache.snapshot"))
		if err != nil {
			t.Fatalf("step %d: the merge was left to BuildKit: %v", step, err)
		}
		if info.Parent != "" {
			onTop++
		}
		for _, p := range []string{"/", "/d0", "/d1"} {
			if got, want := b.digest(ours, p), b.digest(theirs, p); got != want {
				t.Errorf("step %d: the digest of %s differs from BuildKit's: %s, want %s", step, p, got, want)
			}
		}
		b.trees.Indexed(b.ctx, ours)
		if got, want := b.listing(ours), b.listing(theirs); got != want {
			t.Fatalf("step %d: got:\n%s\nwant:\n%s", step, got, want)
		}
		// What the index says is what is there.
		sum := b.digest(ours, "/")
		contenthash.ClearCacheContext(ours)
		if err := ours.SetExternal("buildkit.contenthash.v0", nil); err != nil {
			t.Fatal(err)
		}
		if again := b.digest(ours, "/"); again != sum {
			t.Errorf("step %d: the digest was %s, and read again it is %s", step, sum, again)
		}
		switch i := r.IntN(len(layers)); r.IntN(3) {
		case 0:
			layers[i] = b.layer(r)
		case 1:
			layers = append(layers[:i:i], layers[i+1:]...)
			layers = append(layers, b.layer(r), b.layer(r))
		case 2:
			layers[0], layers[i] = layers[i], layers[0]
		}
	}
	if onTop == 0 {
		t.Error("no merge was made from another one")
	}
}

// TestAssembledOnTop drops the merge that another one was made from: that one stays whole.
func TestAssembledOnTop(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	b := newMergeBench(t)
	var layers []cache.ImmutableRef
	for range 20 {
		layers = append(layers, b.layer(r))
	}
	first, err := b.cm.Merge(b.ctx, layers[1:], nil)
	b.check(err)
	b.trees.Prepare(b.ctx, first)
	second, theirs := b.merge(layers), b.merge(layers)
	b.trees.Prepare(b.ctx, second)
	info, err := b.snapshots.Stat(b.ctx, second.GetString("cache.snapshot"))
	b.check(err)
	if info.Parent == "" {
		t.Fatal("the second merge wasn't made from the first one")
	}
	b.check(first.Release(b.ctx))
	b.check(b.cm.Prune(b.ctx, nil, client.PruneInfo{All: true}))
	_, err = b.collect(b.ctx)
	b.check(err)
	if got, want := b.listing(second), b.listing(theirs); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	// A merge whose base has gone is a base itself.
	layers = append(layers, b.layer(r))
	third, theirs := b.merge(layers), b.merge(layers)
	b.trees.Prepare(b.ctx, third)
	if got, want := b.listing(third), b.listing(theirs); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// mergeBench is a cache with an assembler.
type mergeBench struct {
	t         *testing.T
	ctx       context.Context
	cm        cache.Manager
	snapshots snapshot.Snapshotter
	trees     *assemble.Assembler
	collect   func(context.Context) (gc.Stats, error)
}

func newMergeBench(t *testing.T) *mergeBench {
	root := t.TempDir()
	if err := overlayutils.Supported(root); err != nil || os.Geteuid() != 0 {
		if os.Getenv("MERGEFEST_E2E") != "" {
			t.Fatalf("overlayfs is needed, as root: %v", err)
		}
		t.Skipf("SKIPPED: overlayfs can't be mounted here (as root: %v): %v", os.Geteuid() == 0, err)
	}
	b := &mergeBench{t: t, ctx: context.Background()}
	s, err := openStores(b.ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	b.snapshots = containerdsnapshot.NewSnapshotter(s.snapshotter, s.meta.Snapshotter(s.snapshotter), namespace, nil)
	b.cm, err = cache.NewManager(cache.ManagerOpt{
		Snapshotter: b.snapshots, ContentStore: s.content, LeaseManager: s.leases, MetadataStore: s.records,
		Applier: apply.NewFileSystemApplier(s.content), Differ: walking.NewWalkingDiff(s.content),
		GarbageCollect: s.meta.GarbageCollect, Root: root, MountPoolRoot: filepath.Join(root, "mounts"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.cm.Close(); err != nil {
			t.Error(err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	b.trees = s.assembler(b.snapshots)
	b.trees.MinFiles = 1
	b.collect = s.meta.GarbageCollect
	return b
}

func (b *mergeBench) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// layer makes a reference with a few files; layers share directories, and now and then they fall out
// about what is one.
func (b *mergeBench) layer(r *rand.Rand) cache.ImmutableRef {
	b.t.Helper()
	ref, err := b.cm.New(b.ctx, nil, nil)
	b.check(err)
	m, err := ref.Mount(b.ctx, false, nil)
	b.check(err)
	lm := snapshot.LocalMounter(m)
	dir, err := lm.Mount()
	b.check(err)
	for range 1 + r.IntN(6) {
		p := filepath.Join(dir, fmt.Sprintf("d%d", r.IntN(2)))
		for range r.IntN(3) {
			p = filepath.Join(p, fmt.Sprintf("s%d", r.IntN(4)))
		}
		if os.MkdirAll(p, 0o755) != nil {
			continue // a file is in the way
		}
		if r.IntN(8) == 0 {
			b.check(os.Chmod(p, 0o700))
		}
		name := filepath.Join(p, fmt.Sprintf("s%d", r.IntN(8)))
		if _, err := os.Lstat(name); err == nil {
			continue
		}
		if r.IntN(5) == 0 {
			b.check(os.Symlink(fmt.Sprintf("../x%d", r.IntN(3)), name))
		} else {
			b.check(os.WriteFile(name, []byte(fmt.Sprint(r.IntN(1000))), 0o600|fs.FileMode(r.IntN(2))*0o44))
		}
	}
	b.check(lm.Unmount())
	done, err := ref.Commit(b.ctx)
	b.check(err)
	b.t.Cleanup(func() { _ = done.Release(b.ctx) })
	return done
}

func (b *mergeBench) merge(layers []cache.ImmutableRef) cache.ImmutableRef {
	b.t.Helper()
	ref, err := b.cm.Merge(b.ctx, layers, nil)
	b.check(err)
	b.t.Cleanup(func() { _ = ref.Release(b.ctx) })
	return ref
}

// digest is empty for what isn't there.
func (b *mergeBench) digest(ref cache.ImmutableRef, p string) string {
	b.t.Helper()
	sum, err := contenthash.Checksum(b.ctx, ref, p, contenthash.ChecksumOpts{FollowLinks: true}, nil)
	if err != nil && strings.Contains(err.Error(), "not found") {
		return ""
	}
	b.check(err)
	return sum.String()
}

// listing describes everything that a mount shows.
func (b *mergeBench) listing(ref cache.ImmutableRef) string {
	b.t.Helper()
	m, err := ref.Mount(b.ctx, true, nil)
	b.check(err)
	lm := snapshot.LocalMounter(m)
	dir, err := lm.Mount()
	b.check(err)
	defer func() { b.check(lm.Unmount()) }()
	var out strings.Builder
	b.check(filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		switch info.Mode().Type() {
		case 0:
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text = string(data)
		case fs.ModeSymlink:
			if text, err = os.Readlink(name); err != nil {
				return err
			}
		}
		fmt.Fprintf(&out, "%s %v %q\n", strings.TrimPrefix(name, dir), info.Mode(), text)
		return nil
	}))
	return out.String()
}
