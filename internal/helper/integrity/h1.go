// Go's content hash of a module zip or a go.mod file.

package integrity

import (
	"archive/zip"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/dirhash"
)

// Kind says what SumH1 is to take a download for. It comes from the plan and never from the bytes:
// a zip that holds only a go.mod has the same hash as that go.mod alone.
type Kind int

// The kinds.
const (
	Zip   Kind = iota // a zip, by the names and contents of its entries
	GoMod             // one file that counts as "go.mod"
)

// SumH1 computes the digest of algorithm H1 of the size bytes of r. inflate, if not nil, replaces
// the standard library's decompressor for the entries of a zip; the caller can bound there what is
// decompressed.
func SumH1(kind Kind, r io.ReaderAt, size int64, inflate zip.Decompressor) ([]byte, error) {
	names, open := []string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(r, 0, size)), nil
	}
	if kind == Zip {
		zr, err := zip.NewReader(r, size)
		if err != nil {
			return nil, fmt.Errorf("not a usable zip: %w", err)
		}
		if inflate != nil {
			zr.RegisterDecompressor(zip.Deflate, inflate)
		}
		names = names[:0]
		files := make(map[string]*zip.File, len(zr.File))
		for _, f := range zr.File {
			names = append(names, f.Name)
			files[f.Name] = f
		}
		open = func(name string) (io.ReadCloser, error) { return files[name].Open() }
	}
	h, err := dirhash.Hash1(names, open)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(strings.TrimPrefix(h, "h1:"))
}
