// The built-in commands.

package run

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mergefest/mergefest/graph/action"
)

func checkBuiltin(c action.Command) error {
	if c.Stdout != "" {
		return fmt.Errorf("%s has no standard output", c.Args[0])
	}
	n := len(c.Args) - 1
	switch c.Args[0] {
	case "@append":
		if n < 1 {
			return errors.New("@append wants an archive and files")
		}
	case "@copy":
		if n != 2 {
			return errors.New("@copy wants a source and a destination")
		}
	case "@mkdir":
		if n < 1 {
			return errors.New("@mkdir wants directories")
		}
	case "@unpack":
		if n != 1 {
			return errors.New("@unpack wants the file of a document")
		}
	default:
		return fmt.Errorf("unknown built-in command %q", c.Args[0])
	}
	return nil
}

// builtin carries out a command that checkBuiltin has accepted.
func (r *runner) builtin(ctx context.Context, c action.Command) error {
	args := make([]string, len(c.Args)-1)
	for i, a := range c.Args[1:] {
		if !filepath.IsAbs(a) {
			a = filepath.Join(c.Dir, a)
		}
		args[i] = a
	}
	switch c.Args[0] {
	case "@append":
		return appendArchive(args[0], args[1:])
	case "@copy":
		if err := os.MkdirAll(filepath.Dir(args[1]), 0o755); err != nil {
			return err
		}
		return copyTree(args[0], args[1])
	case "@unpack":
		if r.env.Unpack == nil {
			return errors.New("@unpack is not available here")
		}
		return r.env.Unpack(ctx, args[0])
	}
	for _, dir := range args {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

const archiveMagic = "!<arch>\n"

// appendArchive appends files to a Unix archive in the format of Go's toolchain, with the same
// bytes as cmd/go: a header of 60 bytes with the first 16 bytes of the base name, zero time and
// owners and the mode 0644 (where "go tool pack r" keeps the file's own), and padding with a zero
// byte to an even offset. An archive that doesn't exist is made.
func appendArchive(archive string, files []string) error {
	dst, err := os.OpenFile(archive, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer dst.Close()
	if err := seekArchiveEnd(dst); err != nil {
		return fmt.Errorf("append to %s: %w", archive, err)
	}
	w := bufio.NewWriterSize(dst, 256<<10)
	for _, f := range files {
		if err := appendMember(w, f); err != nil {
			return fmt.Errorf("append %s to %s: %w", f, archive, err)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return dst.Close()
}

func seekArchiveEnd(f *os.File) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if end == 0 {
		_, err := f.WriteString(archiveMagic)
		return err
	}
	var magic [len(archiveMagic)]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil || string(magic[:]) != archiveMagic {
		return errors.New("it is not an archive")
	}
	if end%2 != 0 {
		return errors.New("it has an odd length, so its last member is incomplete")
	}
	return nil
}

// maxMember is what the ten decimal digits of a member's size can hold.
const maxMember = 9_999_999_999

func appendMember(w *bufio.Writer, file string) error {
	src, err := os.Open(file)
	if err != nil {
		return err
	}
	defer src.Close()
	fi, err := src.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxMember {
		return errors.New("it is not a file, or too large for an archive")
	}
	// By bytes: fmt's width and precision count runes.
	name := fi.Name()
	if len(name) > 16 {
		name = name[:16]
	} else {
		name += strings.Repeat(" ", 16-len(name))
	}
	fmt.Fprintf(w, "%s%-12d%-6d%-6d%-8o%-10d`\n", name, 0, 0, 0, 0o644, fi.Size())
	n, err := io.Copy(w, src)
	if err != nil {
		return err
	}
	if n != fi.Size() {
		return fmt.Errorf("it has %d bytes, its directory entry says %d", n, fi.Size())
	}
	if n%2 != 0 {
		return w.WriteByte(0)
	}
	return nil
}
