//go:build linux

package export

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func exampleManifest() *manifest {
	return &manifest{
		dest: identity{path: "/home/x/out", dev: 2049, ino: 1 << 40, born: 1700000000123456789},
		layers: []listing{
			{id: "a", entries: []entry{{path: "d", kind: kindDir, mode: 0o755}, {path: "d/f", kind: kindFile, mode: 0o644, size: 5}, {path: "d/l", kind: kindLink, link: "../x"}}},
			{id: "b", entries: []entry{{path: "d/f", kind: kindDelete}}},
		},
		recs: []record{
			{path: "d", kind: kindDir, mode: 0o755, layer: -1, made: true, stat: stat{ino: 7}},
			{path: "d/f", kind: kindFile, mode: 0o644, layer: 0, src: "d/f", owner: "tree", stat: stat{ino: 8, size: 5, mtime: -1, ctime: 1}},
			{path: "e", kind: kindLink, layer: 1, src: "other/e", stat: stat{ino: 9}},
		},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	for _, m := range []*manifest{exampleManifest(), {dest: identity{path: "/"}, layers: []listing{}, recs: []record{}}} {
		got, err := decode(m.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got, cmp.AllowUnexported(manifest{}, identity{}, listing{}, entry{}, record{}, stat{})); diff != "" {
			t.Error(diff)
		}
	}
}

// Every single damaged byte, and every truncation, is noticed.
func TestManifestDamage(t *testing.T) {
	data := exampleManifest().encode()
	for i := range data {
		bad := append([]byte(nil), data...)
		bad[i] ^= 0x41
		if _, err := decode(bad); err == nil {
			t.Errorf("byte %d changed: no error", i)
		}
		if _, err := decode(data[:i]); err == nil {
			t.Errorf("cut to %d bytes: no error", i)
		}
	}
}

// FuzzDecode gives the decoder bodies with a right checksum: it must not panic, use memory out of
// proportion, or accept a path that leaves the destination.
func FuzzDecode(f *testing.F) {
	data := exampleManifest().encode()
	f.Add(data[len(format) : len(data)-4])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		data := append([]byte(format), body...)
		data = binary.BigEndian.AppendUint32(data, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
		m, err := decode(data)
		if err != nil {
			return
		}
		for _, r := range m.recs {
			if p, ok := cleanPath(r.path); !ok || p == "" {
				t.Errorf("path %q", r.path)
			}
		}
	})
}
