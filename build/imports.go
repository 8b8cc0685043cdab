// The content store from which engines take what this machine imports: helpers and toolchains.
package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"

	"github.com/mergefest/mergefest/internal/helperbin"
	"github.com/mergefest/mergefest/toolchain"
)

// importsDir is the store's directory. Its layout is that of an OCI image layout's blobs.
func importsDir(stateDir string) string { return filepath.Join(stateDir, "imports") }

// openImports opens the store and puts the helper for a platform into it, if it isn't there yet.
func openImports(ctx context.Context, stateDir, platform string) (content.Store, map[string]digest.Digest, error) {
	dir := importsDir(stateDir)
	img, err := helperbin.ImageOf(platform)
	if err != nil {
		return nil, nil, err
	}
	store := toolchain.OpenStore(dir).Content()
	if err := addHelper(ctx, store, dir, img); err != nil {
		return nil, nil, fmt.Errorf("the store of imports %s: %w", dir, err)
	}
	return store, map[string]digest.Digest{platform: img.Manifest.Descriptor.Digest}, nil
}

// addHelper writes the manifest last, so that one that is there is complete.
func addHelper(ctx context.Context, store content.Store, dir string, img *helperbin.Image) error {
	_, err := store.Info(ctx, img.Manifest.Descriptor.Digest)
	if err == nil || !errdefs.IsNotFound(err) {
		return err
	}
	layer, err := img.LayerData()
	if err != nil {
		return err
	}
	for _, b := range []struct {
		digest digest.Digest
		data   []byte
	}{{img.Layer.Digest, layer}, {img.Config.Descriptor.Digest, img.Config.Data}, {img.Manifest.Descriptor.Digest, img.Manifest.Data}} {
		if err := writeBlob(filepath.Join(dir, "blobs", b.digest.Algorithm().String()), b.digest.Encoded(), b.data); err != nil {
			return err
		}
	}
	return nil
}

// writeBlob makes a file appear whole; several processes may write the same one at once.
func writeBlob(dir, name string, data []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil { // it is trusted by its name ever after, also after a loss of power
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(tmp.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(dir, name))
}
