// Package testtree compares directories in tests: what is there, with modes, links and content.
package testtree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxReported bounds the differences that are listed one by one.
const maxReported = 20

// Compare reports every difference between what is below two directories as an error, as far as
// keep accepts the path (relative, with slashes); a nil keep accepts all. It returns how many
// paths there are.
func Compare(t testing.TB, want, got string, keep func(path string) bool) int {
	t.Helper()
	w, g := List(t, want, keep), List(t, got, keep)
	paths := maps.Clone(w)
	maps.Copy(paths, g)
	bad := 0
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if w[p] == g[p] {
			continue
		}
		if bad++; bad > maxReported {
			continue
		}
		t.Errorf("%s: want %q, got %q", p, w[p], g[p])
		if strings.HasPrefix(w[p], "file") && strings.HasPrefix(g[p], "file") {
			t.Log(firstDifference(filepath.Join(want, p), filepath.Join(got, p)))
		}
	}
	if bad > maxReported {
		t.Errorf("%d paths differ in all", bad)
	}
	return len(paths)
}

// List maps the paths below a directory to descriptions: "dir 755", "link ../a", "file 644 5 0a1b…".
func List(t testing.TB, dir string, keep func(path string) bool) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if keep != nil && !keep(rel) {
			return nil
		}
		out[rel], err = describe(p, d)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func describe(p string, d fs.DirEntry) (string, error) {
	info, err := d.Info()
	switch {
	case err != nil:
		return "", err
	case d.IsDir():
		return fmt.Sprintf("dir %o", info.Mode().Perm()), nil
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(p)
		return "link " + target, err
	case !info.Mode().IsRegular():
		return "special " + info.Mode().String(), nil
	}
	data, err := os.ReadFile(p)
	sum := sha256.Sum256(data)
	return fmt.Sprintf("file %o %d %s", info.Mode().Perm(), len(data), hex.EncodeToString(sum[:6])), err
}

// firstDifference shows where two text files part.
func firstDifference(a, b string) string {
	x, err1 := os.ReadFile(a)
	y, err2 := os.ReadFile(b)
	if err1 != nil || err2 != nil {
		return fmt.Sprint(err1, err2)
	}
	xs, ys := strings.Split(string(x), "\n"), strings.Split(string(y), "\n")
	for i := range min(len(xs), len(ys)) {
		if xs[i] != ys[i] {
			lo, hi := max(0, i-6), i+4
			return fmt.Sprintf("line %d: want\n%.2000s\ngot\n%.2000s", i+1,
				strings.Join(xs[lo:min(hi, len(xs))], "\n"), strings.Join(ys[lo:min(hi, len(ys))], "\n"))
		}
	}
	return fmt.Sprintf("one ends after %d lines, the other after %d", len(xs), len(ys))
}
