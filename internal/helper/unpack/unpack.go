// Package unpack lays archives into directories, and believes nothing that they say.
//
// An archive that holds something out of the ordinary is refused with an *Error that names the
// archive and the entry, and never mended silently:
//
//   - absolute names, "..", NUL bytes, names that aren't UTF-8 or are longer than Linux allows;
//   - devices, FIFOs and kinds of entries that aren't known;
//   - links, unless the plan keeps or skips them; a symbolic link must stay inside its
//     destination (place.Inside), and nothing is ever written through one;
//   - an entry that is two different things, say a file and a directory; in a zip also the same
//     file twice. In a tar the last of several files of one name wins, as everywhere;
//   - more than Limits allows.
//
// Names that differ by case or Unicode form only are different names. Sparse files are written
// out in full. Of an entry's mode only the permission bits count; directories always get
// place.DirMode. Times and owners are not taken over. See package place for what results.
package unpack

import (
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/integrity"
	"github.com/mergefest/mergefest/internal/helper/place"
)

// Limits bound what an archive may become.
type Limits struct {
	Bytes   int64 // unpacked, in all
	Entries int
	// Ratio of the unpacked to the packed size. It counts only beyond Free bytes.
	Ratio int64
	Free  int64
}

// DefaultLimits leave an order of magnitude above what packages are known to have: toolchains
// reach 20,000 entries and 1 GB, machine learning wheels 10 GB at a ratio of 3, and text rarely
// passes a ratio of 30.
func DefaultLimits() Limits {
	return Limits{Bytes: 64 << 30, Entries: 2_000_000, Ratio: 250, Free: 256 << 20}
}

func (l Limits) allowed(packed int64) int64 {
	if packed > l.Bytes/l.Ratio {
		return l.Bytes
	}
	return min(l.Bytes, max(l.Free, packed*l.Ratio))
}

// Error is an archive that was refused or couldn't be read.
type Error struct {
	Entry  string // the name as the archive has it; empty when it concerns the whole
	Reason string
	Err    error // the cause, or nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("archive")
	if e.Entry != "" {
		fmt.Fprintf(&b, " entry %q", e.Entry)
	}
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Unpacker unpacks archives, several at once if need be, and keeps its buffers between them.
type Unpacker struct {
	limits  Limits
	gzips   sync.Pool // *gzip.Reader
	flates  sync.Pool // io.ReadCloser and flate.Resetter
	buffers sync.Pool // *[]byte of bufferSize
}

// bufferSize holds nearly every file of a package, so that it is written with one system call.
const bufferSize = 256 << 10

// New returns an Unpacker.
func New(limits Limits) *Unpacker {
	return &Unpacker{
		limits:  limits,
		gzips:   sync.Pool{New: func() any { return new(gzip.Reader) }},
		flates:  sync.Pool{New: func() any { return flate.NewReader(strings.NewReader("")) }},
		buffers: sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }},
	}
}

// Check reports what can't be followed in a description of an archive.
func Check(u action.Unpack) error {
	if u.Format != "tar" && u.Format != "zip" {
		return fmt.Errorf("unknown archive format %q (want tar or zip)", u.Format)
	}
	switch u.Links {
	case "", "keep", "skip", "refuse":
	default:
		return fmt.Errorf("unknown value %q for links (want keep, skip or refuse)", u.Links)
	}
	if u.RawStrip && u.Prefix != "" {
		return errors.New("rawStrip and prefix exclude each other")
	}
	if u.Strip < 0 {
		return fmt.Errorf("negative strip %d", u.Strip)
	}
	if (u.SetMode|u.ClearMode)&^0o777 != 0 {
		return fmt.Errorf("setMode %#o and clearMode %#o may have permission bits only", u.SetMode, u.ClearMode)
	}
	if _, err := place.Split(u.Prefix); err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	for _, x := range u.Executable {
		if _, err := place.Split(x); err != nil {
			return fmt.Errorf("executable: %w", err)
		}
	}
	for from, to := range u.Rename {
		for _, name := range []string{from, to} {
			if elems, err := place.Split(name); err != nil || len(elems) != 1 {
				return fmt.Errorf("rename: %q is not the name of a file without its directory", name)
			}
		}
	}
	return nil
}

// Unpack lays the archive, which has size bytes, into each of the directories. Every one gets
// files of its own: links between them would let a change of one change the others. What an
// archive left that was refused half-way has to be dropped by the caller.
func (u *Unpacker) Unpack(ctx context.Context, src io.ReaderAt, size int64, how action.Unpack, out *place.Output, dests []string) error {
	if err := Check(how); err != nil {
		return err
	}
	s, err := u.newSink(how, out, dests, size)
	if err != nil {
		return err
	}
	defer s.close()
	for _, w := range s.writers {
		if err := w.Dir(nil); err != nil {
			return err
		}
	}
	if how.Format == "zip" {
		return u.zip(ctx, src, size, s)
	}
	return u.tar(ctx, src, size, s)
}

// mode applies the plan's modes to a file's.
func (s *sink) mode(entry fs.FileMode, name string) fs.FileMode {
	m := (uint32(entry.Perm()) | s.how.SetMode) &^ s.how.ClearMode
	if s.executable[name] {
		m |= 0o111
	}
	return fs.FileMode(m)
}

// SumH1 computes Go's hash of a zip or a go.mod file within the limits of an archive.
func (u *Unpacker) SumH1(kind integrity.Kind, src io.ReaderAt, size int64) ([]byte, error) {
	left := u.limits.allowed(size)
	sum, err := integrity.SumH1(kind, src, size, func(r io.Reader) io.ReadCloser {
		return &boundedCloser{u.inflate(r), &left}
	})
	if err != nil {
		return nil, &Error{Reason: "can't be hashed", Err: err}
	}
	return sum, nil
}

// boundedCloser draws from one allowance for all entries.
type boundedCloser struct {
	io.ReadCloser
	left *int64
}

func (b *boundedCloser) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if *b.left -= int64(n); *b.left < 0 {
		return 0, errors.New("it unpacks to more than an archive of its size may have (a compression bomb?)")
	}
	return n, err
}

// LooksLikeHTML tells by the first bytes of a download that a server answered with a page.
func LooksLikeHTML(head []byte) bool {
	t := bytes.ToLower(bytes.TrimSpace(head))
	return bytes.HasPrefix(t, []byte("<!doctype")) || bytes.HasPrefix(t, []byte("<html"))
}

func newBzip2(r io.Reader) io.Reader { return bzip2.NewReader(r) }
