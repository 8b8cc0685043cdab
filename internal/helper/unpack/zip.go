// Zip archives.

package unpack

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/klauspost/compress/flate"
)

// The file type bits of a Unix mode, in the upper half of a zip entry's external attributes.
const (
	unixType    = 0o170000
	unixRegular = 0o100000
	unixDir     = 0o040000
	unixSymlink = 0o120000
)

const maxLink = 4095

func (u *Unpacker) zip(ctx context.Context, src io.ReaderAt, size int64, s *sink) error {
	zr, err := zip.NewReader(src, size)
	if err != nil {
		return &Error{Reason: "can't be read as a zip", Err: err}
	}
	zr.RegisterDecompressor(zip.Deflate, u.inflate)
	// All of it is checked before the first file is written. Entries that share compressed bytes
	// are caught by the ratio, since the sizes are added up.
	for _, f := range zr.File {
		if f.UncompressedSize64 > uint64(s.limits.Bytes) {
			return &Error{Entry: printable(f.Name), Reason: s.tooMuch()}
		}
		if err := s.count(printable(f.Name), int64(f.UncompressedSize64)); err != nil {
			return err
		}
	}
	for _, f := range zr.File {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := s.zipEntry(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink) zipEntry(ctx context.Context, f *zip.File) error {
	entry := printable(f.Name)
	elems, ok, err := s.resolve(f.Name)
	if err != nil || !ok {
		return err
	}
	unix := f.ExternalAttrs >> 16
	isDir := len(f.Name) > 0 && f.Name[len(f.Name)-1] == '/'
	switch t := unix & unixType; {
	case isDir:
		return s.dir(entry, elems)
	case t == unixSymlink:
		return s.zipSymlink(entry, elems, f)
	case t == unixDir || t != 0 && t != unixRegular:
		return special(entry, fmt.Sprintf("of the Unix type %#o", t))
	}
	// Archives of systems without Unix modes have none here, whatever they claim to come from.
	mode := fs.FileMode(unix & 0o777)
	if mode == 0 {
		mode = 0o644
	}
	r, err := open(f)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := s.file(ctx, entry, elems, mode, int64(f.UncompressedSize64), r); err != nil {
		return err
	}
	// Reading up to the end is what makes package zip compare checksum and length.
	var one [1]byte
	if n, err := r.Read(one[:]); n != 0 || err != io.EOF {
		if err == nil || err == io.EOF {
			err = zip.ErrFormat
		}
		return &Error{Entry: entry, Reason: "is damaged", Err: err}
	}
	return nil
}

func open(f *zip.File) (io.ReadCloser, error) {
	entry := printable(f.Name)
	if f.Flags&1 != 0 {
		return nil, &Error{Entry: entry, Reason: "is encrypted"}
	}
	r, err := f.Open()
	if err != nil {
		return nil, &Error{Entry: entry, Reason: fmt.Sprintf("can't be read (compression method %d)", f.Method), Err: err}
	}
	return r, nil
}

func (s *sink) zipSymlink(entry string, elems []string, f *zip.File) error {
	if f.UncompressedSize64 > maxLink {
		return &Error{Entry: entry, Reason: "is a link with a target that is too long"}
	}
	r, err := open(f)
	if err != nil {
		return err
	}
	defer r.Close()
	target, err := io.ReadAll(io.LimitReader(r, maxLink+1))
	if err != nil {
		return &Error{Entry: entry, Reason: "is damaged", Err: err}
	}
	return s.symlink(entry, elems, string(target))
}

// inflate is a decompressor for package zip that returns its state to the pool when it is closed.
func (u *Unpacker) inflate(r io.Reader) io.ReadCloser {
	fr := u.flates.Get().(io.ReadCloser)
	if err := fr.(flate.Resetter).Reset(r, nil); err != nil {
		return io.NopCloser(failing{err})
	}
	return &pooledInflater{fr: fr, pool: &u.flates}
}

type pooledInflater struct {
	fr   io.ReadCloser
	pool *sync.Pool
}

func (p *pooledInflater) Read(b []byte) (int, error) {
	if p.fr == nil {
		return 0, fs.ErrClosed
	}
	return p.fr.Read(b)
}

func (p *pooledInflater) Close() error {
	if p.fr == nil {
		return nil
	}
	err := p.fr.Close()
	p.pool.Put(p.fr)
	p.fr = nil
	return err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
