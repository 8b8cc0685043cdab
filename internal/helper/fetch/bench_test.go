// What a large npm project costs: 924 packages, 25,000 files, 213 MB, from loopback.

package fetch_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/fetch"
)

const (
	benchPackages = 924
	benchFiles    = 27       // per package
	benchFileSize = 16 << 10 // at most; half of it on average
)

// BenchmarkPackages is one op per package, eight at a time, as an engine does it in its process.
func BenchmarkPackages(b *testing.B) {
	docs, total := benchServer(b)
	f, err := fetch.New(fetch.Settings{}, fetch.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.SetBytes(total)
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		b.StartTimer()
		var wg sync.WaitGroup
		slots := make(chan struct{}, 8)
		for i, doc := range docs {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				out := filepath.Join(dir, strconv.Itoa(i))
				if err := os.Mkdir(out, 0o755); err != nil {
					b.Error(err)
					return
				}
				if err := f.Do(b.Context(), doc, fetch.Env{OutDir: out}); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// benchServer serves packages made of the standard library's sources, which are text of the usual
// compressibility.
func benchServer(b *testing.B) ([]*action.Fetch, int64) {
	var text bytes.Buffer
	err := filepath.WalkDir(filepath.Join(runtime.GOROOT(), "src", "net"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") {
			return err
		}
		data, err := os.ReadFile(p)
		text.Write(data)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	b.Cleanup(srv.Close)
	var docs []*action.Fetch
	var total int64
	for i := range benchPackages {
		var buf bytes.Buffer
		zw := gzip.NewWriter(&buf)
		tw := tar.NewWriter(zw)
		for j := range benchFiles {
			n := rng.IntN(benchFileSize)
			at := rng.IntN(text.Len() - n)
			tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("package/lib%d/file%d.js", j/8, j), Mode: 0o644, Size: int64(n)})
			tw.Write(text.Bytes()[at : at+n])
			total += int64(n)
		}
		tw.Close()
		zw.Close()
		data := buf.Bytes()
		path := fmt.Sprintf("/p%d.tgz", i)
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			w.Write(data)
		})
		sum := sha512.Sum512(data)
		docs = append(docs, &action.Fetch{Items: []action.Item{{
			Name: fmt.Sprintf("p%d@1.0.0", i), URLs: []string{srv.URL + path},
			Integrity: []string{"sha512-" + base64.StdEncoding.EncodeToString(sum[:])},
			Unpack:    &action.Unpack{Format: "tar", Strip: 1},
			Dests:     []string{"node_modules/p" + strconv.Itoa(i)},
		}}})
	}
	return docs, total
}
