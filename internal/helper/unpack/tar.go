// Tar archives, plain or compressed.

package unpack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

func (u *Unpacker) tar(ctx context.Context, src io.ReaderAt, size int64, s *sink) error {
	s.lastWins = true
	r, release, err := u.decompress(src, size)
	if err != nil {
		return err
	}
	defer release()
	// The stream has headers and padding beside the content, of which a bomb can be made too.
	r = &bounded{r: r, left: s.allowed + s.allowed/4 + 1<<20, msg: s.tooMuch()}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			// What comes after the archive's end mark is padding, or rubbish that tar doesn't mind. Reading
			// it checks the sum of what came before.
			if _, err := io.Copy(io.Discard, r); errors.Is(err, gzip.ErrChecksum) {
				return &Error{Reason: "is damaged", Err: err}
			}
			return nil
		}
		if err != nil {
			return &Error{Reason: "can't be read", Err: describe(err)}
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := s.tarEntry(ctx, h, tr); err != nil {
			return err
		}
	}
}

func (s *sink) tarEntry(ctx context.Context, h *tar.Header, tr *tar.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader || h.Typeflag == 'V' { // metadata; a volume label
		return s.count(h.Name, 0)
	}
	if err := s.count(printable(h.Name), h.Size); err != nil {
		return err
	}
	elems, ok, err := s.resolve(h.Name)
	if err != nil || !ok {
		return err
	}
	entry := printable(h.Name)
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return s.file(ctx, entry, elems, h.FileInfo().Mode(), h.Size, tr)
	case tar.TypeDir:
		return s.dir(entry, elems)
	case tar.TypeSymlink:
		return s.symlink(entry, elems, h.Linkname)
	case tar.TypeLink:
		return s.hardlink(entry, elems, h.Linkname)
	case tar.TypeChar, tar.TypeBlock:
		return special(entry, "a device")
	case tar.TypeFifo:
		return special(entry, "a FIFO")
	}
	return special(entry, fmt.Sprintf("of the unknown kind %q", h.Typeflag))
}

// describe adds what is wrong to the errors that don't say.
func describe(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends too early: %w", err)
	}
	return err
}

// Decoder limits: the greatest windows that the usual tools make are 128 MB (zstd --ultra --long)
// and 64 MB (xz -9).
const (
	zstdWindow = 128 << 20
	xzDict     = 256 << 20
)

// decompress tells the compression by the first bytes, as the names of packages don't.
func (u *Unpacker) decompress(src io.ReaderAt, size int64) (io.Reader, func(), error) {
	var head [512]byte
	n, err := src.ReadAt(head[:min(size, int64(len(head)))], 0)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	magic := head[:n]
	in := func() *bufio.Reader { return bufio.NewReaderSize(io.NewSectionReader(src, 0, size), 64<<10) }
	has := func(prefix string) bool { return bytes.HasPrefix(magic, []byte(prefix)) }
	nothing := func() {}
	switch {
	case has("\x1f\x8b"):
		zr := u.gzips.Get().(*gzip.Reader)
		if err := zr.Reset(in()); err != nil {
			return nil, nil, &Error{Reason: "is no usable gzip file", Err: describe(err)}
		}
		return zr, func() { u.gzips.Put(zr) }, nil
	case has("BZh"):
		return newBzip2(in()), nothing, nil
	case has("\x28\xb5\x2f\xfd"):
		zr, err := zstd.NewReader(in(), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, &Error{Reason: "is no usable zstd file", Err: err}
		}
		return zr, zr.Close, nil
	case has("\xfd7zXZ\x00"):
		if err := checkXZ(in(), xzDict); err != nil {
			return nil, nil, &Error{Reason: "is no usable xz file", Err: err}
		}
		xr, err := xz.NewReader(in())
		if err != nil {
			return nil, nil, &Error{Reason: "is no usable xz file", Err: err}
		}
		return xr, nothing, nil
	case n == 0:
		return nil, nil, &Error{Reason: "is empty"}
	case LooksLikeHTML(magic):
		return nil, nil, &Error{Reason: "is an HTML page and no archive"}
	}
	return in(), nothing, nil
}

// bounded is a reader with an end that is an error.
type bounded struct {
	r    io.Reader
	left int64
	msg  string
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, &Error{Reason: b.msg}
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
