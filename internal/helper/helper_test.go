package helper

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/fetch"
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

// TestShared carries out a fetch as an engine does, with a container's files in a map.
func TestShared(t *testing.T) {
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.String()+" "+r.Header.Get("Authorization"))
		io.WriteString(w, "hello")
	}))
	defer srv.Close()
	files := map[string]string{
		NetFile:               fmt.Sprintf(`{"env":{"HTTP_PROXY":%q}}`, srv.URL),
		AuthDir + "/registry": "Bearer x\n",
		"/doc.json": `{"items":[{"name":"a","urls":["http://registry.example.com/a"],"auth":"registry","dests":["f"],
			"integrity":["sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"]}]}`,
	}
	var stderr bytes.Buffer
	c := Container{OutDir: t.TempDir(), Stderr: &stderr, ReadFile: func(p string) ([]byte, error) {
		if data, ok := files[p]; ok {
			return []byte(data), nil
		}
		return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
	}}
	s := NewShared(fetch.Options{Attempts: 1})
	defer s.Close()
	if code, err := s.Run(t.Context(), []string{"fetch", "@/doc.json"}, c); code != 0 || err != nil {
		t.Fatalf("status %d, %v", code, err)
	}
	if data, err := os.ReadFile(filepath.Join(c.OutDir, "f")); err != nil || string(data) != "hello" {
		t.Errorf("got %q, %v", data, err)
	}
	if len(seen) != 1 || seen[0] != "http://registry.example.com/a Bearer x" {
		t.Errorf("the proxy saw %q", seen)
	}

	delete(files, AuthDir+"/registry")
	if code, err := s.Run(t.Context(), []string{"fetch", "@/doc.json"}, c); code != 1 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the credential: status %d, %v", code, err)
	}
	files["/doc.json"] = strings.ReplaceAll(files["/doc.json"], `"registry"`, `"../mergefest-net.json"`)
	if code, err := s.Run(t.Context(), []string{"fetch", "@/doc.json"}, c); code != 1 || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with a credential outside of its directory: status %d, %v", code, err)
	}
	if code, _ := s.Run(t.Context(), []string{"write", `{"files":[{"path":"g","text":"x"}]}`}, c); code != 0 {
		t.Errorf("write: status %d", code)
	}
	if code, _ := s.Run(t.Context(), []string{"run", "{}"}, c); code != 2 || s.Handles([]string{"run", "{}"}) {
		t.Errorf("run: status %d", code)
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

// TestSharedSettings expects that each fetch has its own settings, and that those which were seen
// before aren't made again.
func TestSharedSettings(t *testing.T) {
	s := NewShared(fetch.Options{Attempts: 1})
	defer s.Close()
	proxy := func(answer string) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	first, second, environment := proxy("first"), proxy("second"), proxy("environment")
	get := func(settings string) string {
		dir := t.TempDir()
		c := Container{OutDir: dir, Stderr: io.Discard, Getenv: func(name string) string {
			if name == "http_proxy" {
				return environment
			}
			return ""
		}, ReadFile: func(string) ([]byte, error) {
			if settings == "" {
				return nil, fs.ErrNotExist
			}
			return []byte(settings), nil
		}}
		doc := `{"items":[{"name":"x","urls":["http://registry.example.com/x"],"unverified":true,"dests":["x"]}]}`
		if _, err := s.Run(t.Context(), []string{"fetch", doc}, c); err != nil {
			return err.Error()
		}
		data, err := os.ReadFile(filepath.Join(dir, "x"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for range 2 {
		for want, settings := range map[string]string{
			"first":       fmt.Sprintf(`{"env":{"HTTP_PROXY":%q}}`, first),
			"second":      fmt.Sprintf(`{"env":{"HTTP_PROXY":%q}}`, second),
			"environment": "",
			"the network settings are not a valid JSON document": "{",
		} {
			if got := get(settings); got != want {
				t.Errorf("%s: got %q, want %q", settings, got, want)
			}
		}
	}
	if len(s.fetchers) != 3 {
		t.Errorf("%d fetchers for 3 settings", len(s.fetchers))
	}
}
