//go:build linux

// BuildKit's index of content digests, brought up to date by a difference.

package assemble

import (
	"context"
	"io"
	"io/fs"
	"os"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/contenthash"
	digest "github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// hashed is a file's information with the digest that BuildKit would compute.
type hashed struct {
	fs.FileInfo
	stat *types.Stat
	sum  digest.Digest
}

func (h *hashed) Sys() any              { return h.stat }
func (h *hashed) Digest() digest.Digest { return h.sum }

// hash reads an entry.
func (e *entry) hash() (*hashed, error) {
	info, err := os.Lstat(e.source)
	if err != nil {
		return nil, err
	}
	h, err := contenthash.NewFileHash(e.source, info)
	if err != nil {
		return nil, err
	}
	out := &hashed{FileInfo: info, stat: &types.Stat{Mode: uint32(info.Mode())}}
	if info.Mode()&fs.ModeSymlink != 0 {
		if out.stat.Linkname, err = os.Readlink(e.source); err != nil {
			return nil, err
		}
	}
	if info.Mode().IsRegular() && info.Size() > 0 {
		f, err := os.Open(e.source)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if _, err := io.Copy(h, f); err != nil {
			return nil, err
		}
	}
	out.sum = digest.NewDigest(digest.SHA256, h)
	return out, nil
}

// index gives a reference the index of another merge, changed by the difference.
func index(ctx context.Context, ref cache.RefMetadata, from contenthash.CacheContext, d difference) error {
	files := make([]*hashed, len(d.changed))
	for i, e := range d.changed {
		var err error
		if files[i], err = e.hash(); err != nil {
			return err
		}
	}
	if err := contenthash.SetCacheContext(ctx, ref, from); err != nil {
		return err
	}
	cc, err := contenthash.GetCacheContext(ctx, ref)
	if err == nil {
		err = change(cc, d, files)
	}
	if err != nil {
		contenthash.ClearCacheContext(ref)
	}
	return err
}

func change(cc contenthash.CacheContext, d difference, files []*hashed) error {
	for _, p := range d.removed {
		if err := cc.HandleChange(fsutil.ChangeKindDelete, p, nil, nil); err != nil {
			return err
		}
	}
	for i, e := range d.changed {
		if err := cc.HandleChange(fsutil.ChangeKindAdd, e.path, files[i], nil); err != nil {
			return err
		}
	}
	return nil
}
