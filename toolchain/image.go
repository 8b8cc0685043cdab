// A Go installation as an OCI image of one layer, the same bytes on every machine: fixed owner,
// mode and time, sorted names, no compression (whose output would depend on the compressor).
package toolchain

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// entry is a file of the image.
type entry struct {
	name string // in the image
	file string // on the host, without symbolic links
	size int64
	mode fs.FileMode
}

// list finds what a build needs of an installation: its tools, the headers for assembly, and the
// sources of the standard library without tests. Distributions put parts of GOROOT elsewhere and
// link to them; links are followed.
func list(goroot, platform string) ([]entry, error) {
	var out []entry
	for _, name := range []string{"VERSION", "go.env"} {
		file := filepath.Join(goroot, name)
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, entry{name, file, info.Size(), 0o644})
	}
	dir := toolDir(platform)
	for _, t := range tools {
		file := filepath.Join(goroot, dir, t.name)
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) && t.optional {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, entry{path.Join(filepath.ToSlash(dir), t.name), file, info.Size(), 0o755})
	}
	for _, d := range []string{"pkg/include", "src"} {
		entries, err := walk(filepath.Join(goroot, filepath.FromSlash(d)), d)
		if err != nil {
			return nil, err
		}
		out = append(out, entries...)
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// walk lists the regular files below dir, as name/….
func walk(dir, name string) ([]entry, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	var out []entry
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		at := path.Join(name, filepath.ToSlash(rel))
		if d.IsDir() {
			if left(at) {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(at, "_test.go") {
			return nil
		}
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		if info.IsDir() { // a link to a directory
			more, err := walk(file, at)
			out = append(out, more...)
			return err
		}
		if info.Mode().IsRegular() {
			out = append(out, entry{at, file, info.Size(), 0o644})
		}
		return nil
	})
	return out, err
}

// left names the directories that no build of a program reads.
func left(name string) bool {
	return name == "src/cmd" || path.Base(name) == "testdata"
}

// importRoot writes the image and gives its manifest's digest.
func (s *Store) importRoot(goroot, platform string) (digest.Digest, error) {
	entries, err := list(goroot, platform)
	if err != nil {
		return "", err
	}
	return s.putImage(platform, func(w io.Writer) error { return writeTar(w, entries) })
}

// putImage writes an image of one layer and gives its manifest's digest.
func (s *Store) putImage(platform string, writeLayer func(io.Writer) error) (digest.Digest, error) {
	layer, err := s.blobs.put(ocispec.MediaTypeImageLayer, writeLayer)
	if err != nil {
		return "", err
	}
	goos, arch, _ := strings.Cut(platform, "/")
	config, err := s.putJSON(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: goos, Architecture: arch},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}},
	})
	if err != nil {
		return "", err
	}
	manifest, err := s.putJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer},
	})
	return manifest.Digest, err
}

func (s *Store) putJSON(mediaType string, v any) (ocispec.Descriptor, error) {
	js, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return s.blobs.put(mediaType, func(w io.Writer) error {
		_, err := w.Write(js)
		return err
	})
}

// complete tells whether an image is whole.
func (s *Store) complete(ctx context.Context, d digest.Digest) bool {
	data, err := content.ReadBlob(ctx, s.blobs, ocispec.Descriptor{Digest: d})
	if err != nil || digest.FromBytes(data) != d {
		return false
	}
	var m ocispec.Manifest
	if json.Unmarshal(data, &m) != nil || len(m.Layers) != 1 {
		return false
	}
	for _, b := range append(m.Layers, m.Config) {
		if info, err := s.blobs.Info(ctx, b.Digest); err != nil || info.Size != b.Size {
			return false
		}
	}
	return true
}

// writeTar writes entries with their directories.
func writeTar(w io.Writer, entries []entry) error {
	tw := tar.NewWriter(w)
	made := map[string]bool{".": true}
	var mkdir func(dir string) error
	mkdir = func(dir string) error {
		if made[dir] {
			return nil
		}
		if err := mkdir(path.Dir(dir)); err != nil {
			return err
		}
		made[dir] = true
		return tw.WriteHeader(header(dir+"/", tar.TypeDir, 0o755, 0))
	}
	for _, e := range entries {
		if err := mkdir(path.Dir(e.name)); err != nil {
			return err
		}
		if err := tw.WriteHeader(header(e.name, tar.TypeReg, e.mode, e.size)); err != nil {
			return err
		}
		if err := copyFile(tw, e); err != nil {
			return err
		}
	}
	return tw.Close()
}

func header(name string, kind byte, mode fs.FileMode, size int64) *tar.Header {
	return &tar.Header{Name: name, Typeflag: kind, Mode: int64(mode), Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}

func copyFile(w io.Writer, e entry) error {
	f, err := os.Open(e.file)
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := io.Copy(w, f); err != nil {
		return fmt.Errorf("%s: %w", e.file, err)
	} else if n != e.size {
		return fmt.Errorf("%s: it changed while it was read", e.file)
	}
	return nil
}
