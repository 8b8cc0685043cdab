// The contestant with cache mounts: what this Dockerfile does, as LLB.
//
//	FROM go
//	RUN --mount=type=bind,target=/src --mount=type=cache,target=/cache/build \
//	    --mount=type=cache,target=/cache/mod go build -o /out/bin/ ./...
//	FROM scratch
//	COPY --from=0 /out /
//
// Its base image is the host's GOROOT, so that the toolchain is the same for all.

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/moby/buildkit/client/llb"
	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mergefest/mergefest/bench/internal/stock"
)

// mounts is the contestant.
type mounts struct {
	definition []byte
	layout     string // directory of the base image
	dir        string
}

// storeName is what the definition calls the place of the base image.
const storeName = "bench"

func newMounts(ctx context.Context, host *goHost, p *proxy, pr project, dir string) (*mounts, error) {
	m := &mounts{layout: filepath.Join(dir, "image"), dir: dir}
	manifest, err := baseImage(ctx, m.layout, host)
	if err != nil {
		return nil, err
	}
	base := llb.OCILayout("bench.example.com/go@"+manifest.String(), llb.OCIStore("", storeName), llb.WithCustomName("FROM go"))
	src := llb.Local("src", llb.SharedKeyHint("bench-src"))
	args := append([]string{"/go/bin/go", "build"}, buildFlags()...)
	run := base.Run(
		llb.Args(append(args, "-o", "/out/bin/", pr.pattern())),
		llb.Dir("/src"),
		llb.AddMount("/src", src, llb.Readonly),
		llb.AddMount("/cache/build", llb.Scratch(), llb.AsPersistentCacheDir("bench-build", llb.CacheMountShared)),
		llb.AddMount("/cache/mod", llb.Scratch(), llb.AsPersistentCacheDir("bench-mod", llb.CacheMountShared)),
		llb.AddEnv("PATH", "/go/bin"), llb.AddEnv("GOCACHE", "/cache/build"), llb.AddEnv("GOMODCACHE", "/cache/mod"),
		llb.AddEnv("GOPROXY", p.url), llb.AddEnv("GOSUMDB", "off"), llb.AddEnv("GOENV", "off"), llb.AddEnv("GOFLAGS", ""),
		llb.AddEnv("GOTOOLCHAIN", "local"), llb.AddEnv("CGO_ENABLED", "0"), llb.AddEnv("GOWORK", "off"), llb.AddEnv("HOME", "/tmp"),
		llb.WithCustomName("RUN go build"),
	)
	def, err := run.AddMount("/out", llb.Scratch()).Marshal(ctx, llb.Platform(ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := llb.WriteTo(def, &buf); err != nil {
		return nil, err
	}
	m.definition = buf.Bytes()
	return m, nil
}

// team completes a contestant; its client is the buildctl beside buildkitd.
func (m *mounts) team(t *team, d *stock.Daemon) *team {
	buildctl := filepath.Join(filepath.Dir(d.Bin), "buildctl")
	t.reset = d.Restart
	t.build = func(ctx context.Context) error {
		return command(ctx, m.dir, os.Environ(), m.definition, buildctl, "--addr", d.Addr(), "build", "--progress", "quiet",
			"--local", "src="+t.src, "--oci-layout", storeName+"="+m.layout, "--output", "type=local,dest="+t.out)
	}
	t.daemons = d.PIDs
	return t
}

// baseImage writes an image with the host's GOROOT at /go into a content store, whose directory
// has the form of an OCI layout.
func baseImage(ctx context.Context, dir string, host *goHost) (digest.Digest, error) {
	store, err := local.NewStore(dir)
	if err != nil {
		return "", err
	}
	tarFile := filepath.Join(dir, "layer.tar")
	if err := writeRoot(tarFile, host.root); err != nil {
		return "", err
	}
	defer os.Remove(tarFile)
	f, err := os.Open(tarFile)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum, err := digest.FromReader(f)
	if err != nil {
		return "", err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	layer := ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageLayer, Digest: sum, Size: size}
	if err := content.WriteBlob(ctx, store, "layer", f, layer); err != nil {
		return "", err
	}
	cfg, err := putJSON(ctx, store, ocispecs.MediaTypeImageConfig, ocispecs.Image{
		Platform: ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH},
		RootFS:   ocispecs.RootFS{Type: "layers", DiffIDs: []digest.Digest{sum}},
	})
	if err != nil {
		return "", err
	}
	man, err := putJSON(ctx, store, ocispecs.MediaTypeImageManifest, ocispecs.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageManifest,
		Config: cfg, Layers: []ocispecs.Descriptor{layer},
	})
	return man.Digest, err
}

func putJSON(ctx context.Context, store content.Store, mediaType string, v any) (ocispecs.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	d := ocispecs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	return d, content.WriteBlob(ctx, store, d.Digest.String(), bytes.NewReader(b), d)
}

// writeRoot writes a tar with /tmp and, at /go, what building needs of a GOROOT.
func writeRoot(path, goroot string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	err = filepath.WalkDir(goroot, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(goroot, p)
		if err != nil || rel == "." {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || rel == "test" || rel == "doc" || rel == "api" || rel == "misc") {
			return filepath.SkipDir
		}
		return addFile(w, p, "go/"+filepath.ToSlash(rel), d)
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}

func addFile(w *tar.Writer, path, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: time.Unix(0, 0)}
	switch {
	case d.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, strings.TrimSuffix(name, "/")+"/"
		return w.WriteHeader(h)
	case !info.Mode().IsRegular():
		return nil // GOROOT has no links that building needs
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
