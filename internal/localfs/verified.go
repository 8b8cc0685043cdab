// Reading a file that must be what it was when it was hashed.

package localfs

import (
	"bytes"
	"hash"
	"io"
	"os"
)

// verified reads a file and fails at its end if the content isn't the entry's.
type verified struct {
	file  *os.File
	hash  hash.Hash
	entry *entry
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.file.Read(p)
	v.hash.Write(p[:n])
	if err == io.EOF && !bytes.Equal(v.hash.Sum(nil), v.entry.sum[:]) {
		return n, &FileError{Node: v.entry.node, Path: v.entry.source, Err: errChanged}
	}
	return n, err
}

func (v *verified) Close() error { return v.file.Close() }

// failing is a reader that can't read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
