// Blobs by digest in a directory laid out like an OCI image layout, offered as a content store
// that can only be read.
package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// blobs is the directory <dir>/blobs/<algorithm>/<hex>. Blobs appear whole, by renaming, so that
// any number of processes may read and write.
type blobs struct{ dir string }

func (b blobs) path(d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("%w: %w", errdefs.ErrInvalidArgument, err)
	}
	return filepath.Join(b.dir, "blobs", d.Algorithm().String(), d.Encoded()), nil
}

// put stores what write writes.
func (b blobs) put(mediaType string, write func(io.Writer) error) (ocispec.Descriptor, error) {
	dir := filepath.Join(b.dir, "blobs", digest.Canonical.String())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return ocispec.Descriptor{}, err
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	sum := digest.Canonical.Digester()
	if err := write(io.MultiWriter(tmp, sum.Hash())); err != nil {
		return ocispec.Descriptor{}, err
	}
	info, err := tmp.Stat()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: sum.Digest(), Size: info.Size()}
	// A blob is written once and trusted by its name ever after, also after a loss of power.
	if err := tmp.Sync(); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := tmp.Close(); err != nil {
		return ocispec.Descriptor{}, err
	}
	name, err := b.path(d.Digest)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return d, os.Rename(tmp.Name(), name)
}

// Info implements content.Store.
func (b blobs) Info(_ context.Context, d digest.Digest) (content.Info, error) {
	name, err := b.path(d)
	if err != nil {
		return content.Info{}, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return content.Info{}, notFound(d, err)
	}
	return content.Info{Digest: d, Size: info.Size(), CreatedAt: info.ModTime(), UpdatedAt: info.ModTime()}, nil
}

// ReaderAt implements content.Store.
func (b blobs) ReaderAt(_ context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	name, err := b.path(desc.Digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, notFound(desc.Digest, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &blob{f, info.Size()}, nil
}

type blob struct {
	*os.File
	size int64
}

func (b *blob) Size() int64 { return b.size }

func notFound(d digest.Digest, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("content %s: %w", d, errdefs.ErrNotFound)
	}
	return err
}

// The rest of content.Store changes or lists the store, which its readers never do.

func readOnly(what string) error {
	return fmt.Errorf("%s: the store of toolchains can only be read: %w", what, errdefs.ErrNotImplemented)
}

// Update implements content.Store.
func (blobs) Update(context.Context, content.Info, ...string) (content.Info, error) {
	return content.Info{}, readOnly("update")
}

// Walk implements content.Store.
func (blobs) Walk(context.Context, content.WalkFunc, ...string) error { return readOnly("walk") }

// Delete implements content.Store.
func (blobs) Delete(context.Context, digest.Digest) error { return readOnly("delete") }

// Status implements content.Store.
func (blobs) Status(context.Context, string) (content.Status, error) {
	return content.Status{}, readOnly("status")
}

// ListStatuses implements content.Store.
func (blobs) ListStatuses(context.Context, ...string) ([]content.Status, error) { return nil, nil }

// Abort implements content.Store.
func (blobs) Abort(context.Context, string) error { return readOnly("abort") }

// Writer implements content.Store.
func (blobs) Writer(context.Context, ...content.WriterOpt) (content.Writer, error) {
	return nil, readOnly("write")
}
