package helper

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/fetch"
	"github.com/mergefest/mergefest/internal/helper/run"
)

// TestUnpackFiles runs @unpack: a file of the container becomes what a download of the same bytes
// would become.
func TestUnpackFiles(t *testing.T) {
	dir := t.TempDir()
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	tw := tar.NewWriter(zw)
	tw.WriteHeader(&tar.Header{Name: "package/bin.js", Mode: 0o644, Size: 2})
	tw.Write([]byte("x\n"))
	tw.Close()
	zw.Close()
	archive := filepath.Join(dir, "a b.tgz") // a space has to be escaped in a URL
	if err := os.WriteFile(archive, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(packed.Bytes())
	good := "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	wrong := "sha512-" + base64.StdEncoding.EncodeToString(make([]byte, 64))
	file := "file://" + strings.ReplaceAll(archive, " ", "%20")
	for _, tt := range []struct {
		name, url, integrity string
		want                 string // of the error
	}{
		{"good", file, good, ""},
		{"wrong integrity", file, wrong, "a@1: " + file + ": "},
		{"no such file", file + "x", good, "no such file"},
		{"a directory", "file://" + dir, good, "is a directory"},
		{"not a file's URL", "http://registry.example.com/a.tgz", good, "not the URL of a file"},
		{"another host", "file://registry.example.com/a.tgz", good, "not the URL of a file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := json.Marshal(action.Fetch{
				Items: []action.Item{{
					Name: "a@1", URLs: []string{tt.url}, Integrity: []string{tt.integrity}, Dests: []string{"node/a", "node/b"},
					Unpack: &action.Unpack{Format: "tar", Strip: 1, Executable: []string{"bin.js"}},
				}},
				Files: []action.File{{Path: "l", Link: "node/a/bin.js", If: "node/a/bin.js"}, {Path: "m", Link: "x", If: "node/a/x"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			list := filepath.Join(t.TempDir(), "doc.json")
			runDoc, err := json.Marshal(run.Doc{Run: action.Run{
				Files:   []action.File{{Path: list, Text: string(doc)}},
				Tasks:   []action.Task{{Name: "unpack a", Commands: []action.Command{{Args: []string{"@unpack", list}}}}},
				Outputs: []action.Output{{Path: "node"}, {Path: "l"}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			s := NewShared(fetch.Options{})
			defer s.Close()
			c := Container{OutDir: t.TempDir(), Stderr: &stderr, ReadFile: os.ReadFile}
			err = dispatch(t.Context(), []string{"run", string(runDoc)}, c, s)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || c.report(err) != 1 {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []string{"node/a/bin.js", "node/b/bin.js", "l"} {
				fi, err := os.Stat(filepath.Join(c.OutDir, p))
				if err != nil || fi.Mode() != 0o755 {
					t.Errorf("%s: %v, %v", p, fi, err)
				}
			}
			if _, err := os.Lstat(filepath.Join(c.OutDir, "m")); !os.IsNotExist(err) {
				t.Errorf("a link to nothing was made: %v", err)
			}
			if fi, err := os.Lstat(filepath.Join(c.OutDir, "l")); err != nil || fi.Mode().Type() != fs.ModeSymlink {
				t.Errorf("l: %v, %v", fi, err)
			}
		})
	}
}
