// Where a download is kept between its arrival and its use.

package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// body is a finished download: in memory when it is small, else in a file without a name.
type body struct {
	io.ReaderAt
	size    int64
	release func()
}

// bufferPool recycles the memory of small downloads.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) get() *bytes.Buffer {
	if b, ok := p.pool.Get().(*bytes.Buffer); ok {
		b.Reset()
		return b
	}
	return new(bytes.Buffer)
}

// receiver takes the bytes of a download as they come.
type receiver struct {
	dir    string // where a file is made
	limit  int64  // of what is kept in memory
	pool   *bufferPool
	memory *bytes.Buffer
	file   *os.File
	size   int64
}

func (f *Fetcher) newReceiver(dir string, announced int64) (*receiver, error) {
	r := &receiver{dir: dir, limit: f.opt.Memory, pool: &f.bodies, memory: f.bodies.get()}
	if announced > r.limit {
		return r, r.spill()
	}
	if announced > 0 {
		r.memory.Grow(int(announced) + bytes.MinRead) // the length of the response is known
	}
	return r, nil
}

func (r *receiver) Write(p []byte) (int, error) {
	if r.file == nil && r.size+int64(len(p)) > r.limit {
		if err := r.spill(); err != nil {
			return 0, err
		}
	}
	r.size += int64(len(p))
	if r.file != nil {
		return r.file.Write(p)
	}
	return r.memory.Write(p)
}

func (r *receiver) spill() error {
	f, err := anonymousFile(r.dir)
	if err != nil {
		return fmt.Errorf("make a file for the download: %w", err)
	}
	r.file = f
	if r.memory.Len() == 0 {
		return nil
	}
	_, err = f.Write(r.memory.Bytes())
	r.memory.Reset()
	return err
}

func (r *receiver) discard() { r.finish().release() }

func (r *receiver) finish() *body {
	recycle := func() { r.pool.pool.Put(r.memory) }
	if r.file != nil {
		return &body{r.file, r.size, func() { r.file.Close(); recycle() }}
	}
	return &body{bytes.NewReader(r.memory.Bytes()), r.size, recycle}
}

// anonymousFile makes a file in dir that goes away with its descriptor, even when the process is
// killed, and that nobody sees in the output.
func anonymousFile(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_RDWR, 0o600)
	if err == nil || !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.ENOENT) {
		return f, err
	}
	// A file system without such files: remove the name at once.
	f, err = os.CreateTemp(dir, ".mergefest-download-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
