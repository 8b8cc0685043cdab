//go:build linux

package export

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// l is a layer of a case: its id and content, and the ids of the layers below it.
type l struct {
	id    string
	spec  []string
	below []string
}

func (e *env) all(layers []l) []Layer {
	var list []Layer
	for _, l := range layers {
		list = append(list, e.layer(l.id, l.spec, l.below...))
	}
	return list
}

func TestLayers(t *testing.T) {
	a := l{"a", []string{"bin/x=1 0755", "bin/y=2", "lib->usr/lib", "d/sub/deep=3", "empty/"}, nil}
	cases := map[string]struct {
		layers []l
		want   []string
	}{
		"nothing":                    {nil, nil},
		"one":                        {[]l{a}, []string{"bin/", "bin/x=1 0755", "bin/y=2", "lib->usr/lib", "d/", "d/sub/", "d/sub/deep=3", "empty/"}},
		"later wins":                 {[]l{a, {"b", []string{"bin/x=new"}, nil}}, []string{"bin/", "bin/x=new", "bin/y=2", "lib->usr/lib", "d/", "d/sub/", "d/sub/deep=3", "empty/"}},
		"directory over link":        {[]l{{"a", []string{"lib->x"}, nil}, {"b", []string{"lib/f=1"}, nil}}, []string{"lib/", "lib/f=1"}},
		"link over directory":        {[]l{{"a", []string{"lib/f=1"}, nil}, {"b", []string{"lib->x"}, nil}}, []string{"lib->x"}},
		"file over directory":        {[]l{{"a", []string{"lib/f=1"}, nil}, {"b", []string{"lib=x"}, nil}}, []string{"lib=x"}},
		"mode of a later directory":  {[]l{{"a", []string{"d/f=1"}, nil}, {"b", []string{"d/ 0700"}, nil}}, []string{"d/ 0700", "d/f=1"}},
		"read-only directory":        {[]l{{"a", []string{"d/f=1 0444", "d/ 0555"}, nil}}, []string{"d/ 0555", "d/f=1 0444"}},
		"no setuid":                  {[]l{{"a", []string{"f=1 0777"}, nil}}, []string{"f=1 0777"}},
		"whiteout":                   {[]l{a, {"b", []string{"!bin/x", "!d"}, []string{"a"}}}, []string{"bin/", "bin/y=2", "lib->usr/lib", "empty/"}},
		"whiteout of nothing below":  {[]l{a, {"b", []string{"!bin/x"}, nil}}, []string{"bin/", "bin/x=1 0755", "bin/y=2", "lib->usr/lib", "d/", "d/sub/", "d/sub/deep=3", "empty/"}},
		"whiteout reaches a sibling": {[]l{{"s", []string{"f=s"}, nil}, {"a", []string{"f=a"}, nil}, {"b", []string{"!f"}, []string{"a"}}}, nil},
		"opaque": {[]l{a, {"b", []string{"d/!", "d/sub/new=4"}, []string{"a"}}},
			[]string{"bin/", "bin/x=1 0755", "bin/y=2", "lib->usr/lib", "d/", "d/sub/", "d/sub/new=4", "empty/"}},
		"opaque spares a sibling": {[]l{{"s", []string{"d/s=s"}, nil}, {"a", []string{"d/a=a"}, nil}, {"b", []string{"d/!", "d/b=b"}, []string{"a"}}},
			[]string{"d/", "d/s=s", "d/b=b"}},
		"opaque hides what a layer between deleted": {[]l{{"s", []string{"d/x=s"}, nil}, {"a", []string{"d/x=a"}, nil}, {"b", []string{"!d/x", "d/b=b"}, []string{"a"}}, {"s2", []string{"d/x=s2"}, nil}, {"c", []string{"d/!", "d/c=c"}, []string{"a", "b"}}},
			[]string{"d/", "d/x=s2", "d/c=c"}},
		"opaque on an opaque": {[]l{{"s", []string{"d/x=s"}, nil}, {"a", []string{"d/x=a"}, nil}, {"b", []string{"d/!", "d/b=b"}, []string{"a"}}, {"s2", []string{"d/x=s2"}, nil}, {"c", []string{"d/!"}, []string{"a", "b"}}},
			[]string{"d/", "d/x=s2"}},
		"names": {[]l{{"a", []string{"ü/ä b=1", "-=2", ".hidden=3", "a\nb=4"}, nil}}, []string{"ü/", "ü/ä b=1", "-=2", ".hidden=3", "a\nb=4"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			layers := e.all(c.layers)
			e.mustSync(layers...)
			e.want(c.want...)
			before := e.inodes()
			s := e.mustSync(layers...)
			if len(e.opened) > 0 || s.Written > 0 || s.Removed > 0 || s.Unchanged != s.Files {
				t.Errorf("the second export did something: %+v, opened %v", s, e.opened)
			}
			if c := changed(before, e.inodes()); len(c) > 0 {
				t.Errorf("the second export replaced %v", c)
			}
			e.want(c.want...)
		})
	}
}

// Every pair of results, one after the other in the same directory, gives what the second one
// alone would.
func TestTransitions(t *testing.T) {
	results := [][]string{
		nil,
		{"p=file"},
		{"p=longer file 0755"},
		{"p->link"},
		{"p->other"},
		{"p/"},
		{"p/ 0700"},
		{"p/a=1", "p/b/c=2"},
		{"p/a=2", "p/b/d/e=3", "p/ 0555"},
		{"p/a/x=1", "p/b=2"},
		{"p/a->b", "p/b->a"},
		{"q=1"},
	}
	for i, from := range results {
		for j, to := range results {
			e := newFastEnv(t)
			alone := newFastEnv(t)
			alone.mustSync(alone.layer("to", to))
			e.mustSync(e.layer("from", from))
			e.mustSync(e.layer("to", to))
			want, got := showTree(t, alone.dest), showTree(t, e.dest)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%v → %v: (- wanted, + found)\n%s", results[i], results[j], diff)
			}
		}
	}
}

// What people do to a destination between two exports of one result.
func TestEdits(t *testing.T) {
	result := []string{"d/a=1", "d/b=2 0755", "d/l->a", "d/sub/c=3", "top=4"}
	full := append([]string{"d/", "d/sub/"}, result...)
	cases := map[string]struct {
		edit      func(e *env)
		want      []string // beside the result
		rewritten []string
	}{
		"nothing":                {func(e *env) {}, nil, nil},
		"edited":                 {func(e *env) { makeTree(e.t, e.dest, "d/a=X") }, nil, []string{"d/a"}},
		"edited in place":        {func(e *env) { os.WriteFile(e.dest+"/d/a", []byte("X"), 0) }, nil, []string{"d/a"}},
		"edited, times restored": {func(e *env) { editKeepingTimes(e, "d/a") }, nil, []string{"d/a"}},
		"appended":               {func(e *env) { os.WriteFile(e.dest+"/d/a", []byte("1 and more"), 0) }, nil, []string{"d/a"}},
		"touched":                {func(e *env) { os.Chtimes(e.dest+"/d/a", time.Unix(1, 0), time.Unix(1, 0)) }, nil, nil},
		"mode":                   {func(e *env) { os.Chmod(e.dest+"/d/b", 0o600) }, nil, nil},
		"setuid":                 {func(e *env) { unix.Chmod(e.dest+"/d/b", 0o4755) }, nil, nil},
		"mode of a directory":    {func(e *env) { os.Chmod(e.dest+"/d/sub", 0o700) }, nil, nil},
		"removed":                {func(e *env) { os.Remove(e.dest + "/d/a") }, nil, []string{"d/a"}},
		"removed directory":      {func(e *env) { os.RemoveAll(e.dest + "/d") }, nil, []string{"d/a", "d/b", "d/l", "d/sub/c"}},
		"removed destination":    {func(e *env) { os.RemoveAll(e.dest) }, nil, []string{"d/a", "d/b", "d/l", "d/sub/c", "top"}},
		"link retargeted":        {func(e *env) { makeTree(e.t, e.dest, "d/l->b") }, nil, []string{"d/l"}},
		"link became a file":     {func(e *env) { makeTree(e.t, e.dest, "d/l=1") }, nil, []string{"d/l"}},
		"file became a link":     {func(e *env) { makeTree(e.t, e.dest, "d/a->b") }, nil, []string{"d/a"}},
		"file became a pipe":     {func(e *env) { os.Remove(e.dest + "/d/a"); unix.Mkfifo(e.dest+"/d/a", 0o644) }, nil, []string{"d/a"}},
		"file became an empty directory": {func(e *env) { os.Remove(e.dest + "/d/a"); os.Mkdir(e.dest+"/d/a", 0o755) }, nil,
			[]string{"d/a"}},
		"directory became a file": {func(e *env) { os.RemoveAll(e.dest + "/d/sub"); makeTree(e.t, e.dest, "d/sub=X") }, nil, []string{"d/sub/c"}},
		"hard link elsewhere":     {func(e *env) { os.Link(e.dest+"/d/a", e.dest+"/other") }, []string{"other=1"}, nil},
		"replaced by a copy":      {func(e *env) { makeTree(e.t, e.dest, "d/a=1") }, nil, nil},
		"other files":             {func(e *env) { makeTree(e.t, e.dest, "d/new=5", "d/newdir/f=6", "e=7") }, []string{"d/new=5", "d/newdir/", "d/newdir/f=6", "e=7"}, nil},
		"a link to elsewhere":     {func(e *env) { makeTree(e.t, e.dest, "x->/etc") }, []string{"x->/etc"}, nil},
		"the record is lost":      {func(e *env) { os.RemoveAll(e.state) }, nil, nil},
		"the record is garbled":   {func(e *env) { garble(e, ".manifest") }, nil, nil},
		"moved":                   {func(e *env) { os.Rename(e.dest, e.dest+"2"); e.dest += "2" }, nil, nil},
		"remade empty":            {func(e *env) { os.RemoveAll(e.dest); os.Mkdir(e.dest, 0o755) }, nil, []string{"d/a", "d/b", "d/l", "d/sub/c", "top"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			layer := e.layer("a", result)
			e.mustSync(layer)
			c.edit(e)
			before := e.inodes()
			s := e.mustSync(layer)
			e.want(append(slices.Clone(full), c.want...)...)
			if s.Written != len(c.rewritten) {
				t.Errorf("wrote %d files, not %d", s.Written, len(c.rewritten))
			}
			got := changed(before, e.inodes())
			for _, p := range got {
				if !slices.Contains(c.rewritten, p) {
					t.Errorf("replaced %s", p)
				}
			}
			again := e.inodes()
			if s := e.mustSync(layer); s.Written > 0 || len(e.opened) > 0 || len(changed(again, e.inodes())) > 0 {
				t.Errorf("the export after that did something: %+v", s)
			}
		})
	}
}

func editKeepingTimes(e *env, path string) {
	p := filepath.Join(e.dest, path)
	info, err := os.Stat(p)
	if err != nil {
		e.t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	os.WriteFile(p, []byte("X"), 0)
	os.Chtimes(p, time.Unix(st.Atim.Unix()), info.ModTime())
}

func garble(e *env, suffix string) {
	all, _ := filepath.Glob(filepath.Join(e.state, "*"+suffix))
	if len(all) == 0 {
		e.t.Fatal("no " + suffix)
	}
	for _, p := range all {
		data, _ := os.ReadFile(p)
		data[len(data)/2] ^= 1
		os.WriteFile(p, data, 0o600)
	}
}

func TestGarbledRecordIsReported(t *testing.T) {
	e := newEnv(t)
	e.mustSync(e.layer("a", []string{"f=1"}))
	garble(e, ".manifest")
	s := e.mustSync(e.layer("b", []string{"g=1"}))
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], e.dest) {
		t.Errorf("notes: %q", s.Notes)
	}
	e.want("f=1", "g=1")
}

// What belongs to the export goes when the result has it no more; what belongs to others stays.
func TestRemoval(t *testing.T) {
	e := newEnv(t)
	makeTree(t, mkdir(t, e.dest), "mine=1", "shared/mine=2", "over=mine")
	e.mustSync(e.layer("a", []string{"f=1", "edited=1", "shared/f=1", "new/f=1", "new/deep/f=1", "gone/f=1", "over=theirs", "dir/f=1", "linked/f=1"}))
	makeTree(t, e.dest, "edited=by me", "new/deep/mine=3")
	os.RemoveAll(filepath.Join(e.dest, "dir"))
	makeTree(t, e.dest, "dir=a file of mine")
	outside := makeTree(t, t.TempDir(), "f=precious")
	os.RemoveAll(filepath.Join(e.dest, "linked"))
	makeTree(t, e.dest, "linked->"+outside)
	s := e.mustSync(e.layer("b", []string{"f=1"}))
	e.want("f=1", "mine=1", "shared/", "shared/mine=2", "new/", "new/deep/", "new/deep/mine=3", "dir=a file of mine", "linked->"+outside)
	if data, err := os.ReadFile(filepath.Join(outside, "f")); err != nil || string(data) != "precious" {
		t.Errorf("the export followed a link out of the destination: %q, %v", data, err)
	}
	if s.Removed != 6 { // edited, shared/f, new/f, new/deep/f, gone/f, over
		t.Errorf("removed %d", s.Removed)
	}
	// What was left to others isn't the export's any more.
	e.mustSync()
	e.want("mine=1", "shared/", "shared/mine=2", "new/", "new/deep/", "new/deep/mine=3", "dir=a file of mine", "linked->"+outside)
}

func mkdir(t testing.TB, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A directory that was removed and made again is not the one that was exported to.
func TestRemadeDestination(t *testing.T) {
	e := newEnv(t)
	e.mustSync(e.layer("a", []string{"f=1", "d/g=1"}))
	os.RemoveAll(e.dest)
	makeTree(t, mkdir(t, e.dest), "f=mine", "d/g=mine")
	e.mustSync(e.layer("b", []string{"other=1"}))
	e.want("f=mine", "d/", "d/g=mine", "other=1")
}

func TestConflicts(t *testing.T) {
	outside := t.TempDir()
	cases := map[string]struct {
		before, edit, after []string
		remove              string
		path, have          string
	}{
		"link where a directory goes":          {nil, []string{"d->" + outside}, []string{"d/f=1"}, "", "d", "symbolic link"},
		"deep link":                            {[]string{"a/b/c=1"}, []string{"a/b->" + outside}, []string{"a/b/d=1"}, "a/b", "a/b", "symbolic link"},
		"our directory became a link":          {[]string{"d/f=1"}, []string{"d->" + outside}, []string{"d/f=1"}, "d", "d", "symbolic link"},
		"dangling link where a directory goes": {nil, []string{"d->/nowhere"}, []string{"d/f=1"}, "", "d", "symbolic link"},
		"file where a directory goes":          {nil, []string{"d=mine"}, []string{"d/f=1"}, "", "d", "a file"},
		"directory where a file goes":          {nil, []string{"f/mine=1"}, []string{"f=1"}, "", "f", "a directory"},
		"our directory with a file of others":  {[]string{"p/a=1"}, []string{"p/mine=1"}, []string{"p=1"}, "", "p/mine", "a file that no export wrote"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			mkdir(t, e.dest)
			e.mustSync(e.layer("before", append(c.before, "keep=1")))
			if c.remove != "" {
				os.RemoveAll(filepath.Join(e.dest, c.remove))
			}
			makeTree(t, e.dest, c.edit...)
			before := showTree(t, e.dest)
			_, err := e.sync(e.layer("after", append(c.after, "new=1")))
			var conflict *ConflictError
			if !errors.As(err, &conflict) || conflict.Path != c.path || !strings.Contains(err.Error(), c.have) || !strings.Contains(err.Error(), filepath.Join(e.dest, c.path)) {
				t.Fatalf("error: %v", err)
			}
			if diff := cmp.Diff(before, showTree(t, e.dest)); diff != "" {
				t.Errorf("the failed export changed the destination:\n%s", diff)
			}
			if left, _ := os.ReadDir(outside); len(left) > 0 {
				t.Errorf("written outside: %v", left)
			}
		})
	}
}

// Our own link makes room for a directory: a package that was linked becomes a copy.
func TestOwnLinkBecomesDirectory(t *testing.T) {
	e := newEnv(t)
	e.mustSync(e.layer("a", []string{"p->../elsewhere"}))
	e.mustSync(e.layer("b", []string{"p/f=1"}))
	e.want("p/", "p/f=1")
}

// The destination itself may be a symbolic link, and the same directory is known by either name.
func TestDestinationIsLink(t *testing.T) {
	e := newEnv(t)
	real := mkdir(t, filepath.Join(t.TempDir(), "real"))
	if err := os.Symlink(real, e.dest); err != nil {
		t.Fatal(err)
	}
	e.mustSync(e.layer("a", []string{"f=1", "g=1"}))
	e.dest = real
	s := e.mustSync(e.layer("b", []string{"f=1"}))
	if s.Removed != 1 {
		t.Errorf("%+v", s)
	}
	e.want("f=1")
}
