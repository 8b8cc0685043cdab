package helper

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mergefest/mergefest/internal/helper/fetch"
)

// rootVar makes the test's program the helper of a container with that root file system.
const rootVar = "HELPER_TEST_ROOT"

func TestMain(m *testing.M) {
	root := os.Getenv(rootVar)
	if root == "" {
		os.Exit(m.Run())
	}
	syscall.Umask(0o077) // not the one of the test
	if err := syscall.Chroot(root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Chdir("/")
	os.Exit(Main(context.Background(), os.Args[1:], os.Stderr))
}

// TestContainerAndProcess carries out one document as the program in an empty root file system,
// without /proc and with another umask, and as a function, and compares the results.
func TestContainerAndProcess(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can change its root directory")
	}
	var pkg bytes.Buffer
	zw := gzip.NewWriter(&pkg)
	tw := tar.NewWriter(zw)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "p/d/", Mode: 0o700}, {Typeflag: tar.TypeReg, Name: "p/d/f", Mode: 0o666, Size: 5},
		{Typeflag: tar.TypeReg, Name: "p/bin/x", Mode: 0o600, Size: 5}, {Typeflag: tar.TypeSymlink, Name: "p/l", Linkname: "d/f"},
	} {
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			tw.Write([]byte("hello"))
		}
	}
	tw.Close()
	zw.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(pkg.Bytes()) }))
	defer srv.Close()
	doc := fmt.Sprintf(`{"items":[{"name":"p@1","urls":["%s/p.tgz"],"integrity":["sha256:%x"],
		"unpack":{"format":"tar","strip":1,"links":"keep","executable":["bin/x"]},"dests":["node_modules/p","x"]}],
		"files":[{"path":"record","text":"r"},{"path":"wide","text":"w","mode":511}]}`, srv.URL, sha256.Sum256(pkg.Bytes()))

	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "fetch", doc)
	cmd.Env = []string{rootVar + "=" + root}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := NewShared(fetch.Options{})
	defer s.Close()
	inProcess := t.TempDir()
	var stderr bytes.Buffer
	c := Container{OutDir: inProcess, Stderr: &stderr, ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist }}
	if code, err := s.Run(t.Context(), []string{"fetch", doc}, c); code != 0 {
		t.Fatal(err)
	}
	a, b := describe(t, filepath.Join(root, "out")), describe(t, inProcess)
	if a != b || strings.Count(a, "\n") != 16 {
		t.Errorf("in a container:\n%s\nin the process:\n%s", a, b)
	}
}

// describe lists a tree with all that a layer would record of it.
func describe(t *testing.T, dir string) string {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		st := fi.Sys().(*syscall.Stat_t)
		mode := fi.Mode()
		if rel == "." {
			mode = 0 // made by the test
		}
		target, _ := os.Readlink(p)
		fmt.Fprintf(&b, "%s %v %d:%d %v %s\n", rel, mode, st.Uid, st.Gid, st.Mtim, target)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
