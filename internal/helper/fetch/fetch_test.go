package fetch_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/fetch"
	"github.com/mergefest/mergefest/internal/helper/integrity"
	"github.com/mergefest/mergefest/internal/helper/place"
)

// quick are options that let failures fail within a test's patience.
var quick = fetch.Options{Stall: 300 * time.Millisecond, Attempts: 3, Backoff: time.Millisecond}

func fetcher(t testing.TB, s fetch.Settings, opt fetch.Options) *fetch.Fetcher {
	f, err := fetch.New(s, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// do carries out items in a new directory, which is returned.
func do(t testing.TB, f *fetch.Fetcher, env fetch.Env, items ...action.Item) (string, error) {
	env.OutDir = t.TempDir()
	return env.OutDir, f.Do(t.Context(), &action.Fetch{Items: items}, env)
}

func tgz(files map[string]string) []byte {
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for name, body := range files {
		tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(body))})
		tw.Write([]byte(body))
	}
	tw.Close()
	zw.Close()
	return b.Bytes()
}

func sri(data []byte) []string {
	sum := sha512.Sum512(data)
	return []string{"sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
}

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

func file(name, url string, data []byte) action.Item {
	return action.Item{Name: name, URLs: []string{url}, Integrity: sri(data), Dests: []string{"f"}}
}

func read(t testing.TB, path ...string) string {
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

func TestFetch(t *testing.T) {
	pkg := tgz(map[string]string{"package/package.json": "{}", "package/bin/x.js": "#!"})
	big := bytes.Repeat([]byte("0123456789abcdef"), 400_000) // beyond what stays in memory
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/p.tgz":
			w.Header().Set("Content-Encoding", "gzip") // some servers do that to a .tgz
			w.Write(pkg)
		case "/big":
			w.Write(big) // chunked: no length
		}
	})
	sum := sha1.Sum(pkg)
	doc := &action.Fetch{
		Items: []action.Item{
			{Name: "p@1", URLs: []string{srv.URL + "/p.tgz"}, Integrity: []string{fmt.Sprintf("sha1:%x", sum)},
				Unpack: &action.Unpack{Format: "tar", Strip: 1, Executable: []string{"bin/x.js"}}, Dests: []string{"node_modules/p", "node_modules/q/node_modules/p"}},
			{Name: "big", URLs: []string{srv.URL + "/big"}, Integrity: sri(big), Dests: []string{"d/big", "big"}, Mode: 0o755},
		},
		Files: []action.File{{Path: "node_modules/p/package.json", Text: "replaced"}, {Path: "record", Text: "r"},
			{Path: "node_modules/.bin/x", Link: "../p/bin/x.js", If: "node_modules/p/bin/x.js"},
			{Path: "no/link", Link: "y", If: "node_modules/p/bin/y.js"}, {Path: "no/dir", Link: "y", If: "node_modules/p/package.json/y"}},
	}
	out := t.TempDir()
	if err := fetcher(t, fetch.Settings{}, quick).Do(t.Context(), doc, fetch.Env{OutDir: out}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"node_modules/p/package.json": "replaced", "node_modules/q/node_modules/p/package.json": "{}",
		"node_modules/p/bin/x.js": "#!", "record": "r", "big": string(big), "d/big": string(big),
	} {
		if got := read(t, out, path); got != want {
			t.Errorf("%s: got %.40q", path, got)
		}
	}
	for path, want := range map[string]fs.FileMode{"big": 0o755, "node_modules/p/bin/x.js": 0o755, "record": 0o644} {
		if fi, err := os.Stat(filepath.Join(out, path)); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	if target, err := os.Readlink(filepath.Join(out, "node_modules/.bin/x")); target != "../p/bin/x.js" {
		t.Errorf("the link whose condition holds: %q, %v", target, err)
	}
	// Nothing but the results is there, and all of it has the fixed time.
	entries, _ := os.ReadDir(out)
	if len(entries) != 4 {
		t.Errorf("the output has %v", entries)
	}
	filepath.WalkDir(out, func(p string, d fs.DirEntry, err error) error {
		if fi, err := os.Lstat(p); err != nil || fi.ModTime().Unix() != place.Time {
			t.Errorf("%s: %v, %v", p, fi.ModTime(), err)
		}
		return nil
	})
}

// TestGoModule keeps a zip, its directory and a go.mod, with one download of the zip.
func TestGoModule(t *testing.T) {
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for name, body := range map[string]string{"example.com/m@v1.0.0/go.mod": "module example.com/m\n", "example.com/m@v1.0.0/m.go": "package m\n"} {
		w, _ := zw.Create(name)
		w.Write([]byte(body))
	}
	zw.Close()
	zipFile := filepath.Join(t.TempDir(), "m.zip")
	os.WriteFile(zipFile, buf.Bytes(), 0o644)
	h1, err := dirhash.HashZip(zipFile, dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	mod := "module example.com/m\n"
	h1mod, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(mod)), nil })
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".zip") {
			requests.Add(1)
			w.Write(buf.Bytes())
		} else {
			io.WriteString(w, mod)
		}
	})
	items := []action.Item{
		{Name: "m", URLs: []string{srv.URL + "/m.zip"}, Integrity: []string{h1}, Dests: []string{"cache/download/m/@v/v1.0.0.zip"}},
		{Name: "m", URLs: []string{srv.URL + "/m.zip"}, Integrity: []string{h1}, Dests: []string{"m@v1.0.0"},
			Unpack: &action.Unpack{Format: "zip", Prefix: "example.com/m@v1.0.0"}},
		{Name: "m", URLs: []string{srv.URL + "/m.mod"}, Integrity: []string{h1mod}, Dests: []string{"cache/download/m/@v/v1.0.0.mod"}},
	}
	f := fetcher(t, fetch.Settings{}, quick)
	out, err := do(t, f, fetch.Env{}, items...)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, out, "m@v1.0.0/m.go"); got != "package m\n" {
		t.Errorf("got %q", got)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("the zip was downloaded %d times", n)
	}
	// A zip is not taken for the go.mod that it holds, and the other way round.
	items[0].Integrity, items[2].Integrity = []string{h1mod}, []string{h1}
	for _, it := range []action.Item{items[0], items[2]} {
		out, err := do(t, f, fetch.Env{}, it)
		var m *integrity.MismatchError
		if !errors.As(err, &m) {
			t.Errorf("got %v", err)
		}
		if entries, _ := os.ReadDir(out); len(entries) > 0 {
			t.Errorf("after a mismatch the output has %v", entries)
		}
	}
}

// TestFailures are servers that misbehave in every way, with the message that results and the
// number of requests that were made.
// TestCredentials sends one to its host only, and never into a message.
// TestConnections makes a hundred downloads and counts the connections.
// TestSeveralFailures reports what failed in the order of the items.

// TestUnless: an item is downloaded only where the others leave its path free.
func TestUnless(t *testing.T) {
	bundle, spare := tgz(map[string]string{"p/lib/in": "bundled"}), tgz(map[string]string{"p/in": "spare"})
	var asked atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/spare" {
			asked.Add(1)
			w.Write(spare)
			return
		}
		w.Write(bundle)
	})
	unpacked := func(name string, data []byte, dest, unless string) action.Item {
		return action.Item{Name: name, URLs: []string{srv.URL + "/" + name}, Integrity: sri(data), Dests: []string{dest}, Unless: unless,
			Unpack: &action.Unpack{Format: "tar", Strip: 1}}
	}
	f := fetcher(t, fetch.Settings{}, quick)
	// The order in the document doesn't count.
	dir, err := do(t, f, fetch.Env{}, unpacked("spare", spare, "d/lib", "d/lib/in"), unpacked("bundle", bundle, "d", ""))
	if err != nil || read(t, dir, "d/lib/in") != "bundled" || asked.Load() != 0 {
		t.Errorf("there: %v, %d downloads", err, asked.Load())
	}
	dir, err = do(t, f, fetch.Env{}, unpacked("spare", spare, "d/lib", "d/lib/other"), unpacked("bundle", bundle, "e", ""))
	if err != nil || read(t, dir, "d/lib/in") != "spare" || asked.Load() != 1 {
		t.Errorf("missing: %v, %d downloads", err, asked.Load())
	}
	if _, err := do(t, f, fetch.Env{}, unpacked("spare", spare, "d", "../x")); err == nil {
		t.Error("a path outside was accepted")
	}
}
