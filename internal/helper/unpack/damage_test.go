// Compressions, bombs, and archives that are damaged.

package unpack_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/place"
	"github.com/mergefest/mergefest/internal/helper/unpack"
)

func gz(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

const bz = "QlpoOTFBWSZTWQkaBrwAAGx7gMmAAAJAAE8AAADiRJ4ABAggAFRCaAABk0ElGoPImmgNH27uyEHWaEIp" +
	"VzasaIESCUdzmySuyLtAMLBOHKdU0A1VaCIgHxdyRThQkAkaBrw="

func TestCompressions(t *testing.T) {
	plain := makeTar(t, []entry{{name: "a", body: "hello"}})
	var zs, x bytes.Buffer
	zw, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	zw.Write(plain)
	zw.Close()
	xw, err := xz.NewWriter(&x)
	if err != nil {
		t.Fatal(err)
	}
	xw.Write(plain)
	xw.Close()
	bzip, err := base64.StdEncoding.DecodeString(bz)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"plain": plain, "gzip": gz(plain), "zstd": zs.Bytes(), "xz": x.Bytes(), "bzip2": bzip,
		"two gzip members": append(gz(plain[:700]), gz(plain[700:])...),
		"rubbish after it": append(gz(plain), "trailing"...),
		"two xz streams":   append(append(bytes.Clone(x.Bytes()), 0, 0, 0, 0), emptyXZ(t)...),
	} {
		t.Run(name, func(t *testing.T) {
			unpackCase{how: action.Unpack{Format: "tar"}, want: "0644 a hello\n"}.run(t, data)
		})
		// Cut short it is an error wherever content is lost.
		t.Run(name+" truncated", func(t *testing.T) {
			if name == "two xz streams" || name == "two gzip members" {
				return // the first half is complete
			}
			cut := len(data) / 3
			if name == "plain" {
				cut = 514 // in the middle of "hello": padding isn't missed
			}
			unpackCase{how: action.Unpack{Format: "tar"}, err: "archive"}.run(t, data[:cut])
		})
	}
	for name, c := range map[string]struct{ data, err string }{
		"empty":   {"", "is empty"},
		"HTML":    {"\n<!DOCTYPE html><html>", "is an HTML page"},
		"garbage": {strings.Repeat("garbage ", 200), "can't be read"},
		"gzip":    {"\x1f\x8bgarbage", "is no usable gzip"},
		"zstd":    {"\x28\xb5\x2f\xfdgarbage", "can't be read"},
		"xz":      {"\xfd7zXZ\x00garbage", "is no usable xz"},
		"bzip2":   {"BZh9garbage", "can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			unpackCase{how: action.Unpack{Format: "tar"}, err: c.err}.run(t, []byte(c.data))
		})
	}
	unpackCase{how: action.Unpack{Format: "zip"}, err: "can't be read as a zip"}.run(t, []byte("garbage"))
}

func emptyXZ(t *testing.T) []byte {
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	return b.Bytes()
}

func TestXZDictionary(t *testing.T) {
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(makeTar(t, []entry{{name: "a", body: "hello"}}))
	w.Close()
	hostile := b.Bytes()
	at := bytes.Index(hostile, []byte{0x21, 0x01}) // the LZMA2 filter and the length of its property
	if at < 0 {
		t.Fatal("no LZMA2 filter found")
	}
	good := bytes.Clone(hostile)
	hostile[at+2] = 39
	for name, data := range map[string][]byte{"first stream": hostile, "second stream": append(good, hostile...)} {
		t.Run(name, func(t *testing.T) {
			unpackCase{how: action.Unpack{Format: "tar"}, err: "wants a dictionary of 3072 MB"}.run(t, data)
		})
	}
}

func TestBombs(t *testing.T) {
	var announced bytes.Buffer
	zw := gzip.NewWriter(&announced)
	tw := tar.NewWriter(zw)
	tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "zeros", Mode: 0o644, Size: 1 << 30})
	tw.Write(make([]byte, 1<<20))
	zw.Close()
	unpackCase{how: action.Unpack{Format: "tar"}, err: `"zeros": unpacks to more than the 256 MB`}.run(t, announced.Bytes())

	headers := make([]entry, 5000)
	for i := range headers {
		headers[i].name = fmt.Sprintf("f%d", i)
	}
	limits := unpack.Limits{Bytes: 1 << 20, Entries: 1 << 20, Ratio: 1}
	unpackCase{how: action.Unpack{Format: "tar", Prefix: "x"}, limits: limits, err: "compression bomb"}.run(t, gz(makeTar(t, headers)))
}

func TestZipDamage(t *testing.T) {
	good := makeZip(t, []entry{{name: "a", body: strings.Repeat("hello ", 50)}})
	encrypted := bytes.Clone(good)
	for _, magic := range []string{"PK\x03\x04", "PK\x01\x02"} {
		at := bytes.Index(encrypted, []byte(magic))
		flags := at + 6
		if magic == "PK\x01\x02" {
			flags = at + 8
		}
		encrypted[flags] |= 1
	}
	unpackCase{how: action.Unpack{Format: "zip"}, err: "is encrypted"}.run(t, encrypted)

	checksum := bytes.Clone(good)
	at := bytes.Index(checksum, []byte("PK\x01\x02"))
	checksum[at+16] ^= 1
	// The data descriptor has the checksum too.
	unpackCase{how: action.Unpack{Format: "zip"}, err: "a"}.run(t, checksum)
	unpackCase{how: action.Unpack{Format: "zip"}, err: "can't be read as a zip"}.run(t, good[:len(good)-5])
}

func TestCheck(t *testing.T) {
	for want, u := range map[string]action.Unpack{
		"unknown archive format": {Format: "rar"},
		"for links":              {Format: "tar", Links: "follow"},
		"negative strip":         {Format: "tar", Strip: -1},
		"permission bits only":   {Format: "tar", SetMode: 0o4000},
		"prefix:":                {Format: "tar", Prefix: "../x"},
		"executable:":            {Format: "tar", Executable: []string{"/bin/sh"}},
	} {
		if err := unpack.Check(u); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", u, err, want)
		}
	}
}

func TestCancelled(t *testing.T) {
	out, err := place.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	data := makeTar(t, []entry{{name: "a", body: "x"}})
	err = unpack.New(unpack.DefaultLimits()).Unpack(ctx, bytes.NewReader(data), int64(len(data)), action.Unpack{Format: "tar"}, out, []string{"."})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
