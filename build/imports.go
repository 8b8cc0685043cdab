// The content store from which engines take what this machine imports: helpers and toolchains.
package build

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mergefest/mergefest/internal/helperbin"
)

// importsDir is the store's directory. Its layout is that of an OCI image layout's blobs.
func importsDir(stateDir string) string { return filepath.Join(stateDir, "imports") }

// openImports opens the store and puts the helper for a platform into it, if it isn't there yet.
func openImports(ctx context.Context, stateDir, platform string) (content.Store, map[string]digest.Digest, error) {
	store, err := local.NewStore(importsDir(stateDir))
	if err != nil {
		return nil, nil, fmt.Errorf("the store of imports: %w", err)
	}
	img, err := helperbin.ImageOf(platform)
	if err != nil {
		return nil, nil, err
	}
	if err := addHelper(ctx, store, img); err != nil {
		return nil, nil, fmt.Errorf("the store of imports %s: %w", importsDir(stateDir), err)
	}
	return store, map[string]digest.Digest{platform: img.Manifest.Descriptor.Digest}, nil
}

// addHelper writes the manifest last, so that one that is there is complete.
func addHelper(ctx context.Context, store content.Store, img *helperbin.Image) error {
	_, err := store.Info(ctx, img.Manifest.Descriptor.Digest)
	if err == nil || !errdefs.IsNotFound(err) {
		return err
	}
	layer, err := img.LayerData()
	if err != nil {
		return err
	}
	for _, b := range []struct {
		desc ocispecs.Descriptor
		data []byte
	}{{img.Layer, layer}, {img.Config.Descriptor, img.Config.Data}, {img.Manifest.Descriptor, img.Manifest.Data}} {
		if err := content.WriteBlob(ctx, store, "mergefest-"+b.desc.Digest.String(), bytes.NewReader(b.data), b.desc); err != nil {
			return err
		}
	}
	return nil
}
