//go:build linux

// From BuildKit's references to layers, without making what isn't there: no merge is materialised.

package export

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/snapshot"
)

// Keys under which BuildKit's cache keeps the parents of a computed difference. Such a record's
// snapshot doesn't hold what the difference deletes.
const (
	keyLowerDiff = "cache.lowerDiffParent"
	keyUpperDiff = "cache.upperDiffParent"
)

// exportChains exports results, layer by layer. A result whose layers can't be read one by one is
// mounted as a whole, which gives the same files and costs what BuildKit's own exporter pays.
func exportChains(ctx context.Context, req Request, results []placed, group session.Group) (Summary, error) {
	var refs cache.RefList
	for _, res := range results {
		part := Part{Dest: res.dest}
		if res.ref != nil {
			chain := res.ref.LayerChain()
			refs = append(refs, chain...)
			for _, ref := range chain {
				part.Layers = append(part.Layers, chainLayer(ref, group))
			}
		}
		req.Parts = append(req.Parts, part)
	}
	sum, err := Sync(ctx, req)
	if rerr := refs.Release(context.WithoutCancel(ctx)); err == nil {
		err = rerr
	}
	if !errors.Is(err, ErrNotSeparable) {
		return sum, err
	}
	for i, res := range results {
		if res.ref != nil {
			req.Parts[i].Layers = []Layer{wholeLayer(res.ref, group)}
		}
	}
	return Sync(ctx, req)
}

// chainLayer makes a layer of one element of a chain.
//
// The ID of a cache record is 128 random bits, given once to one immutable tree; a record that is
// dropped and made again gets another one. So one ID never means two contents, whatever happens to
// the engine's state in between.
func chainLayer(ref cache.ImmutableRef, group session.Group) Layer {
	return Layer{ID: ref.ID(), Open: func(ctx context.Context) (*Source, error) {
		return openRef(ctx, ref, group)
	}}
}

// openRef finds the directories of a layer. The caller holds the reference until it has released
// the source; it keeps the snapshot.
func openRef(ctx context.Context, ref cache.ImmutableRef, group session.Group) (*Source, error) {
	if ref.GetString(keyLowerDiff)+ref.GetString(keyUpperDiff) != "" {
		return nil, ErrNotSeparable
	}
	parents := ref.LayerChain()
	single := len(parents) == 1
	if err := parents.Release(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	mountable, err := ref.Mount(ctx, true, group) // which fetches a lazy layer first
	if err != nil {
		return nil, err
	}
	mounts, release, err := mountable.Mount()
	if err != nil {
		return nil, err
	}
	dirs := mountDirs(mounts)
	// A snapshotter without layers (native) gives a bind mount of everything.
	if len(dirs) == 0 || single != (len(dirs) == 1) {
		return nil, errors.Join(ErrNotSeparable, release())
	}
	return &Source{Dir: dirs[len(dirs)-1], Below: dirs[:len(dirs)-1], Release: release}, nil
}

// mountDirs lists the directories that a mount shows, lowest first; nil if it is none that shows
// directories of the host.
func mountDirs(mounts []mount.Mount) []string {
	if len(mounts) != 1 {
		return nil
	}
	m := mounts[0]
	switch m.Type {
	case "bind", "rbind":
		return []string{m.Source}
	case "overlay":
	default:
		return nil
	}
	var dirs []string
	upper := ""
	for _, o := range m.Options {
		if lower, ok := strings.CutPrefix(o, "lowerdir="); ok {
			dirs = strings.Split(lower, ":")
			slices.Reverse(dirs)
		} else if dir, ok := strings.CutPrefix(o, "upperdir="); ok {
			upper = dir
		}
	}
	if upper != "" {
		dirs = append(dirs, upper)
	}
	return dirs
}

// wholeLayer makes one layer of a whole reference by mounting it.
func wholeLayer(ref cache.ImmutableRef, group session.Group) Layer {
	return Layer{ID: "whole:" + ref.ID(), Open: func(ctx context.Context) (*Source, error) {
		mountable, err := ref.Mount(ctx, true, group)
		if err != nil {
			return nil, err
		}
		m := snapshot.LocalMounter(mountable)
		dir, err := m.Mount()
		if err != nil {
			return nil, errors.Join(err, m.Unmount())
		}
		return &Source{Dir: dir, Release: m.Unmount}, nil
	}}
}
