//go:build linux

// Copying and comparing the content of files.

package export

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// smallFile is the size up to which one read and one write do.
	smallFile = 64 << 10
	// bufSize is the size of a worker's buffers.
	bufSize = 1 << 20
)

// copier copies files; it learns what the file systems can do.
type copier struct{ noClone, noRange atomic.Bool }

// copy fills the new file dst with size bytes from src. The destination shares no storage that an
// edit could reach: a reflink is copied on write.
func (c *copier) copy(dst, src int, size int64, buf []byte) error {
	if size > smallFile {
		if !c.noClone.Load() {
			err := retry(func() error { return unix.IoctlFileClone(dst, src) })
			if err == nil {
				return checkSize(dst, size)
			}
			c.noClone.Store(true) // another file system, or one without reflinks
		}
		if !c.noRange.Load() {
			done, err := copyRange(dst, src, size)
			if err == nil || done > 0 {
				return err
			}
			c.noRange.Store(true)
		}
	}
	return copyBuf(dst, src, size, buf)
}

func checkSize(fd int, size int64) error {
	var st unix.Stat_t
	if err := fstat(fd, &st); err != nil {
		return err
	}
	if st.Size != size {
		return errChanged(st.Size, size)
	}
	return nil
}

// errChanged reports that an immutable layer's file isn't what its listing says.
func errChanged(have, want int64) error {
	return fmt.Errorf("the file has %d bytes instead of %d: the engine's store was changed from outside", have, want)
}

func copyRange(dst, src int, size int64) (done int64, err error) {
	for done < size {
		var n int
		err := retry(func() (err error) {
			n, err = unix.CopyFileRange(src, nil, dst, nil, int(min(size-done, 1<<30)), 0)
			return err
		})
		if err != nil {
			return done, err
		}
		if n == 0 {
			if done == 0 {
				return 0, unix.EOPNOTSUPP // some file systems say so for files that they make up
			}
			return done, errChanged(done, size)
		}
		done += int64(n)
	}
	return done, nil
}

func copyBuf(dst, src int, size int64, buf []byte) error {
	var done int64
	for done < size {
		n, err := read(src, buf[:min(int64(len(buf)), size-done)])
		if err != nil {
			return err
		}
		if n == 0 {
			return errChanged(done, size)
		}
		if err := write(dst, buf[:n]); err != nil {
			return err
		}
		done += int64(n)
	}
	return nil
}

func read(fd int, p []byte) (n int, err error) {
	err = retry(func() (err error) { n, err = unix.Read(fd, p); return err })
	return n, err
}

func write(fd int, p []byte) error {
	for len(p) > 0 {
		var n int
		err := retry(func() (err error) { n, err = unix.Write(fd, p); return err })
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		p = p[n:]
	}
	return nil
}

// sameContent compares two files of the given size.
func sameContent(a, b int, size int64, buf []byte) (bool, error) {
	x, y := buf[:len(buf)/2], buf[len(buf)/2:]
	for size > 0 {
		n, err := readFull(a, x[:min(int64(len(x)), size)])
		if err != nil {
			return false, err
		}
		m, err := readFull(b, y[:n])
		if err != nil {
			return false, err
		}
		if n == 0 || m != n || !bytes.Equal(x[:n], y[:n]) {
			return false, nil
		}
		size -= int64(n)
	}
	return true, nil
}

func readFull(fd int, p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := read(fd, p[done:])
		if err != nil {
			return done, err
		}
		if n == 0 {
			break
		}
		done += n
	}
	return done, nil
}
