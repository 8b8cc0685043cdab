// Package helperbin holds the in-container helper's ready-made binaries, and gives them the form
// of OCI images, which is how they reach an engine: by digest, from the client's content store.
//
// The binaries are built from internal/helper and cmd/mergefest-helper with the toolchain and
// dependencies of helper.mod, reproducibly; the tests fail when they are stale.
package helperbin

//go:generate go run ./gen

import (
	"archive/tar"
	"bytes"
	_ "crypto/sha256" // for package digest
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

//go:embed bin
var files embed.FS

// Name is the helper's file in its image.
const Name = "helper"

// LayersFile holds the digests of the layers, so that nobody has to compute them: the digest of an
// image is needed in every build, its bytes only in the first.
const LayersFile = "bin/layers.json"

// File is the embedded file of a platform's binary.
func File(platform string) string {
	return "bin/" + strings.ReplaceAll(platform, "/", "-") + ".zst"
}

// PlatformError is a platform that there is no helper for.
type PlatformError struct {
	Platform string
	Have     []string
}

func (e *PlatformError) Error() string {
	return fmt.Sprintf("there is no helper for platform %q: actions can run on %s only; use an engine of one of these platforms",
		e.Platform, strings.Join(e.Have, " and "))
}

// LayerInfo describes the layer of an image.
type LayerInfo struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

// InfoOf describes a layer.
func InfoOf(layer []byte) LayerInfo {
	return LayerInfo{Digest: digest.FromBytes(layer), Size: int64(len(layer))}
}

func layerInfo(platform string) (LayerInfo, error) {
	doc, err := files.ReadFile(LayersFile)
	if err != nil {
		return LayerInfo{}, err
	}
	infos := map[string]LayerInfo{}
	if err := json.Unmarshal(doc, &infos); err != nil {
		return LayerInfo{}, fmt.Errorf("%s: %w", LayersFile, err)
	}
	info, ok := infos[normalize(platform)]
	if !ok {
		e := &PlatformError{Platform: platform}
		for p := range infos {
			e.Have = append(e.Have, p)
		}
		slices.Sort(e.Have)
		return LayerInfo{}, e
	}
	return info, nil
}

// normalize drops the variant that is the default of its architecture.
func normalize(platform string) string {
	return strings.TrimSuffix(platform, "/v8")
}

// Binary returns the helper for a platform: "linux/amd64" or "linux/arm64". The error is a
// *PlatformError for others.
func Binary(platform string) ([]byte, error) {
	if _, err := layerInfo(platform); err != nil {
		return nil, err
	}
	packed, err := files.ReadFile(File(normalize(platform)))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	return dec.DecodeAll(packed, nil)
}

// Layer makes the one layer of an image: a plain tar archive with nothing but the helper.
func Layer(binary []byte) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	err := w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: Name, Mode: 0o755, Size: int64(len(binary)),
		ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
	})
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Blob is content with its descriptor.
type Blob struct {
	Descriptor ocispecs.Descriptor
	Data       []byte
}

// Image is a platform's helper as an OCI image. Making one is cheap; only LayerData unpacks.
type Image struct {
	Platform string
	Manifest Blob
	Config   Blob
	Layer    ocispecs.Descriptor
}

// ImageOf returns the image of a platform's helper. The error is a *PlatformError if there is none.
func ImageOf(platform string) (*Image, error) {
	info, err := layerInfo(platform)
	if err != nil {
		return nil, err
	}
	platform = normalize(platform)
	os, arch, _ := strings.Cut(platform, "/")
	img := &Image{
		Platform: platform,
		Layer:    ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageLayer, Digest: info.Digest, Size: info.Size},
	}
	img.Config, err = blob(ocispecs.MediaTypeImageConfig, ocispecs.Image{
		Platform: ocispecs.Platform{OS: os, Architecture: arch},
		RootFS:   ocispecs.RootFS{Type: "layers", DiffIDs: []digest.Digest{info.Digest}},
	})
	if err != nil {
		return nil, err
	}
	img.Manifest, err = blob(ocispecs.MediaTypeImageManifest, ocispecs.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispecs.MediaTypeImageManifest,
		Config:    img.Config.Descriptor,
		Layers:    []ocispecs.Descriptor{img.Layer},
	})
	if err != nil {
		return nil, err
	}
	return img, nil
}

func blob(mediaType string, v any) (Blob, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Blob{}, err
	}
	return Blob{ocispecs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}, data}, nil
}

// LayerData returns the bytes of the layer.
func (i *Image) LayerData() ([]byte, error) {
	binary, err := Binary(i.Platform)
	if err != nil {
		return nil, err
	}
	return Layer(binary)
}
