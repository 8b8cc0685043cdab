// A walk through an xz file before its decoder allocates what the file asks for.

package unpack

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// xzWalker follows the structure of an xz file without decoding it: the format lets each block ask
// for a dictionary of up to 4 GB, which the decoder allocates at once, and an allocation that fails
// ends the process. The format is https://tukaani.org/xz/xz-file-format.txt, version 1.1.0; the
// LZMA2 chunks inside a block announce their lengths.
type xzWalker struct {
	r   *bufio.Reader
	pos int64 // bytes since the beginning of the file, for alignment
}

var errXZ = errors.New("malformed xz structure")

// checkXZ refuses a file with a dictionary above limit, or whose structure it can't follow.
func checkXZ(r *bufio.Reader, limit int64) error {
	w := &xzWalker{r: r}
	for {
		err := w.stream(limit)
		if err == io.EOF {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		// Streams may follow each other, with padding of four zero bytes between.
		for {
			next, err := r.Peek(4)
			if len(next) == 0 && err == io.EOF {
				return nil
			}
			if len(next) < 4 {
				return errXZ
			}
			if binary.LittleEndian.Uint32(next) != 0 {
				break
			}
			if err := w.skip(4); err != nil {
				return err
			}
		}
	}
}

func (w *xzWalker) ReadByte() (byte, error) {
	b, err := w.r.ReadByte()
	if err == nil {
		w.pos++
	}
	return b, err
}

func (w *xzWalker) skip(n int64) error {
	m, err := io.CopyN(io.Discard, w.r, n)
	w.pos += m
	return err
}

func (w *xzWalker) align() error { return w.skip((4 - w.pos%4) % 4) }

func (w *xzWalker) stream(limit int64) error {
	var head [12]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return err
	}
	w.pos += int64(len(head))
	if string(head[:6]) != "\xfd7zXZ\x00" {
		return errXZ
	}
	// The length of the check by its identifier: none, CRC32, CRC64, SHA-256 and reserved ones.
	check := []int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[head[7]&15]
	for {
		size, err := w.ReadByte()
		if err != nil {
			return err
		}
		if size == 0 {
			return w.index()
		}
		if err := w.block(int(size)*4+3, limit); err != nil {
			return err
		}
		if err := w.align(); err != nil {
			return err
		}
		if err := w.skip(check); err != nil {
			return err
		}
	}
}

// block checks the header, of which rest bytes follow, and skips the chunks.
func (w *xzWalker) block(rest int, limit int64) error {
	head := make([]byte, rest)
	if _, err := io.ReadFull(w.r, head); err != nil {
		return err
	}
	w.pos += int64(rest)
	flags, head := head[0], head[1:]
	if flags&3 != 0 {
		return errors.New("it uses filters other than LZMA2")
	}
	for _, present := range []byte{0x40, 0x80} { // optional sizes
		if flags&present == 0 {
			continue
		}
		_, n := binary.Uvarint(head)
		if n <= 0 {
			return errXZ
		}
		head = head[n:]
	}
	const lzma2 = 0x21
	if len(head) < 3 || head[0] != lzma2 || head[1] != 1 || head[2] > 40 {
		return errors.New("it uses filters other than LZMA2")
	}
	bits := head[2]
	dict := (2 | int64(bits&1)) << (bits/2 + 11)
	if dict > limit {
		return fmt.Errorf("it wants a dictionary of %d MB; the limit is %d", dict>>20, limit>>20)
	}
	return w.chunks()
}

// chunks skips LZMA2 chunks up to the end marker.
func (w *xzWalker) chunks() error {
	for {
		control, err := w.ReadByte()
		if err != nil || control == 0 {
			return err
		}
		var head [5]byte
		n := 2 // uncompressed: the size
		switch {
		case control >= 0xc0: // sizes and new properties
			n = 5
		case control >= 0x80: // sizes
			n = 4
		case control > 2:
			return errXZ
		}
		if _, err := io.ReadFull(w.r, head[:n]); err != nil {
			return err
		}
		w.pos += int64(n)
		size := head[n-min(n, 2) : n] // of the chunk as stored
		if n == 5 {
			size = head[2:4]
		}
		if err := w.skip(int64(binary.BigEndian.Uint16(size)) + 1); err != nil {
			return err
		}
	}
}

// index skips the list of blocks and the footer.
func (w *xzWalker) index() error {
	n, err := binary.ReadUvarint(w)
	if err != nil {
		return err
	}
	if n > 1<<32 {
		return errXZ
	}
	for range 2 * n {
		if _, err := binary.ReadUvarint(w); err != nil {
			return err
		}
	}
	if err := w.align(); err != nil {
		return err
	}
	return w.skip(4 + 12) // checksum and footer
}
