package receive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entry is a path of an archive: a directory if its name ends in "/", a symbolic link with to, a hard
// link with hard, else a file.
type entry struct {
	name, body, to, hard string
	mode                 int64
}

func archive(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.body)), Typeflag: tar.TypeReg}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		switch {
		case strings.HasSuffix(e.name, "/"):
			h.Typeflag = tar.TypeDir
			if e.mode == 0 {
				h.Mode = 0o755
			}
		case e.to != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.to
		case e.hard != "":
			h.Typeflag, h.Linkname = tar.TypeLink, e.hard
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func receiveAll(t *testing.T, dir string, data []byte) (Counts, error) {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Read(bytes.NewReader(data))
	var c Counts
	if err == nil {
		c, err = r.Commit()
	}
	if cerr := r.Close(); cerr != nil {
		t.Error(cerr)
	}
	return c, err
}

// tree describes a directory, staging directories included.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.WriteString(rel + " " + info.Mode().String())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			b.WriteString(" " + string(data))
		}
		if target, err := os.Readlink(p); err == nil {
			b.WriteString(" " + target)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReceive(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("0123456789", 10000)
	first := []entry{{name: "d/"}, {name: "d/a", body: "A"}, {name: "d/x", body: "X", mode: 0o755}, {name: "d/same", hard: "d/x", mode: 0o755},
		{name: "l", to: "d/a"}, {name: "long", body: long}, {name: "ro/", mode: 0o555}, {name: "ro/f", body: "F", mode: 0o444}}
	c, err := receiveAll(t, dir, archive(t, first...))
	want := "d drwxr-xr-x\nd/a -rw-r--r-- A\nd/same -rwxr-xr-x X\nd/x -rwxr-xr-x X\nl Lrwxrwxrwx d/a\nlong -rw-r--r-- " + long +
		"\nmine -rw------- mine\nro dr-xr-xr-x\nro/f -r--r--r-- F\n"
	if got := tree(t, dir); err != nil || got != want || c.Written != 6 || c.Files != 6 {
		t.Fatalf("%v %+v\n%s", err, c, got)
	}
	before, _ := os.Stat(filepath.Join(dir, "long"))
	if c, err = receiveAll(t, dir, archive(t, first...)); err != nil || c.Written != 0 || c.Unchanged != 6 || tree(t, dir) != want {
		t.Fatalf("again: %v %+v", err, c)
	}
	if after, _ := os.Stat(filepath.Join(dir, "long")); !os.SameFile(before, after) {
		t.Error("an unchanged file was replaced")
	}

	// A file that differs in its middle, a mode, a link that leads elsewhere, and an edited copy.
	changed := long[:50000] + "!" + long[50001:]
	os.WriteFile(filepath.Join(dir, "d/same"), []byte("Y"), 0o755)
	c, err = receiveAll(t, dir, archive(t, entry{name: "d/"}, entry{name: "d/a", body: "A", mode: 0o755}, entry{name: "d/x", body: "X", mode: 0o755},
		entry{name: "d/same", hard: "d/x", mode: 0o755}, entry{name: "l", to: "d/x"}, entry{name: "long", body: changed}))
	want = strings.NewReplacer("d/a -rw-r--r--", "d/a -rwxr-xr-x", "l Lrwxrwxrwx d/a", "l Lrwxrwxrwx d/x", long, changed).Replace(want)
	if got := tree(t, dir); err != nil || got != want || c.Written != 3 {
		t.Fatalf("changed: %v %+v\n%s", err, c, got)
	}
}

// Nothing is changed by an archive that can't be received, or that isn't committed.
func TestNothingChanges(t *testing.T) {
	whole := archive(t, entry{name: "a", body: "new"}, entry{name: "d/"}, entry{name: "d/b", body: "B"})
	for name, c := range map[string]struct {
		data []byte
		err  string
	}{
		"truncated":             {whole[:514], "unexpected EOF"},
		"no archive":            {[]byte(strings.Repeat("x", 1024)), "archive"},
		"a way out":             {archive(t, entry{name: "a", body: "new"}, entry{name: "../x", body: "x"}), `"../x"`},
		"absolute":              {archive(t, entry{name: "/x", body: "x"}), `"/x"`},
		"a directory over file": {archive(t, entry{name: "a/"}), "a is a file, and the result has a directory there"},
		"a file over directory": {archive(t, entry{name: "dir", body: "x"}), "dir is a directory, and the result has a file there"},
		"a file over link":      {archive(t, entry{name: "out/"}, entry{name: "out/x", body: "x"}), "out is a symbolic link"},
		"a link to nothing":     {archive(t, entry{name: "h", hard: "a"}), "isn't a file before it"},
		"not committed":         {whole, ""},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "dest")
			os.MkdirAll(filepath.Join(dir, "dir"), 0o755)
			os.WriteFile(filepath.Join(dir, "a"), []byte("old"), 0o644)
			os.Symlink("..", filepath.Join(dir, "out"))
			before := tree(t, top)
			r, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			err = r.Read(bytes.NewReader(c.data))
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if after := tree(t, top); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
		})
	}
}

// What a killed client left is removed by the next one, and what one at work uses isn't.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	killed, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	working, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	killed.lock.Close()
	if _, err := receiveAll(t, dir, archive(t, entry{name: "a", body: "A"})); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, killed.stage)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the killed client's directory is there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, working.stage)); err != nil {
		t.Error(err)
	}
}
