// The receiving side of both formats: names, duplicates, limits, and writing to each destination.

package unpack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/place"
)

// sink receives the entries of one archive.
type sink struct {
	how        action.Unpack
	prefix     []string
	executable map[string]bool
	writers    []*place.Writer
	buffers    bufferPool
	limits     Limits
	allowed    int64 // unpacked bytes
	bytes      int64
	entries    int
	seen       map[string]bool // files written by this archive
	renamed    map[string]bool // those of them that have another name in the archive
	lastWins   bool            // a file that comes again replaces the first
}

type bufferPool interface {
	Get() any
	Put(any)
}

func (u *Unpacker) newSink(how action.Unpack, out *place.Output, dests []string, size int64) (*sink, error) {
	prefix, err := place.Split(how.Prefix)
	if err != nil {
		return nil, err
	}
	s := &sink{
		how: how, prefix: prefix, buffers: &u.buffers,
		limits: u.limits, allowed: u.limits.allowed(size),
		seen: map[string]bool{}, renamed: map[string]bool{},
	}
	if len(how.Executable) > 0 {
		s.executable = make(map[string]bool, len(how.Executable))
		for _, x := range how.Executable {
			elems, err := place.Split(x)
			if err != nil {
				return nil, err
			}
			s.executable[place.Join(elems)] = true
		}
	}
	for _, d := range dests {
		w, err := out.Writer(d)
		if err != nil {
			s.close()
			return nil, err
		}
		s.writers = append(s.writers, w)
	}
	return s, nil
}

func (s *sink) close() {
	for _, w := range s.writers {
		w.Close()
	}
}

// count takes an entry's size into account before anything of it is written.
func (s *sink) count(entry string, size int64) error {
	s.entries++
	if s.entries > s.limits.Entries {
		return &Error{Reason: fmt.Sprintf("more than %d entries", s.limits.Entries)}
	}
	if size < 0 || size > s.allowed-s.bytes {
		return &Error{Entry: entry, Reason: s.tooMuch()}
	}
	s.bytes += size
	return nil
}

func (s *sink) tooMuch() string {
	return fmt.Sprintf("unpacks to more than the %d MB that an archive of its size may have (a compression bomb?)", s.allowed>>20)
}

// resolve returns the place of an entry below the destinations. Without an error, ok is false for
// an entry outside the prefix or above what is stripped.
func (s *sink) resolve(name string) (elems []string, ok bool, err error) {
	elems, err = place.Split(name)
	if err != nil {
		var pe *place.PathError
		if errors.As(err, &pe) {
			return nil, false, &Error{Entry: printable(name), Reason: "the name " + pe.Reason}
		}
		return nil, false, err
	}
	if s.how.RawStrip {
		parts := strings.Split(name, "/")
		if len(parts) <= s.how.Strip {
			return nil, false, nil
		}
		elems, err = place.Split(strings.TrimLeft(strings.Join(parts[s.how.Strip:], "/"), "/"))
		return elems, err == nil && len(elems) > 0, err
	}
	if len(elems) < len(s.prefix) || !slices.Equal(elems[:len(s.prefix)], s.prefix) {
		return nil, false, nil
	}
	elems = elems[len(s.prefix):]
	if len(elems) <= s.how.Strip {
		return nil, false, nil
	}
	return elems[s.how.Strip:], true, nil
}

// printable shortens a hostile name for a message (which quotes it).
func printable(name string) string {
	if len(name) > 200 {
		return name[:200] + "…"
	}
	return name
}

// file writes a file of the given size from r to every destination.
func (s *sink) file(ctx context.Context, entry string, elems []string, mode fs.FileMode, size int64, r io.Reader) error {
	elems, original := s.rename(elems)
	name := place.Join(elems)
	if !original && s.seen[name] && !s.renamed[name] {
		if _, err := io.CopyN(io.Discard, r, size); err != nil { // read on, so that it is checked
			return &Error{Entry: entry, Err: err}
		}
		return nil // the archive has a file of that name, which wins
	}
	if s.seen[name] {
		if !s.lastWins && !s.renamed[name] {
			return &Error{Entry: entry, Reason: "the archive has it twice"}
		}
		for _, w := range s.writers {
			if err := w.Remove(elems); err != nil {
				return &Error{Entry: entry, Err: err}
			}
		}
	}
	s.seen[name] = true
	s.renamed[name] = !original
	if s.how.Hashbang && s.executable[name] {
		var err error
		if r, size, err = fixHashbang(r, size); err != nil {
			return &Error{Entry: entry, Err: err}
		}
	}
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	files, err := s.create(entry, elems, s.mode(mode, name))
	if err != nil {
		return err
	}
	err = copyAll(ctx, files, r, size, *buf)
	for _, f := range files {
		if derr := place.Done(f); err == nil {
			err = derr
		}
	}
	if err != nil {
		return &Error{Entry: entry, Err: err}
	}
	return nil
}

// rename gives a file the name that the plan wants for its base name. original is true for a file
// that keeps its own.
func (s *sink) rename(elems []string) (renamed []string, original bool) {
	last := len(elems) - 1
	to, ok := s.how.Rename[elems[last]]
	if !ok {
		return elems, true
	}
	return append(slices.Clone(elems[:last]), to), false
}

// maxHashbang is how far the end of the first line is looked for.
const maxHashbang = 2048

// fixHashbang takes the CR from the end of a first line "#!…\r\n".
func fixHashbang(r io.Reader, size int64) (io.Reader, int64, error) {
	head := make([]byte, min(size, maxHashbang))
	if _, err := io.ReadFull(r, head); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, 0, err
	}
	end := bytes.IndexByte(head, '\n')
	if bytes.HasPrefix(head, []byte("#!")) && end > 3 && head[end-1] == '\r' {
		head = slices.Delete(head, end-1, end)
		size--
	}
	return io.MultiReader(bytes.NewReader(head), r), size, nil
}

func (s *sink) create(entry string, elems []string, mode fs.FileMode) ([]*os.File, error) {
	files := make([]*os.File, 0, len(s.writers))
	for _, w := range s.writers {
		f, err := w.Create(elems, mode)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, &Error{Entry: entry, Err: err}
		}
		files = append(files, f)
	}
	return files, nil
}

// copyAll copies exactly size bytes from r to each file.
func copyAll(ctx context.Context, files []*os.File, r io.Reader, size int64, buf []byte) error {
	for size > 0 {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		chunk := buf[:min(size, int64(len(buf)))]
		if _, err := io.ReadFull(r, chunk); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		for _, f := range files {
			if _, err := f.Write(chunk); err != nil {
				return err
			}
		}
		size -= int64(len(chunk))
	}
	return nil
}

// each calls f for every destination and says which entry an error is about.
func (s *sink) each(entry string, f func(*place.Writer) error) error {
	for _, w := range s.writers {
		if err := f(w); err != nil {
			return &Error{Entry: entry, Err: err}
		}
	}
	return nil
}

// links reports whether links are kept; a refused one is an error.
func (s *sink) links(entry string) (keep bool, err error) {
	switch s.how.Links {
	case "keep":
		return true, nil
	case "skip":
		return false, nil
	}
	return false, &Error{Entry: entry, Reason: "is a link, and links are refused here"}
}

func (s *sink) symlink(entry string, elems []string, target string) error {
	keep, err := s.links(entry)
	if err != nil || !keep {
		return err
	}
	if !place.Inside(elems, target) {
		return &Error{Entry: entry, Reason: fmt.Sprintf("is a link to %q, which may leave the destination", printable(target))}
	}
	return s.each(entry, func(w *place.Writer) error { return w.Symlink(elems, target) })
}

func (s *sink) hardlink(entry string, elems []string, target string) error {
	keep, err := s.links(entry)
	if err != nil || !keep {
		return err
	}
	from, ok, err := s.resolve(target)
	if err != nil {
		return &Error{Entry: entry, Reason: "is a hard link", Err: err}
	}
	name := place.Join(elems)
	if !ok || !s.seen[place.Join(from)] {
		return &Error{Entry: entry, Reason: fmt.Sprintf("is a hard link to %q, which is no file of the archive before it", printable(target))}
	}
	if slices.Equal(from, elems) {
		return nil
	}
	replace := s.seen[name]
	s.seen[name] = true
	return s.each(entry, func(w *place.Writer) error {
		if replace {
			if err := w.Remove(elems); err != nil {
				return err
			}
		}
		if err := w.Link(elems, from); err != nil || !s.executable[name] {
			return err
		}
		m, err := w.Mode(elems)
		if err != nil {
			return err
		}
		return w.Chmod(elems, m|0o111)
	})
}

func (s *sink) dir(entry string, elems []string) error {
	if s.how.SkipDirs {
		return nil
	}
	return s.each(entry, func(w *place.Writer) error { return w.Dir(elems) })
}

// special refuses what is neither file, directory nor link.
func special(entry, what string) error {
	return &Error{Entry: entry, Reason: "is " + what + ", which is not allowed in a package"}
}
