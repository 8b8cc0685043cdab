// Whatever an archive holds, nothing is written outside of the destinations and nothing panics.

package unpack_test

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/unpack"
)

// fuzzLimits keep an accidental bomb from slowing the fuzzer down.
var fuzzLimits = unpack.Limits{Bytes: 4 << 20, Entries: 200, Ratio: 100, Free: 1 << 20}

// fuzz unpacks below two directories of an output; lay checks what is written outside of that.
func fuzz(t *testing.T, archive []byte, how action.Unpack) {
	dir := t.TempDir()
	err := layInto(t, dir, archive, how, fuzzLimits, "one/two", "three")
	var ue *unpack.Error
	if err != nil && !errors.As(err, &ue) {
		t.Fatalf("error %v is a %T", err, err)
	}
	// Also what a refused archive left behind must be inside, and must not lead outside.
	for sub, allowed := range map[string][]string{".": {"one", "three"}, "one": {"two"}} {
		found, _ := os.ReadDir(filepath.Join(dir, sub))
		for _, d := range found {
			if !slices.Contains(allowed, d.Name()) {
				t.Fatalf("%q is outside of the destinations", d.Name())
			}
		}
	}
	for _, dest := range []string{"one/two", "three"} {
		checkLinks(t, filepath.Join(dir, dest))
	}
}

// checkLinks fails if a link below dest leads outside, by resolving it as the kernel would.
func checkLinks(t *testing.T, dest string) {
	root, err := os.OpenRoot(dest)
	if err != nil {
		return // not made
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		if _, err := root.Stat(p); err != nil && strings.Contains(err.Error(), "escapes") {
			t.Errorf("link %q leads out of its destination", p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzTar(f *testing.F) {
	for _, c := range common() {
		if data := makeTar(f, c.in); len(data) < 100_000 { // large inputs slow the fuzzer down
			f.Add(data, c.how.Strip, c.how.Prefix, true)
		}
	}
	links := []entry{
		{name: "p/d/a", body: "A"}, {name: "p/l", body: "d/a", kind: tar.TypeSymlink}, {name: "p/h", body: "p/d/a", kind: tar.TypeLink},
		{name: "p/e", body: "../../..", kind: tar.TypeSymlink}, {name: "p/l/x", body: "X"},
	}
	f.Add(makeTar(f, links), 1, "", true)
	f.Add(gz(makeTar(f, links[:3])), 0, "p", false)
	f.Add([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00"), 0, "", false)
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00"), 0, "", false)
	f.Add([]byte("BZh91AY&SY"), 0, "", false)
	f.Fuzz(func(t *testing.T, archive []byte, strip int, prefix string, keep bool) {
		fuzz(t, archive, how("tar", strip, prefix, keep))
	})
}

func FuzzZip(f *testing.F) {
	for _, c := range common() {
		if data := makeZip(f, c.in); len(data) < 100_000 { // large inputs slow the fuzzer down
			f.Add(data, c.how.Strip, c.how.Prefix, true)
		}
	}
	f.Add(makeZip(f, []entry{{name: "d/l", body: "../a", mode: 0o120777}, {name: "a", body: "A", mode: 0o100755}}), 0, "", true)
	f.Fuzz(func(t *testing.T, archive []byte, strip int, prefix string, keep bool) {
		fuzz(t, archive, how("zip", strip, prefix, keep))
	})
}

func how(format string, strip int, prefix string, keep bool) action.Unpack {
	u := action.Unpack{Format: format, Strip: strip & 3, Prefix: prefix}
	if keep {
		u.Links = "keep"
	}
	if unpack.Check(u) != nil {
		u.Prefix = ""
	}
	return u
}
