// Items that are files of the container, and the digests of any item.

package fetch

import (
	"context"
	"hash"
	"io"
	"net/url"
	"os"

	"github.com/mergefest/mergefest/internal/helper/integrity"
)

// hashes are the digests in the making.
type hashes map[integrity.Algorithm]hash.Hash

// hashes returns what computes the digests that a request needs, also as a list of writers.
func (r request) hashes() (hashes, []io.Writer) {
	out := hashes{}
	var writers []io.Writer
	for _, a := range r.sums {
		if h := a.New(); h != nil && out[a] == nil {
			out[a] = h
			writers = append(writers, h)
		}
	}
	return out, writers
}

func (h hashes) sums() map[integrity.Algorithm][]byte {
	out := map[integrity.Algorithm][]byte{}
	for a, x := range h {
		out[a] = x.Sum(nil)
	}
	return out
}

// open takes an item from a file in place of downloading it. There is one place to look: the
// request's first URL.
func (f *Fetcher) open(ctx context.Context, req request, _ Env) (*response, error) {
	u, err := url.Parse(req.urls[0])
	if err != nil {
		return nil, &Error{Item: req.name, Err: err}
	}
	file, err := os.Open(u.Path)
	if err != nil {
		return nil, &Error{Item: req.name, Err: err}
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, &Error{Item: req.name, Err: err}
	}
	hashes, out := req.hashes()
	buf := f.chunk()
	defer f.chunks.Put(buf)
	if _, err := copyChunks(io.MultiWriter(out...), io.NewSectionReader(file, 0, info.Size()), *buf); err != nil {
		file.Close()
		return nil, &Error{Item: req.name, URL: req.urls[0], Err: err}
	}
	if err := ctx.Err(); err != nil {
		file.Close()
		return nil, context.Cause(ctx)
	}
	all := &body{file, info.Size(), func() { file.Close() }}
	return &response{body: all, url: Redact(req.urls[0]), sums: hashes.sums(), local: true}, nil
}
