package embedded_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/moby/buildkit/client/llb"
	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/internal/testengine"
)

// stallingStore gives the first bytes of one blob and then nothing until released.
type stallingStore struct {
	content.Store
	blob    digest.Digest
	after   int64
	stalled func()
	release <-chan struct{}
}

func (s *stallingStore) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	r, err := s.Store.ReaderAt(ctx, desc)
	if err != nil || desc.Digest != s.blob {
		return r, err
	}
	return &stallingReader{r, s}, nil
}

type stallingReader struct {
	content.ReaderAt
	s *stallingStore
}

func (r *stallingReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= r.s.after {
		r.s.stalled()
		<-r.s.release
	}
	return r.ReaderAt.ReadAt(p, off)
}

// bigImage is an image whose layer takes many messages to transfer.
func bigImage(t *testing.T) (_ content.Store, manifest, layer ocispecs.Descriptor) {
	t.Helper()
	store, err := local.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	add := func(mediaType string, data []byte) ocispecs.Descriptor {
		d := ocispecs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
		if err := content.WriteBlob(t.Context(), store, d.Digest.String(), bytes.NewReader(data), d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	noise := make([]byte, 24<<20)
	rand.Read(noise)
	var tarball bytes.Buffer
	tw := tar.NewWriter(&tarball)
	if err := tw.WriteHeader(&tar.Header{Name: "noise", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(noise))}); err != nil {
		t.Fatal(err)
	}
	tw.Write(noise)
	tw.Close()
	layer = add(ocispecs.MediaTypeImageLayer, tarball.Bytes())
	config, _ := json.Marshal(ocispecs.Image{
		Platform: ocispecs.Platform{OS: "linux", Architecture: "amd64"},
		RootFS:   ocispecs.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}},
	})
	doc, _ := json.Marshal(ocispecs.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageManifest,
		Config: add(ocispecs.MediaTypeImageConfig, config), Layers: []ocispecs.Descriptor{layer},
	})
	return store, add(ocispecs.MediaTypeImageManifest, doc), layer
}

// An import that was interrupted half-way succeeds in the next build.
func TestInterruptedImport(t *testing.T) {
	e := testengine.Start(t)
	store, manifest, layer := bigImage(t)
	image := llb.OCILayout("local/big@"+manifest.Digest.String(), llb.OCIStore("", "big"), llb.Platform(ocispecs.Platform{OS: "linux", Architecture: "amd64"}))
	def := testengine.Marshal(t, llb.Scratch().File(llb.Copy(image, "/noise", "/copy")))

	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	slow := &stallingStore{Store: store, blob: layer.Digest, after: 12 << 20, stalled: sync.OnceFunc(cancel), release: release}
	_, err := e.Solve(ctx, engine.Request{Definition: def, Stores: map[string]content.Store{"big": slow}})
	close(release)
	if err == nil {
		t.Fatal("the build wasn't interrupted")
	}
	if _, err := e.Solve(t.Context(), engine.Request{Definition: def, Stores: map[string]content.Store{"big": store}}); err != nil {
		t.Fatalf("the build after the interrupted one: %v", err)
	}
}
