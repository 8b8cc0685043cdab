package toolchain

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/internal/goproxy"
)

const testPlatform = "linux/amd64"

// fakeRoot writes an installation with the given mode and time of all files.
func fakeRoot(t *testing.T, mode os.FileMode, at time.Time) string {
	t.Helper()
	root := t.TempDir()
	for name, data := range map[string]string{
		"VERSION": "go1.99.1\n", "go.env": "X=y\n", "README.md": "no",
		"bin/go": "no", "pkg/tool/linux_amd64/asm": "asm", "pkg/tool/linux_amd64/compile": "compile",
		"pkg/tool/linux_amd64/link": "link", "pkg/tool/linux_amd64/vet": "no", "pkg/include/textflag.h": "h",
		"src/fmt/print.go": "package fmt\n", "src/fmt/print_test.go": "no", "src/fmt/testdata/x": "no", "src/cmd/go/main.go": "no",
		"src/runtime/asm.s": "s", "src/time/tzdata/zone.txt": "z",
	} {
		name = filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(data), 0o600), os.Chmod(name, mode), os.Chtimes(name, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func importedDigest(t *testing.T, s *Store, root string) string {
	t.Helper()
	g, err := s.Host(t.Context(), root, "go1.99.1", testPlatform)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := graph.New([]graph.Node{g.Node}, nil); err != nil {
		t.Fatal(err)
	}
	return g.Node.Action.(*graph.Import).Digest
}

func TestHostImage(t *testing.T) {
	s := OpenStore(t.TempDir())
	d := importedDigest(t, s, fakeRoot(t, 0o644, time.Unix(1e9, 0)))
	data, err := content.ReadBlob(t.Context(), s.Content(), ocispec.Descriptor{Digest: digest.Digest(d)})
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	layer, err := content.ReadBlob(t.Context(), s.Content(), m.Layers[0])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for tr := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s: owner %d:%d, time %v", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		if h.Typeflag == tar.TypeReg {
			got = append(got, h.Name)
		}
		if want := int64(0o755); strings.Contains(h.Name, "pkg/tool") && h.Mode != want {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
	}
	want := []string{
		"VERSION", "go.env", "pkg/include/textflag.h", "pkg/tool/linux_amd64/asm", "pkg/tool/linux_amd64/compile",
		"pkg/tool/linux_amd64/link", "src/fmt/print.go", "src/runtime/asm.s", "src/time/tzdata/zone.txt",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Two machines, with other owners, modes and times of files, get the same digest.
func TestHostDigestIsThatOfTheContent(t *testing.T) {
	a := importedDigest(t, OpenStore(t.TempDir()), fakeRoot(t, 0o644, time.Unix(1e9, 0)))
	b := importedDigest(t, OpenStore(t.TempDir()), fakeRoot(t, 0o755, time.Unix(1.5e9, 0)))
	if a != b {
		t.Errorf("%s and %s", a, b)
	}
}

// Distributions link parts of GOROOT to other places.
func TestHostFollowsLinks(t *testing.T) {
	plain := fakeRoot(t, 0o644, time.Unix(1e9, 0))
	linked := fakeRoot(t, 0o644, time.Unix(1e9, 0))
	elsewhere := t.TempDir()
	for _, d := range []string{"src", "pkg/include"} {
		to := filepath.Join(elsewhere, filepath.Base(d))
		if err := errors.Join(os.Rename(filepath.Join(linked, d), to), os.Symlink(to, filepath.Join(linked, d))); err != nil {
			t.Fatal(err)
		}
	}
	s := OpenStore(t.TempDir())
	if a, b := importedDigest(t, s, plain), importedDigest(t, s, linked); a != b {
		t.Errorf("%s and %s", a, b)
	}
}

func TestHostIndex(t *testing.T) {
	root := fakeRoot(t, 0o644, time.Unix(1e9, 0))
	dir := t.TempDir()
	first := importedDigest(t, OpenStore(dir), root)
	if err := os.Remove(filepath.Join(root, "src/fmt/print.go")); err != nil {
		t.Fatal(err)
	}
	if d := importedDigest(t, OpenStore(dir), root); d != first {
		t.Error("the installation was read again")
	}
	if err := os.WriteFile(filepath.Join(root, "pkg/tool/linux_amd64/compile"), []byte("newer"), 0o755); err != nil {
		t.Fatal(err)
	}
	second := importedDigest(t, OpenStore(dir), root)
	if second == first {
		t.Error("a changed tool went unnoticed")
	}
	// A store that lost a blob, and an index that is torn, are put right.
	if err := os.RemoveAll(filepath.Join(dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	if d := importedDigest(t, OpenStore(dir), root); d != second {
		t.Errorf("got %s, want %s", d, second)
	}
	entries, err := filepath.Glob(filepath.Join(dir, "index", "*.json"))
	if err != nil || len(entries) == 0 {
		t.Fatal("no index", err)
	}
	for _, e := range entries {
		if err := os.WriteFile(e, []byte(`{"Dig`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := importedDigest(t, OpenStore(dir), root); d != second {
		t.Errorf("got %s, want %s", d, second)
	}
}

func TestHostNotFound(t *testing.T) {
	_, err := OpenStore(t.TempDir()).Host(t.Context(), t.TempDir(), "go1.99.1", testPlatform)
	var nf *NotFoundError
	if !errors.As(err, &nf) {
		t.Errorf("got %v", err)
	}
}

// TestHostOfAnotherVersion: GOROOT can lead a go command to the installation of another.
func TestHostOfAnotherVersion(t *testing.T) {
	root := fakeRoot(t, 0o644, time.Unix(1e9, 0))
	version := filepath.Join(root, "VERSION")
	for _, c := range []struct {
		content, goVersion string
		ok                 bool
	}{
		{"go1.99.1\ntime 2030-01-01T00:00:00Z\n", "go1.99.1", true},
		{"go1.99.1\n", "go1.99.1 X:jsonv2", true},
		{"go1.99.1 (vendor 1)", "go1.99.1 (vendor 1)", true},
		{"go1.99.1\n", "go1.99.10", false},
		{"go1.98.5\n", "go1.99.1", false},
	} {
		if err := os.WriteFile(version, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := OpenStore(t.TempDir()).Host(t.Context(), root, c.goVersion, testPlatform)
		var nf *NotFoundError
		if c.ok && err != nil || !c.ok && (!errors.As(err, &nf) || !strings.Contains(err.Error(), c.goVersion)) {
			t.Errorf("VERSION %q, the go command %s: %v", c.content, c.goVersion, err)
		}
	}
	if err := os.Remove(version); err != nil { // an installation built from a checkout
		t.Fatal(err)
	}
	if _, err := OpenStore(t.TempDir()).Host(t.Context(), root, "devel go1.100-0123456", testPlatform); err != nil {
		t.Error(err)
	}
}

// database serves a checksum database below /sumdb/<name>, as a proxy does.
func database(t *testing.T, sums map[string]string) (server, key string) {
	t.Helper()
	const name = "sums.example.com"
	skey, vkey, err := note.GenerateKey(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	ops := sumdb.NewTestServer(skey, func(path, version string) ([]byte, error) {
		sum, ok := sums[path+"@"+version]
		if !ok {
			return nil, os.ErrNotExist
		}
		return []byte(path + " " + version + " " + sum + "\n" + path + " " + version + "/go.mod " + sum + "\n"), nil
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/sumdb/"+name+"/supported", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("/sumdb/"+name+"/", http.StripPrefix("/sumdb/"+name, sumdb.NewServer(ops)))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, vkey
}

func TestProxy(t *testing.T) {
	const sum = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	server, key := database(t, map[string]string{"golang.org/toolchain@v0.0.1-go1.99.1.linux-arm64": sum})
	dir := t.TempDir()
	env := &goEnv{GOVERSION: "go1.99.1", GOPROXY: server, GOSUMDB: key}
	for range 2 { // the second time from the cache
		g, err := OpenStore(dir).fromProxy(t.Context(), env, "linux/arm64")
		if err != nil {
			t.Fatal(err)
		}
		item := g.Node.Action.(*graph.Fetch).Items[0]
		if item.Integrity[0] != sum || item.URLs[0] != server+"/golang.org/toolchain/@v/v0.0.1-go1.99.1.linux-arm64.zip" {
			t.Errorf("got %+v", item)
		}
		if !slices.Contains(item.Unpack.Executable, "pkg/tool/linux_arm64/compile") {
			t.Errorf("executable: %q", item.Unpack.Executable)
		}
		if _, err := graph.New([]graph.Node{g.Node}, nil); err != nil {
			t.Fatal(err)
		}
	}
	other, otherKey := database(t, nil)
	for _, c := range []struct {
		name string
		env  goEnv
	}{
		{"unknown version", goEnv{GOVERSION: "go1.99.2", GOPROXY: server, GOSUMDB: key}},
		{"another key", goEnv{GOVERSION: "go1.99.1", GOPROXY: server, GOSUMDB: otherKey + " " + server + "/sumdb/sums.example.com"}},
		{"another server", goEnv{GOVERSION: "go1.99.1", GOPROXY: other, GOSUMDB: key}},
		{"off", goEnv{GOVERSION: "go1.99.1", GOPROXY: server, GOSUMDB: "off"}},
		{"unknown name", goEnv{GOVERSION: "go1.99.1", GOPROXY: server, GOSUMDB: "sums.example.com"}},
		{"unreleased", goEnv{GOVERSION: "devel go1.99-abc", GOPROXY: server, GOSUMDB: key}},
	} {
		_, err := OpenStore(t.TempDir()).fromProxy(t.Context(), &c.env, "linux/arm64")
		var se *SumError
		if !errors.As(err, &se) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	var pe *goproxy.Error
	if _, err := OpenStore(dir).fromProxy(t.Context(), &goEnv{GOVERSION: "go1.99.1", GOPROXY: "off", GOSUMDB: key}, testPlatform); !errors.As(err, &pe) {
		t.Errorf("GOPROXY=off: got %v", err)
	}
}

// The host's own Go is found, and its keys of checksum databases are.
func TestGo(t *testing.T) {
	env, err := readEnv(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(env.GOVERSION, "go1.") || env.GOROOT == "" {
		t.Errorf("got %+v", env)
	}
	if keys, err := knownKeys(env.GOROOT); err != nil || len(keys) == 0 {
		t.Errorf("keys: %v, %v", keys, err)
	}
	if _, err := OpenStore(t.TempDir()).Go(t.Context(), Options{Provider: ProviderHost, Platform: "linux/s390x"}); err == nil {
		t.Error("a toolchain of another platform was accepted")
	}
}
