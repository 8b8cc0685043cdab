// The host's Go installation as a toolchain: imported once, then found by an index.
package toolchain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/gofrs/flock"
	digest "github.com/opencontainers/go-digest"

	"github.com/mergefest/mergefest/graph"
)

// Store keeps imported toolchains, as OCI images, below a directory. It may be used by several
// processes at a time.
type Store struct {
	dir   string
	blobs blobs
}

// OpenStore names the store in dir, which is created when something is imported.
func OpenStore(dir string) *Store { return &Store{dir: dir, blobs: blobs{dir}} }

// Content is what an engine's session offers, so that Import nodes find their images. It can only
// be read.
func (s *Store) Content() content.Store { return s.blobs }

// tools are the programs of a build; a toolchain without the optional ones is complete.
var tools = [...]struct {
	name     string
	optional bool
}{{"asm", false}, {"compile", false}, {"link", false}, {"preprofile", true}} // preprofile: since Go 1.23

// NotFoundError says that the host has no usable toolchain.
type NotFoundError struct {
	GOROOT string
	Err    error
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("the Go installation in %s can't be used: %v; install Go from its distribution, or let the toolchain come from the module proxy", e.GOROOT, e.Err)
}

func (e *NotFoundError) Unwrap() error { return e.Err }

// indexKey says when an imported toolchain is still that of the host. A GOROOT is not expected to
// change in place without a new build of its tools or a new VERSION.
type indexKey struct {
	Format   int // of the image: what is taken and how it is laid out
	GOROOT   string
	Platform string
	Version  string // the content of VERSION
	Tools    []string
}

// imageFormat changes with the rules in image.go, so that an older image isn't used.
const imageFormat = 1

// indexEntry is a file of the index.
type indexEntry struct {
	Key    indexKey
	Digest digest.Digest // of the manifest
}

// Host imports the installation in goroot, unless that was done before. version is "go1.26.0".
func (s *Store) Host(ctx context.Context, goroot, version, platform string) (*Go, error) {
	key, err := makeKey(goroot, platform)
	if err != nil {
		return nil, &NotFoundError{GOROOT: goroot, Err: err}
	}
	if has, ok := key.release(version); !ok {
		return nil, &NotFoundError{GOROOT: goroot, Err: fmt.Errorf("it is %s and the go command is %s: unset GOROOT, or put its bin directory first in PATH", has, version)}
	}
	if d, ok := s.find(ctx, key); ok {
		return imported(d, version, platform), nil
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(s.dir, "import.lock"))
	if err := lock.Lock(); err != nil {
		return nil, fmt.Errorf("lock the toolchain store: %w", err)
	}
	defer lock.Unlock()
	if d, ok := s.find(ctx, key); ok { // another process was faster
		return imported(d, version, platform), nil
	}
	d, err := s.importRoot(goroot, platform)
	if err != nil {
		return nil, fmt.Errorf("import the Go installation in %s: %w", goroot, err)
	}
	if err := s.remember(indexEntry{key, d}); err != nil {
		return nil, err
	}
	return imported(d, version, platform), nil
}

func imported(d digest.Digest, version, platform string) *Go {
	return &Go{
		Version: version, Platform: platform, Root: ".",
		Node: graph.Node{
			ID:     graph.ID{Ecosystem: "go", Kind: "toolchain", Package: "go", Version: version, Variant: platform},
			Action: &graph.Import{Digest: d.String(), Name: version + " " + platform},
		},
	}
}

func toolDir(platform string) string {
	return filepath.Join("pkg", "tool", strings.ReplaceAll(platform, "/", "_"))
}

func makeKey(goroot, platform string) (indexKey, error) {
	key := indexKey{Format: imageFormat, GOROOT: goroot, Platform: platform}
	version, err := os.ReadFile(filepath.Join(goroot, "VERSION"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // one built from a checkout has none
		return key, err
	}
	key.Version = string(version)
	for _, t := range tools {
		info, err := os.Stat(filepath.Join(goroot, toolDir(platform), t.name))
		if errors.Is(err, fs.ErrNotExist) && t.optional {
			continue
		}
		if err != nil {
			return key, err
		}
		key.Tools = append(key.Tools, fmt.Sprintf("%s %d %d", t.name, info.Size(), info.ModTime().UnixNano()))
	}
	return key, nil
}

// release is what VERSION says, and whether a go command of the version goVersion belongs to it: the
// compiler refuses another one, package by package. Experiments follow the version after a space.
func (k indexKey) release(goVersion string) (has string, ok bool) {
	has, _, _ = strings.Cut(k.Version, "\n")
	has = strings.TrimSpace(has)
	return has, has == "" || has == goVersion || strings.HasPrefix(goVersion, has+" ")
}

func (s *Store) indexFile(key indexKey) (string, error) {
	js, err := json.Marshal(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(js)
	return filepath.Join(s.dir, "index", hex.EncodeToString(sum[:])+".json"), nil
}

// find looks an import up and makes sure that its blobs are still there. Whatever is wrong with
// the entry, importing again puts it right.
func (s *Store) find(ctx context.Context, key indexKey) (digest.Digest, bool) {
	name, err := s.indexFile(key)
	if err != nil {
		return "", false
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", false
	}
	var e indexEntry
	if json.Unmarshal(data, &e) != nil || e.Digest.Validate() != nil {
		return "", false
	}
	return e.Digest, s.complete(ctx, e.Digest)
}

// remember writes an entry.
func (s *Store) remember(e indexEntry) error {
	name, err := s.indexFile(e.Key)
	if err != nil {
		return err
	}
	js, err := json.MarshalIndent(e, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return writeWhole(name, js)
}

// writeWhole replaces a file, so that a reader sees all of the old one or all of the new one.
func writeWhole(name string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(data); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}
