package helperbin

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mergefest/mergefest/internal/helperbin/rebuild"
)

const root = "../.."

// TestCurrent rebuilds the binaries from source and compares them with those that are embedded.
func TestCurrent(t *testing.T) {
	for _, p := range rebuild.Platforms() {
		want, err := rebuild.Build(t.Context(), root, p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Binary(p)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the embedded helper is stale (%x embedded, %x built): run go generate ./internal/helperbin and commit the result",
				p, sha256.Sum256(got), sha256.Sum256(want))
		}
	}
}

// TestChangesElsewhere copies the module, changes what the helper is not made of, and builds the
// helper again: its bytes, and with them the cache keys of all that it does, must stay.
func TestChangesElsewhere(t *testing.T) {
	const platform = "linux/amd64"
	copied := t.TempDir()
	copyModule(t, root, copied)
	edit := func(path string, change func(string) string) {
		file := filepath.Join(copied, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(change(string(data))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	add := func(text string) func(string) string { return func(s string) string { return s + text } }
	edit("graph/added.go", add("package graph\n\n// Added is new.\nfunc Added() int { return 42 }\n"))
	edit("llbgen/added/added.go", add("// Package added is new.\npackage added\n"))
	edit("internal/helper/unpack/added_test.go", add("package unpack_test\n"))
	edit("internal/helperbin/helperbin.go", add("\n// Added is new.\nfunc Added() int { return 42 }\n"))
	// Another Go version, other versions of the helper's own dependencies, another go.sum: an
	// update of mergefest's dependencies is not one of the helper's.
	edit("go.mod", func(s string) string {
		changed := regexp.MustCompile(`(?m)^(\tgolang\.org/x/(?:mod|net|sys) )v0\.\d+\.\d+`).ReplaceAllString(s, "${1}v0.1.0")
		changed = regexp.MustCompile(`(?m)^go .*$`).ReplaceAllString(changed, "go 1.25.0\n\ngodebug http2client=0")
		if changed == s {
			t.Fatal("go.mod was not changed")
		}
		return changed
	})
	edit("go.sum", func(string) string { return "" })

	want, err := rebuild.Build(t.Context(), root, platform)
	if err != nil {
		t.Fatal(err)
	}
	got, err := rebuild.Build(t.Context(), copied, platform)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("a change elsewhere changed the helper's bytes")
	}

	// The counter-check: a change of the helper does change them.
	edit("graph/action/action.go", func(s string) string { return strings.Replace(s, `OutDir = "/out"`, `OutDir = "/OUT"`, 1) })
	got, err = rebuild.Build(t.Context(), copied, platform)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		t.Error("a change of the helper did not change its bytes")
	}
}

// copyModule copies the sources of a module without hidden directories.
func copyModule(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		switch ext := filepath.Ext(p); ext {
		case ".go", ".mod", ".sum":
		default:
			return nil
		}
		data, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // somebody's temporary file
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBinaries(t *testing.T) {
	machines := map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}
	for _, p := range rebuild.Platforms() {
		data, err := Binary(p)
		if err != nil {
			t.Fatal(err)
		}
		f, err := elf.NewFile(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != machines[p] {
			t.Errorf("%s is for %v", p, f.Machine)
		}
		for _, s := range f.Progs {
			if s.Type == elf.PT_INTERP {
				t.Errorf("%s is not static", p)
			}
		}
		if len(data) > 8<<20 {
			t.Errorf("%s has %d bytes", p, len(data))
		}
		info, err := buildinfo.Read(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if info.Main.Version != "(devel)" {
			t.Errorf("%s carries the version %q of mergefest", p, info.Main.Version)
		}
		for _, s := range info.Settings {
			if strings.HasPrefix(s.Key, "vcs") {
				t.Errorf("%s carries %s=%s", p, s.Key, s.Value)
			}
		}
	}
	for _, p := range []string{"", "linux", "linux/riscv64", "darwin/arm64", "../x"} {
		_, err := Binary(p)
		var pe *PlatformError
		if !errors.As(err, &pe) || !strings.Contains(err.Error(), "linux/amd64 and linux/arm64") {
			t.Errorf("%q: got %v", p, err)
		}
		if _, err := ImageOf(p); !errors.As(err, &pe) {
			t.Errorf("%q: got %v", p, err)
		}
	}
	if _, err := Binary("linux/arm64/v8"); err != nil {
		t.Error(err)
	}
}

func TestImage(t *testing.T) {
	for _, p := range rebuild.Platforms() {
		img, err := ImageOf(p)
		if err != nil {
			t.Fatal(err)
		}
		layer, err := img.LayerData()
		if err != nil {
			t.Fatal(err)
		}
		var m ocispecs.Manifest
		if err := json.Unmarshal(img.Manifest.Data, &m); err != nil {
			t.Fatal(err)
		}
		var c ocispecs.Image
		if err := json.Unmarshal(img.Config.Data, &c); err != nil {
			t.Fatal(err)
		}
		check := func(what string, d ocispecs.Descriptor, data []byte) {
			if d.Digest != digest.FromBytes(data) || d.Size != int64(len(data)) {
				t.Errorf("%s: the descriptor of the %s is wrong", p, what)
			}
		}
		check("manifest", img.Manifest.Descriptor, img.Manifest.Data)
		check("config", m.Config, img.Config.Data)
		check("layer", m.Layers[0], layer)
		if c.RootFS.DiffIDs[0] != m.Layers[0].Digest || c.OS+"/"+c.Architecture != p {
			t.Errorf("%s: the config is %+v", p, c)
		}

		tr := tar.NewReader(bytes.NewReader(layer))
		h, err := tr.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s %o %d %d %d", h.Name, h.Mode, h.ModTime.Unix(), h.Uid, h.Gid); got != "helper 755 0 0 0" {
			t.Errorf("the layer has %q", got)
		}
		body, _ := io.ReadAll(tr)
		if binary, _ := Binary(p); !bytes.Equal(body, binary) {
			t.Error("the layer's helper is not the binary")
		}
		if _, err := tr.Next(); err != io.EOF {
			t.Errorf("after the helper: %v", err)
		}
	}
}
