//go:build linux

// The manifest: what an export left in a destination, and its binary encoding.

package export

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"golang.org/x/sys/unix"
)

// manifest describes a destination after an export.
type manifest struct {
	dest   identity
	layers []listing // the layers that records name, and what each changes
	recs   []record  // every path that belongs to the exports, in order of path
}

// identity tells a directory from a later one with the same name.
type identity struct {
	path     string // canonical
	dev, ino uint64
	born     int64 // in ns; 0 where the file system doesn't know
}

// listing is a layer as the manifest remembers it.
type listing struct {
	id      string
	entries []entry
}

// record is one path that the exports wrote.
type record struct {
	path  string
	kind  kind
	mode  uint32
	layer int    // index in the manifest's layers, -1 for none
	src   string // the path in that layer
	stat  stat   // how the path was left; of directories only the inode counts
	// owner is the name of the result that the path belongs to.
	owner string
	// made says that an export made this directory; one that was there is never removed.
	made bool

	// While planning:
	seen    bool // the result has this path
	carried bool // it hasn't, and the path belongs to another result
}

// stat is what tells a file from an edited one.
type stat struct {
	ino          uint64
	size         int64
	mtime, ctime int64 // ns since 1970
}

func statOf(st *unix.Stat_t) stat {
	return stat{ino: st.Ino, size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}
}

// format is the first line of a manifest. A program that doesn't know the version treats the
// destination as one that it has never written to.
const format = "mergefest export 2\n"

// Encoding, after the first line: unsigned varints, signed ones in zigzag form, and strings as
// length and bytes. Paths are given as the number of bytes that they share with the path before,
// and the rest. Last come four bytes, the CRC-32C of all before, big endian.

func (m *manifest) encode() []byte {
	w := &encoder{buf: append(make([]byte, 0, 64*len(m.recs)+4096), format...)}
	w.str(m.dest.path)
	w.uint(m.dest.dev)
	w.uint(m.dest.ino)
	w.int(m.dest.born)
	w.uint(uint64(len(m.layers)))
	for i := range m.layers {
		l := &m.layers[i]
		w.str(l.id)
		w.uint(uint64(len(l.entries)))
		last := ""
		for j := range l.entries {
			e := &l.entries[j]
			w.path(last, e.path)
			last = e.path
			w.uint(uint64(e.kind))
			w.uint(uint64(e.mode))
			w.int(e.size)
			w.str(e.link)
		}
	}
	owners := map[string]int{}
	var names []string
	for i := range m.recs {
		if name := m.recs[i].owner; owners[name] == 0 {
			names = append(names, name)
			owners[name] = len(names)
		}
	}
	w.uint(uint64(len(names)))
	for _, name := range names {
		w.str(name)
	}
	w.uint(uint64(len(m.recs)))
	last := ""
	for i := range m.recs {
		w.record(last, &m.recs[i])
		w.uint(uint64(owners[m.recs[i].owner] - 1))
		last = m.recs[i].path
	}
	return binary.BigEndian.AppendUint32(w.buf, crc32.Checksum(w.buf, crc32.MakeTable(crc32.Castagnoli)))
}

type encoder struct{ buf []byte }

func (w *encoder) uint(v uint64) { w.buf = binary.AppendUvarint(w.buf, v) }
func (w *encoder) int(v int64)   { w.buf = binary.AppendVarint(w.buf, v) }
func (w *encoder) str(s string)  { w.uint(uint64(len(s))); w.buf = append(w.buf, s...) }

func (w *encoder) path(last, path string) {
	n := 0
	for n < len(last) && n < len(path) && last[n] == path[n] {
		n++
	}
	w.uint(uint64(n))
	w.str(path[n:])
}

// Flags of a record.
const (
	flagMade    = 1 << iota // record.made
	flagSamePth             // the path in the layer is the path in the destination
)

func (w *encoder) record(last string, r *record) {
	w.path(last, r.path)
	w.uint(uint64(r.kind))
	w.uint(uint64(r.mode))
	w.int(int64(r.layer))
	var flags uint64
	if r.made {
		flags |= flagMade
	}
	if r.src == r.path {
		flags |= flagSamePth
	}
	w.uint(flags)
	if r.src != r.path {
		w.str(r.src)
	}
	w.uint(r.stat.ino)
	w.int(r.stat.size)
	w.int(r.stat.mtime)
	w.int(r.stat.ctime)
}

var errCorrupt = errors.New("it is damaged")

// decode reads an encoded manifest.
func decode(data []byte) (*manifest, error) {
	if len(data) < len(format)+4 || string(data[:len(format)]) != format {
		return nil, fmt.Errorf("its format isn't %q", format[:len(format)-1])
	}
	body, sum := data[:len(data)-4], data[len(data)-4:]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(sum) {
		return nil, errCorrupt
	}
	r := &decoder{buf: body[len(format):]}
	m := &manifest{}
	m.dest = identity{path: r.str(), dev: r.uint(), ino: r.uint(), born: r.int()}
	m.layers = make([]listing, r.count())
	for i := range m.layers {
		m.layers[i].id = r.str()
		entries := make([]entry, r.count())
		last := ""
		for j := range entries {
			e := entry{path: r.path(last), kind: r.kind(), mode: uint32(r.uint()) & 0o777, size: r.int(), link: r.str()}
			entries[j], last = e, e.path
		}
		m.layers[i].entries = entries
	}
	owners := make([]string, r.count())
	for i := range owners {
		owners[i] = r.str()
	}
	m.recs = make([]record, r.count())
	last := ""
	for i := range m.recs {
		m.recs[i] = r.record(last, len(m.layers))
		owner := r.uint()
		if owner >= uint64(len(owners)) {
			return nil, errCorrupt
		}
		m.recs[i].owner = owners[owner]
		last = m.recs[i].path
	}
	if r.bad || len(r.buf) > 0 {
		return nil, errCorrupt
	}
	return m, nil
}

// decoder reads the encoding. After an error it gives zero values and bad is set.
type decoder struct {
	buf []byte
	bad bool
}

func (r *decoder) fail() { r.bad, r.buf = true, nil }

func (r *decoder) uint() uint64 {
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *decoder) int() int64 {
	v, n := binary.Varint(r.buf)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *decoder) str() string {
	n := r.uint()
	if n > uint64(len(r.buf)) {
		r.fail()
		return ""
	}
	s := string(r.buf[:n])
	r.buf = r.buf[n:]
	return s
}

// count reads the length of a list, each of whose elements takes two bytes at least.
func (r *decoder) count() int {
	n := r.uint()
	if n > uint64(len(r.buf))/2 {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *decoder) path(last string) string {
	n := r.uint()
	if n > uint64(len(last)) {
		r.fail()
		return ""
	}
	path, ok := cleanPath(last[:n] + r.str())
	if !ok || path == "" {
		r.fail()
	}
	return path
}

func (r *decoder) kind() kind {
	k := r.uint()
	if k < uint64(kindFile) || k > uint64(kindDelete) {
		r.fail()
		return kindFile
	}
	return kind(k)
}

func (r *decoder) record(last string, layers int) record {
	rec := record{path: r.path(last), kind: r.kind(), mode: uint32(r.uint()) & 0o777, layer: int(r.int())}
	if rec.layer < -1 || rec.layer >= layers {
		r.fail()
	}
	flags := r.uint()
	rec.made = flags&flagMade != 0
	if rec.src = rec.path; flags&flagSamePth == 0 {
		rec.src = r.str()
	}
	rec.stat = stat{ino: r.uint(), size: r.int(), mtime: r.int(), ctime: r.int()}
	return rec
}
