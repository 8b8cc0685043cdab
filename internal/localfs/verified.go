// Reading a file that must be what it was when it was hashed.

package localfs

import (
	"bytes"
	"context"
	"hash"
	"io"
	"os"
	"sync"
)

// verified reads a file and fails at its end if the content isn't the entry's.
type verified struct {
	fs    *FS
	file  *os.File
	hash  hash.Hash
	entry *entry
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.file.Read(p)
	v.hash.Write(p[:n])
	switch {
	case err == io.EOF && !bytes.Equal(v.hash.Sum(nil), v.entry.sum[:]):
		err = errChanged
	case err == io.EOF, err == nil:
		return n, err
	}
	return n, v.fs.failures.fail(&FileError{Node: v.entry.node, Path: v.entry.source, Err: bare(err)})
}

func (v *verified) Close() error { return v.file.Close() }

// failing is a reader that can't read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// failures tells those who wait for a transfer that it will never end.
type failures struct {
	mu      sync.Mutex
	err     error // the first
	waiting map[*context.CancelCauseFunc]bool
}

func (f *failures) fail(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	for cancel := range f.waiting {
		(*cancel)(f.err)
	}
	return err
}

// Guard returns a context that ends, with a *FileError as its cause, when a file can't be sent as it
// was read. Solves must run with it: the protocol has no word for "that file can't be read", and the
// engine would wait for the file forever. The function releases what the context holds.
func (f *FS) Guard(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	f.failures.mu.Lock()
	defer f.failures.mu.Unlock()
	if f.failures.waiting == nil {
		f.failures.waiting = map[*context.CancelCauseFunc]bool{}
	}
	f.failures.waiting[&cancel] = true
	if f.failures.err != nil {
		cancel(f.failures.err)
	}
	return ctx, func() {
		f.failures.mu.Lock()
		delete(f.failures.waiting, &cancel)
		f.failures.mu.Unlock()
		cancel(context.Canceled)
	}
}
