package unpack_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/place"
	"github.com/mergefest/mergefest/internal/helper/unpack"
)

// entry is one entry of a test archive: a file unless kind says otherwise.
type entry struct {
	name string
	body string // content, or the target of a link
	mode int64  // 0: 0644
	kind byte   // of a tar header
}

func makeTar(t testing.TB, entries []entry) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Typeflag: e.kind, Name: e.name, Mode: e.mode, Uid: 1234, Gname: "people", ModTime: time.Unix(1e9, 5)}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		switch h.Typeflag {
		case tar.TypeReg:
			h.Size = int64(len(e.body))
		case tar.TypeXGlobalHeader:
			h = &tar.Header{Typeflag: e.kind, Name: e.name, PAXRecords: map[string]string{"comment": e.body}}
		default:
			h.Linkname = e.body
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			w.Write([]byte(e.body))
		}
	}
	w.Close()
	return buf.Bytes()
}

func makeZip(t testing.TB, entries []entry) []byte {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, ExternalAttrs: uint32(e.mode) << 16}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(e.name, "/") {
			f.Write([]byte(e.body))
		}
	}
	w.Close()
	return buf.Bytes()
}

// lay unpacks into a new directory and returns a listing of it.
func lay(t testing.TB, archive []byte, how action.Unpack, limits unpack.Limits, dests ...string) (string, error) {
	dir := t.TempDir()
	if err := layInto(t, dir, archive, how, limits, dests...); err != nil {
		return "", err
	}
	return list(t, dir), nil
}

// layInto unpacks into dir, which is alone in its parent, and checks that it still is afterwards.
func layInto(t testing.TB, dir string, archive []byte, how action.Unpack, limits unpack.Limits, dests ...string) error {
	before, _ := os.ReadDir(filepath.Dir(dir))
	out, err := place.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if len(dests) == 0 {
		dests = []string{"."}
	}
	err = unpack.New(limits).Unpack(context.Background(), bytes.NewReader(archive), int64(len(archive)), how, out, dests)
	if after, _ := os.ReadDir(filepath.Dir(dir)); len(after) != len(before) {
		t.Errorf("something was written outside of the output: %v", after)
	}
	if err != nil {
		return err
	}
	return out.Finish()
}

// list writes a line for each file, link and directory: mode, name, content.
func list(t testing.TB, dir string) string {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if fi.ModTime().Unix() != place.Time || fi.ModTime().Nanosecond() != 0 {
			t.Errorf("%s has the time %v", p, fi.ModTime())
		}
		rel, _ := filepath.Rel(dir, p)
		switch {
		case rel == ".":
		case d.IsDir():
			if fi.Mode().Perm() != place.DirMode {
				t.Errorf("directory %s has mode %v", rel, fi.Mode())
			}
			fmt.Fprintf(&b, "dir %s\n", rel)
		case fi.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "link %s -> %s\n", rel, target)
		default:
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			if len(data) > 40 {
				data = fmt.Appendf(nil, "(%d bytes)", len(data))
			}
			fmt.Fprintf(&b, "%04o %s %s\n", uint32(fi.Mode().Perm()), rel, data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// common is what both formats share: entries and what becomes of them.
func common() []unpackCase {
	long := strings.Repeat("long/", 40) + "name"
	return []unpackCase{
		{name: "strip", how: action.Unpack{Strip: 1},
			in:   []entry{{name: "package/a", body: "A"}, {name: "package/b/c", body: "C"}, {name: "top", body: "T"}},
			want: "0644 a A\ndir b\n0644 b/c C\n"},
		{name: "odd top folder", how: action.Unpack{Strip: 1},
			in: []entry{{name: "some thing-1.0/a", body: "A"}}, want: "0644 a A\n"},
		{name: "dot slash", how: action.Unpack{Strip: 1},
			in: []entry{{name: "./package/a", body: "A"}, {name: "package//b", body: "B"}}, want: "0644 a A\n0644 b B\n"},
		{name: "prefix, then strip", how: action.Unpack{Prefix: "x@v1/", Strip: 1},
			in:   []entry{{name: "x@v1/p/a", body: "A"}, {name: "x@v10/p/b", body: "B"}, {name: "x@v1", body: "C"}, {name: "q/a", body: "D"}},
			want: "0644 a A\n"},
		{name: "modes", how: action.Unpack{SetMode: 0o444, ClearMode: 0o022},
			in: []entry{{name: "a", mode: 0o100600}, {name: "b", mode: 0o100777}, {name: "c", mode: 0o104755}}, want: "0644 a \n0755 b \n0755 c \n"},
		{name: "executable", how: action.Unpack{Strip: 1, Executable: []string{"bin/x", "./y", "missing"}},
			in:   []entry{{name: "p/bin/x", body: "X"}, {name: "p/y", body: "Y"}, {name: "p/z", body: "Z"}},
			want: "dir bin\n0755 bin/x X\n0755 y Y\n0644 z Z\n"},
		{name: "long names and Unicode", in: []entry{{name: long, body: "L"}, {name: "ünï", body: "U"}},
			want: dirs(long) + "0644 " + long + " L\n0644 ünï U\n"},
		{name: "names that differ by case or Unicode form", in: []entry{{name: "A", body: "1"}, {name: "a", body: "2"}, {name: "e\u0301", body: "3"}, {name: "\u00e9", body: "4"}},
			want: "0644 A 1\n0644 a 2\n0644 e\u0301 3\n0644 \u00e9 4\n"},
		{name: "backslash", in: []entry{{name: `a\b`, body: "x"}}, want: "0644 a\\b x\n"},
		{name: "several destinations", dests: []string{"p/q", "r"}, in: []entry{{name: "a/b", body: "x"}},
			want: "dir p\ndir p/q\ndir p/q/a\n0644 p/q/a/b x\ndir r\ndir r/a\n0644 r/a/b x\n"},
		{name: "large file", in: []entry{{name: "a", body: strings.Repeat("0123456789", 100_000)}}, want: "0644 a (1000000 bytes)\n"},

		{name: "absolute", in: []entry{{name: "/etc/passwd"}}, err: `"/etc/passwd": the name is absolute`},
		{name: "parent", in: []entry{{name: "../x"}}, err: `has an element ".."`},
		{name: "parent inside", in: []entry{{name: "a/../b"}}, err: `has an element ".."`},
		{name: "parent in what is stripped", how: action.Unpack{Strip: 1}, in: []entry{{name: "../x"}}, err: `has an element ".."`},
		{name: "long element", in: []entry{{name: strings.Repeat("x", 300)}}, err: "element of 300 bytes"},
		{name: "file and directory", in: []entry{{name: "a", body: "x"}, {name: "a/b", body: "y"}}, err: "a: is a directory and a file"},
		{name: "directory and file", in: []entry{{name: "a/b", body: "y"}, {name: "a", body: "x"}}, err: "a: is a file and a directory"},
	}
}

func dirs(path string) string {
	var b strings.Builder
	for i, c := range path {
		if c == '/' {
			b.WriteString("dir " + path[:i] + "\n")
		}
	}
	return b.String()
}

type unpackCase struct {
	name   string
	how    action.Unpack
	limits unpack.Limits
	dests  []string
	in     []entry
	want   string
	err    string
}

func (c unpackCase) run(t *testing.T, archive []byte) {
	t.Helper()
	if c.limits == (unpack.Limits{}) {
		c.limits = unpack.DefaultLimits()
	}
	got, err := lay(t, archive, c.how, c.limits, c.dests...)
	if c.err != "" {
		var ue *unpack.Error
		if !errors.As(err, &ue) {
			t.Fatalf("got %v (%T), want an *unpack.Error", err, err)
		}
		if !strings.Contains(err.Error(), c.err) {
			t.Fatalf("error %q, want %q", err, c.err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got != c.want {
		t.Errorf("got:\n%swant:\n%s", got, c.want)
	}
}

func TestTar(t *testing.T) {
	cases := append(common(), []unpackCase{
		{name: "links refused", in: []entry{{name: "l", body: "x", kind: tar.TypeSymlink}}, err: `"l": is a link, and links are refused`},
		{name: "hard links refused", in: []entry{{name: "a"}, {name: "l", body: "a", kind: tar.TypeLink}}, err: "links are refused"},
		{name: "links skipped", how: action.Unpack{Links: "skip"},
			in: []entry{{name: "l", body: "/etc", kind: tar.TypeSymlink}, {name: "h", body: "/x", kind: tar.TypeLink}, {name: "a", body: "A"}}, want: "0644 a A\n"},
		{name: "links kept", how: action.Unpack{Links: "keep", Strip: 1},
			in: []entry{{name: "p/d/a", body: "A"}, {name: "p/l", body: "d/a", kind: tar.TypeSymlink}, {name: "p/d/m", body: "../d", kind: tar.TypeSymlink},
				{name: "p/h", body: "p/d/a", kind: tar.TypeLink}},
			want: "dir d\n0644 d/a A\nlink d/m -> ../d\n0644 h A\nlink l -> d/a\n"},
		{name: "absolute link", how: action.Unpack{Links: "keep"}, in: []entry{{name: "l", body: "/etc", kind: tar.TypeSymlink}}, err: `to "/etc", which may leave`},
		{name: "link to the parent", how: action.Unpack{Links: "keep"}, in: []entry{{name: "d/l", body: "../..", kind: tar.TypeSymlink}}, err: "may leave"},
		{name: "link out of its destination only", how: action.Unpack{Links: "keep"}, dests: []string{"node_modules/p"},
			in: []entry{{name: "l", body: "../q", kind: tar.TypeSymlink}}, err: "may leave"},
		{name: "links that climb together", how: action.Unpack{Links: "keep"},
			in:  []entry{{name: "a/b/l", body: "../..", kind: tar.TypeSymlink}, {name: "m", body: "a/b/l/../..", kind: tar.TypeSymlink}},
			err: "may leave"},
		{name: "write through a link", how: action.Unpack{Links: "keep"},
			in: []entry{{name: "d/a"}, {name: "l", body: "d", kind: tar.TypeSymlink}, {name: "l/x"}}, err: "l: is a directory and a symbolic link"},
		{name: "file over a link", how: action.Unpack{Links: "keep"},
			in: []entry{{name: "l", body: "d", kind: tar.TypeSymlink}, {name: "l", body: "x"}}, err: "is a file and a symbolic link"},
		{name: "hard link out", how: action.Unpack{Links: "keep"}, in: []entry{{name: "h", body: "../x", kind: tar.TypeLink}}, err: `has an element ".."`},
		{name: "hard link to what is not there", how: action.Unpack{Links: "keep"}, in: []entry{{name: "h", body: "x", kind: tar.TypeLink}}, err: "no file of the archive before it"},
		{name: "hard link to a link", how: action.Unpack{Links: "keep"},
			in: []entry{{name: "l", body: "a", kind: tar.TypeSymlink}, {name: "h", body: "l", kind: tar.TypeLink}}, err: "no file of the archive before it"},
		{name: "hard link to itself", how: action.Unpack{Links: "keep"}, in: []entry{{name: "a", body: "A"}, {name: "a", body: "a", kind: tar.TypeLink}}, want: "0644 a A\n"},
		{name: "executable hard link", how: action.Unpack{Links: "keep", Executable: []string{"h"}},
			in: []entry{{name: "a", body: "A"}, {name: "h", body: "a", kind: tar.TypeLink}}, want: "0755 a A\n0755 h A\n"},
		{name: "the last of two files wins", dests: []string{"x", "y"}, in: []entry{{name: "a", body: "1"}, {name: "b", body: "2"}, {name: "./a", body: "3", mode: 0o755}},
			want: "dir x\n0755 x/a 3\n0644 x/b 2\ndir y\n0755 y/a 3\n0644 y/b 2\n"},
		{name: "directories", in: []entry{{name: "d/", mode: 0o700, kind: tar.TypeDir}, {name: "d/", kind: tar.TypeDir}, {name: "d/a", body: "A"}, {name: "./", kind: tar.TypeDir}},
			want: "dir d\n0644 d/a A\n"},
		{name: "raw strip", how: action.Unpack{Strip: 1, RawStrip: true}, in: []entry{{name: "./a", body: "A"}, {name: "./p/b", body: "B"}, {name: "p/c", body: "C"}, {name: "p//d", body: "D"}, {name: "p/./e", body: "E"}, {name: "f", body: "F"}, {name: "p/", kind: tar.TypeDir}},
			want: "0644 a A\n0644 c C\n0644 d D\n0644 e E\ndir p\n0644 p/b B\n"},
		{name: "raw strip of a way out", how: action.Unpack{Strip: 1, RawStrip: true}, in: []entry{{name: "p/../../x", body: "A"}}, err: `".."`},
		{name: "directories are passed over", how: action.Unpack{SkipDirs: true}, in: []entry{{name: "empty/", kind: tar.TypeDir}, {name: "d/e/", kind: tar.TypeDir}, {name: "d/e/a", body: "A"}},
			want: "dir d\ndir d/e\n0644 d/e/a A\n"},
		{name: "global header", in: []entry{{name: "pax_global_header", body: "commit", kind: tar.TypeXGlobalHeader}, {name: "a", body: "A"}}, want: "0644 a A\n"},
		{name: "empty", in: nil, want: ""},
		{name: "device", in: []entry{{name: "null", kind: tar.TypeChar}}, err: `"null": is a device`},
		{name: "block device", in: []entry{{name: "sda", kind: tar.TypeBlock}}, err: "is a device"},
		{name: "fifo", in: []entry{{name: "f", kind: tar.TypeFifo}}, err: "is a FIFO"},
		{name: "skipped device", how: action.Unpack{Prefix: "p"}, in: []entry{{name: "null", kind: tar.TypeChar}, {name: "p/a", body: "A"}}, want: "0644 a A\n"},
		{name: "too many entries", limits: unpack.Limits{Bytes: 1 << 30, Entries: 2, Ratio: 100, Free: 1 << 20},
			in: []entry{{name: "a"}, {name: "b"}, {name: "c"}}, err: "more than 2 entries"},
		{name: "too many bytes", limits: unpack.Limits{Bytes: 1 << 30, Entries: 20, Ratio: 1, Free: 0},
			in: []entry{{name: "a", body: strings.Repeat("x", 1<<20)}}, err: "compression bomb"},
	}...)
	for _, c := range cases {
		c.how.Format = "tar"
		t.Run(c.name, func(t *testing.T) {
			archive := makeTar(t, c.in)
			if strings.Contains(c.name, "bytes") {
				archive = gz(archive)
			}
			c.run(t, archive)
		})
	}
}

func TestZip(t *testing.T) {
	cases := append(common(), []unpackCase{
		{name: "no modes", in: []entry{{name: "a", body: "A"}}, want: "0644 a A\n"},
		{name: "directories", in: []entry{{name: "d/", mode: 0o40700}, {name: "d/"}, {name: "d/a", body: "A"}}, want: "dir d\n0644 d/a A\n"},
		{name: "twice", in: []entry{{name: "a"}, {name: "./a"}}, err: "has it twice"},
		{name: "link", in: []entry{{name: "l", body: "a", mode: 0o120777}}, err: "links are refused"},
		{name: "link kept", how: action.Unpack{Links: "keep"}, in: []entry{{name: "d/l", body: "../a", mode: 0o120777}, {name: "a", body: "A"}},
			want: "0644 a A\ndir d\nlink d/l -> ../a\n"},
		{name: "link out", how: action.Unpack{Links: "keep"}, in: []entry{{name: "l", body: "../a", mode: 0o120777}}, err: "may leave"},
		{name: "long link", how: action.Unpack{Links: "keep"}, in: []entry{{name: "l", body: strings.Repeat("x", 5000), mode: 0o120777}}, err: "too long"},
		{name: "device", in: []entry{{name: "d", mode: 0o020666}}, err: "of the Unix type 020000"},
		{name: "NUL", in: []entry{{name: "a\x00b"}}, err: "NUL"},
		{name: "not UTF-8", in: []entry{{name: "a\xff"}}, err: "not UTF-8"},
		{name: "too many bytes", limits: unpack.Limits{Bytes: 1 << 30, Entries: 20, Ratio: 10, Free: 1000},
			in: []entry{{name: "a", body: strings.Repeat("x", 1<<20)}}, err: "compression bomb"},
	}...)
	for _, c := range cases {
		c.how.Format = "zip"
		t.Run(c.name, func(t *testing.T) { c.run(t, makeZip(t, c.in)) })
	}
}

// bz is a tar with the file "a" of content "hello", packed by bzip2, for which Go has no writer.
// TestXZDictionary asks for a dictionary of 3 GB, in the first and in the second block's place.
// TestBombs are stopped by what an entry announces, and by what the stream has beside entries'
// contents.

// TestRename checks that a file gets another base name unless the archive has that name too.
func TestRename(t *testing.T) {
	how := action.Unpack{Strip: 1, Rename: map[string]string{".gitignore": ".npmignore"}, SetMode: 0o644}
	for _, format := range []string{"tar", "zip"} {
		for _, tt := range []struct {
			name    string
			entries []entry
		}{
			{"renamed", []entry{{name: "p/.gitignore", body: "git"}, {name: "p/a/.gitignore", body: "a"}}},
			{"before", []entry{{name: "p/.npmignore", body: "git"}, {name: "p/.gitignore", body: "no"}, {name: "p/a/.gitignore", body: "a"}}},
			{"after", []entry{{name: "p/.gitignore", body: "no"}, {name: "p/.npmignore", body: "git"}, {name: "p/a/.gitignore", body: "a"}}},
		} {
			t.Run(format+" "+tt.name, func(t *testing.T) {
				data, how := makeTar(t, tt.entries), how
				if how.Format = format; format == "zip" {
					data = makeZip(t, tt.entries)
				}
				dir := t.TempDir()
				out, err := place.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				defer out.Close()
				if err := unpack.New(unpack.DefaultLimits()).Unpack(t.Context(), bytes.NewReader(data), int64(len(data)), how, out, []string{"."}); err != nil {
					t.Fatal(err)
				}
				for name, want := range map[string]string{".npmignore": "git", "a/.npmignore": "a"} {
					if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want {
						t.Errorf("%s: %q, %v", name, got, err)
					}
				}
				if _, err := os.Lstat(filepath.Join(dir, ".gitignore")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf(".gitignore is there: %v", err)
				}
			})
		}
	}
}

// TestHashbang checks that only the first line of an executable with "#!" changes.
func TestHashbang(t *testing.T) {
	long := "#!/bin/sh " + strings.Repeat("x", 3000) + "\r\n"
	entries := []entry{
		{name: "dos", body: "#!/usr/bin/env node\r\nline\r\n"}, {name: "unix", body: "#!/bin/sh\nline\r\n"},
		{name: "none", body: "line\r\n"}, {name: "other", body: "#!/bin/sh\r\n"}, {name: "empty"}, {name: "cr", body: "#!\r\n"}, {name: "long", body: long},
	}
	want := map[string]string{
		"dos": "#!/usr/bin/env node\nline\r\n", "unix": "#!/bin/sh\nline\r\n", "none": "line\r\n",
		"other": "#!/bin/sh\r\n", "empty": "", "cr": "#!\r\n", "long": long,
	}
	data := makeTar(t, entries)
	dir := t.TempDir()
	out, err := place.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	how := action.Unpack{Format: "tar", Executable: []string{"dos", "unix", "none", "empty", "cr", "long"}, Hashbang: true}
	if err := unpack.New(unpack.DefaultLimits()).Unpack(t.Context(), bytes.NewReader(data), int64(len(data)), how, out, []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		for _, d := range []string{"a", "b"} {
			if got, err := os.ReadFile(filepath.Join(dir, d, name)); string(got) != text {
				t.Errorf("%s/%s: %.40q, %v", d, name, got, err)
			}
		}
	}
}
