package helper

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
)

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "usage:"},
		{[]string{"fetch"}, 2, "usage:"},
		{[]string{"dance", "{}"}, 2, `unknown action "dance"`},
		{[]string{"fetch", "{"}, 2, "malformed document"},
		{[]string{"fetch", "{}{}"}, 2, "something follows it"},
		{[]string{"fetch", `{"item":[]}`}, 2, `unknown field "item"`},
		{[]string{"run", `{"tasks":[{"name":"t"}]}`}, 2, "has no commands"},
		{[]string{"write", "@/no/such/file"}, 2, "/no/such/file: "},
		{[]string{"write", `{"files":[{"path":"x"}]}`}, 1, "output directory"},
	} {
		if tt.code == 1 {
			if _, err := os.Stat(action.OutDir); err == nil {
				continue // this machine has one, which must not be written to
			}
		}
		var stderr bytes.Buffer
		if code := Main(t.Context(), tt.args, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%q: status %d, %q; want %d, %q", tt.args, code, stderr.String(), tt.code, tt.want)
		}
	}
}

func TestDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.json")
	os.WriteFile(file, []byte(`{"files":[{"path":"a","data":"AAE="}]}`), 0o644)
	doc, err := Document("@"+file, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	w, err := DecodeWrite(doc)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := Write(w, dir); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(data) != "\x00\x01" {
		t.Errorf("got %q, %v", data, err)
	}
	r, err := DecodeRun([]byte(`{"tasks":[{"name":"t","commands":[{"args":["true"]}],"after":[]}],"outputs":[{"path":"x"}],"links":{"a":"b"}}`))
	if err != nil || r.Links["a"] != "b" || r.Tasks[0].Commands[0].Args[0] != "true" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestAuthFiles(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "npm"), []byte("Bearer x\n"), 0o600)
	auth := AuthFiles(dir)
	if v, err := auth("npm"); err != nil || v != "Bearer x\n" {
		t.Errorf("got %q, %v", v, err)
	}
	if _, err := auth("other"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := auth("../npm"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"items":[{"name":"a","urls":["http://127.0.0.1:1/"],"integrity":["sha1-"],"unpack":{"format":"tar"},"dests":["."]}],"files":[{"path":"x","mode":420}]}`))
	f.Add([]byte(`{"files":[{"path":"/a","text":"x"}],"tasks":[{"name":"t","commands":[{"args":["true"],"env":["A=b"],"stdout":"/x"}],"after":[0]}],"outputs":[{"path":"x"}],"links":{"a":"b"}}`))
	f.Add([]byte(`{"files":[{"path":"a","data":"AAE="},{"path":"d","dir":true},{"path":"l","link":"../x"}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		var de *DocError
		for _, decode := range []func([]byte) error{
			func(b []byte) error { _, err := DecodeFetch(b); return err },
			func(b []byte) error { _, err := DecodeRun(b); return err },
			func(b []byte) error { _, err := DecodeWrite(b); return err },
		} {
			if err := decode(doc); err != nil && !errors.As(err, &de) {
				t.Fatalf("error %v is a %T", err, err)
			}
		}
		if w, err := DecodeWrite(doc); err == nil {
			dir := t.TempDir()
			Write(w, dir)
			if found, _ := os.ReadDir(filepath.Dir(dir)); len(found) != 1 {
				t.Fatalf("something was written outside of the output: %v", found)
			}
		}
	})
}
