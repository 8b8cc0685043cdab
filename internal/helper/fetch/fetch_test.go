package fetch_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/fetch"
	"github.com/mergefest/mergefest/internal/helper/integrity"
	"github.com/mergefest/mergefest/internal/helper/place"
	"github.com/mergefest/mergefest/internal/helper/unpack"
)

// quick are options that let failures fail within a test's patience.
var quick = fetch.Options{Stall: 300 * time.Millisecond, Attempts: 3, Backoff: time.Millisecond}

func fetcher(t testing.TB, s fetch.Settings, opt fetch.Options) *fetch.Fetcher {
	f, err := fetch.New(s, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// do carries out items in a new directory, which is returned.
func do(t testing.TB, f *fetch.Fetcher, env fetch.Env, items ...action.Item) (string, error) {
	env.OutDir = t.TempDir()
	return env.OutDir, f.Do(t.Context(), &action.Fetch{Items: items}, env)
}

func tgz(files map[string]string) []byte {
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for name, body := range files {
		tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(body))})
		tw.Write([]byte(body))
	}
	tw.Close()
	zw.Close()
	return b.Bytes()
}

func sri(data []byte) []string {
	sum := sha512.Sum512(data)
	return []string{"sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
}

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

func file(name, url string, data []byte) action.Item {
	return action.Item{Name: name, URLs: []string{url}, Integrity: sri(data), Dests: []string{"f"}}
}

func read(t testing.TB, path ...string) string {
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

func TestFetch(t *testing.T) {
	pkg := tgz(map[string]string{"package/package.json": "{}", "package/bin/x.js": "#!"})
	big := bytes.Repeat([]byte("0123456789abcdef"), 400_000) // beyond what stays in memory
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/p.tgz":
			w.Header().Set("Content-Encoding", "gzip") // some servers do that to a .tgz
			w.Write(pkg)
		case "/big":
			w.Write(big) // chunked: no length
		}
	})
	sum := sha1.Sum(pkg)
	doc := &action.Fetch{
		Items: []action.Item{
			{Name: "p@1", URLs: []string{srv.URL + "/p.tgz"}, Integrity: []string{fmt.Sprintf("sha1:%x", sum)},
				Unpack: &action.Unpack{Format: "tar", Strip: 1, Executable: []string{"bin/x.js"}}, Dests: []string{"node_modules/p", "node_modules/q/node_modules/p"}},
			{Name: "big", URLs: []string{srv.URL + "/big"}, Integrity: sri(big), Dests: []string{"d/big", "big"}, Mode: 0o755},
		},
		Files: []action.File{{Path: "node_modules/p/package.json", Text: "replaced"}, {Path: "record", Text: "r"}},
	}
	out := t.TempDir()
	if err := fetcher(t, fetch.Settings{}, quick).Do(t.Context(), doc, fetch.Env{OutDir: out}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"node_modules/p/package.json": "replaced", "node_modules/q/node_modules/p/package.json": "{}",
		"node_modules/p/bin/x.js": "#!", "record": "r", "big": string(big), "d/big": string(big),
	} {
		if got := read(t, out, path); got != want {
			t.Errorf("%s: got %.40q", path, got)
		}
	}
	for path, want := range map[string]fs.FileMode{"big": 0o755, "node_modules/p/bin/x.js": 0o755, "record": 0o644} {
		if fi, err := os.Stat(filepath.Join(out, path)); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	// Nothing but the results is there, and all of it has the fixed time.
	entries, _ := os.ReadDir(out)
	if len(entries) != 4 {
		t.Errorf("the output has %v", entries)
	}
	filepath.WalkDir(out, func(p string, d fs.DirEntry, err error) error {
		if fi, err := os.Lstat(p); err != nil || fi.ModTime().Unix() != place.Time {
			t.Errorf("%s: %v, %v", p, fi.ModTime(), err)
		}
		return nil
	})
}

// TestGoModule keeps a zip, its directory and a go.mod, with one download of the zip.
func TestGoModule(t *testing.T) {
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for name, body := range map[string]string{"example.com/m@v1.0.0/go.mod": "module example.com/m\n", "example.com/m@v1.0.0/m.go": "package m\n"} {
		w, _ := zw.Create(name)
		w.Write([]byte(body))
	}
	zw.Close()
	zipFile := filepath.Join(t.TempDir(), "m.zip")
	os.WriteFile(zipFile, buf.Bytes(), 0o644)
	h1, err := dirhash.HashZip(zipFile, dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	mod := "module example.com/m\n"
	h1mod, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(mod)), nil })
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".zip") {
			requests.Add(1)
			w.Write(buf.Bytes())
		} else {
			io.WriteString(w, mod)
		}
	})
	items := []action.Item{
		{Name: "m", URLs: []string{srv.URL + "/m.zip"}, Integrity: []string{h1}, Dests: []string{"cache/download/m/@v/v1.0.0.zip"}},
		{Name: "m", URLs: []string{srv.URL + "/m.zip"}, Integrity: []string{h1}, Dests: []string{"m@v1.0.0"},
			Unpack: &action.Unpack{Format: "zip", Prefix: "example.com/m@v1.0.0"}},
		{Name: "m", URLs: []string{srv.URL + "/m.mod"}, Integrity: []string{h1mod}, Dests: []string{"cache/download/m/@v/v1.0.0.mod"}},
	}
	f := fetcher(t, fetch.Settings{}, quick)
	out, err := do(t, f, fetch.Env{}, items...)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, out, "m@v1.0.0/m.go"); got != "package m\n" {
		t.Errorf("got %q", got)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("the zip was downloaded %d times", n)
	}
	// A zip is not taken for the go.mod that it holds, and the other way round.
	items[0].Integrity, items[2].Integrity = []string{h1mod}, []string{h1}
	for _, it := range []action.Item{items[0], items[2]} {
		out, err := do(t, f, fetch.Env{}, it)
		var m *integrity.MismatchError
		if !errors.As(err, &m) {
			t.Errorf("got %v", err)
		}
		if entries, _ := os.ReadDir(out); len(entries) > 0 {
			t.Errorf("after a mismatch the output has %v", entries)
		}
	}
}

// TestFailures are servers that misbehave in every way, with the message that results and the
// number of requests that were made.
func TestFailures(t *testing.T) {
	data := []byte("the right content")
	tests := []struct {
		name     string
		serve    func(w http.ResponseWriter, r *http.Request, n int) // n counts from 1
		requests int
		want     []string // in the error; none means success
	}{
		{"not found", func(w http.ResponseWriter, r *http.Request, n int) { http.Error(w, "no such version", 404) }, 1,
			[]string{"pkg@1: ", "/file: 404 Not Found: no such version", "update the lockfile"}},
		{"gone", func(w http.ResponseWriter, r *http.Request, n int) { w.WriteHeader(410) }, 1, []string{"410 Gone"}},
		{"forbidden", func(w http.ResponseWriter, r *http.Request, n int) { w.WriteHeader(403) }, 1, []string{"403 Forbidden", "wants a credential"}},
		{"teapot", func(w http.ResponseWriter, r *http.Request, n int) { w.WriteHeader(418) }, 1, []string{"418"}},
		{"no content", func(w http.ResponseWriter, r *http.Request, n int) { w.WriteHeader(204) }, 1, []string{"204 No Content"}},
		{"server error", func(w http.ResponseWriter, r *http.Request, n int) { w.WriteHeader(500) }, 3, []string{"500", "(tried 3 times)", "try again later"}},
		{"server error, then well", func(w http.ResponseWriter, r *http.Request, n int) {
			if n < 3 {
				w.WriteHeader(503)
			} else {
				w.Write(data)
			}
		}, 3, nil},
		{"too many requests", func(w http.ResponseWriter, r *http.Request, n int) {
			if n == 1 {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(429)
			} else {
				w.Write(data)
			}
		}, 2, nil},
		{"a wait that is too long", func(w http.ResponseWriter, r *http.Request, n int) {
			w.Header().Set("Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			w.WriteHeader(429)
		}, 1, []string{"429", "limits the rate"}},
		{"request timeout", func(w http.ResponseWriter, r *http.Request, n int) {
			if n == 1 {
				w.WriteHeader(408)
			} else {
				w.Write(data)
			}
		}, 2, nil},
		{"truncated", func(w http.ResponseWriter, r *http.Request, n int) {
			w.Header().Set("Content-Length", "100")
			w.Write(data)
		}, 3, []string{"truncated", "(tried 3 times)"}},
		{"truncated, then well", func(w http.ResponseWriter, r *http.Request, n int) {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			if n == 1 {
				w.Write(data[:3])
			} else {
				w.Write(data)
			}
		}, 2, nil},
		{"hangs up", func(w http.ResponseWriter, r *http.Request, n int) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		}, 3, []string{"EOF", "(tried 3 times)"}},
		{"no HTTP", func(w http.ResponseWriter, r *http.Request, n int) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(conn, "\x00\x01garbage\r\n\r\n")
			conn.Close()
		}, 3, []string{"malformed HTTP"}},
		{"stalls before the header", func(w http.ResponseWriter, r *http.Request, n int) {
			<-r.Context().Done()
		}, 3, []string{"the server sent nothing for too long (300ms)", "(tried 3 times)"}},
		{"stalls in the middle", func(w http.ResponseWriter, r *http.Request, n int) {
			w.Header().Set("Content-Length", "100")
			w.Write(data)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, 3, []string{"the server sent nothing for too long"}},
		{"slow but steady", func(w http.ResponseWriter, r *http.Request, n int) {
			for _, b := range data {
				w.Write([]byte{b})
				w.(http.Flusher).Flush()
				time.Sleep(30 * time.Millisecond)
			}
		}, 1, nil},
		{"other content", func(w http.ResponseWriter, r *http.Request, n int) { io.WriteString(w, "other") }, 1,
			[]string{"integrity mismatch: expected " + sri(data)[0] + ", got " + sri([]byte("other"))[0], "/file", "sent 5 bytes"}},
		{"a login page", func(w http.ResponseWriter, r *http.Request, n int) { io.WriteString(w, "<!DOCTYPE html><title>Log in") }, 1,
			[]string{"integrity mismatch", "HTML page"}},
		{"empty", func(w http.ResponseWriter, r *http.Request, n int) {}, 1, []string{"integrity mismatch"}},
		{"redirects without end", func(w http.ResponseWriter, r *http.Request, n int) { http.Redirect(w, r, "/file", 302) }, 10, []string{"more than 10 redirects"}},
		{"redirect to another scheme", func(w http.ResponseWriter, r *http.Request, n int) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		}, 1, []string{`a redirect to the scheme "file"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) { tt.serve(w, r, int(n.Add(1))) })
			var lines bytes.Buffer
			out, err := do(t, fetcher(t, fetch.Settings{}, quick), fetch.Env{Log: &lines}, file("pkg@1", srv.URL+"/file", data))
			if got := int(n.Load()); got != tt.requests {
				t.Errorf("%d requests, want %d", got, tt.requests)
			}
			if tt.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				if got := read(t, out, "f"); got != string(data) {
					t.Errorf("got %q", got)
				}
				return
			}
			var fe *fetch.Error
			if !errors.As(err, &fe) {
				t.Fatalf("got %v (%T)", err, err)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q lacks %q", err, w)
				}
			}
			if entries, _ := os.ReadDir(out); len(entries) > 0 {
				t.Errorf("the output has %v", entries)
			}
			if n := strings.Count(lines.String(), "trying again"); n != tt.requests-1 && tt.requests == 3 {
				t.Errorf("%d lines about retries in %q", n, lines.String())
			}
		})
	}
}

func TestAlternatives(t *testing.T) {
	data := []byte("content")
	var seen []string
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.Path)
		switch r.URL.Path {
		case "/404", "/410":
			code, _ := strconv.Atoi(r.URL.Path[1:])
			w.WriteHeader(code)
		case "/500":
			w.WriteHeader(500)
		default:
			w.Write(data)
		}
	})
	f := fetcher(t, fetch.Settings{}, quick)
	it := file("pkg", "", data)
	it.URLs = []string{srv.URL + "/404", srv.URL + "/410", srv.URL + "/good", srv.URL + "/never"}
	if _, err := do(t, f, fetch.Env{}, it); err != nil {
		t.Error(err)
	}
	if got := strings.Join(seen, " "); got != "/404 /410 /good" {
		t.Errorf("requests: %s", got)
	}
	it.URLs = []string{srv.URL + "/404", srv.URL + "/410"}
	if _, err := do(t, f, fetch.Env{}, it); err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "410") {
		t.Errorf("got %v, want both answers", err)
	}
	it.URLs = []string{srv.URL + "/500", srv.URL + "/good"}
	if _, err := do(t, f, fetch.Env{}, it); err == nil {
		t.Error("a broken server was passed over silently")
	}
}

func TestRefused(t *testing.T) {
	const u = "https://registry.example.com/p.tgz"
	good := []string{"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="}
	for want, it := range map[string]action.Item{
		"no integrity is given":          {URLs: []string{u}, Dests: []string{"x"}},
		"malformed integrity":            {URLs: []string{u}, Dests: []string{"x"}, Integrity: []string{"sha512-x"}},
		"no URL":                         {Dests: []string{"x"}, Integrity: good},
		"not an http or https URL":       {URLs: []string{"file:///etc/passwd"}, Dests: []string{"x"}, Integrity: good},
		"no destination":                 {URLs: []string{u}, Integrity: good},
		`has an element ".."`:            {URLs: []string{u}, Dests: []string{"../x"}, Integrity: good},
		"is absolute":                    {URLs: []string{u}, Dests: []string{"/x"}, Integrity: good},
		"output directory itself":        {URLs: []string{u}, Dests: []string{"."}, Integrity: good},
		"more than permission bits":      {URLs: []string{u}, Dests: []string{"x"}, Integrity: good, Mode: 0o4755},
		"unknown archive format \"rar\"": {URLs: []string{u}, Dests: []string{"x"}, Integrity: good, Unpack: &action.Unpack{Format: "rar"}},
	} {
		it.Name = "pkg@1"
		_, err := do(t, fetcher(t, fetch.Settings{}, quick), fetch.Env{}, it)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "pkg@1: ") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestConflictsAndArchives(t *testing.T) {
	pkg := tgz(map[string]string{"p/a": "A"})
	evil := tgz(map[string]string{"p/../../a": "A"})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/evil" {
			w.Write(evil)
		} else {
			w.Write(pkg)
		}
	})
	f := fetcher(t, fetch.Settings{}, quick)
	item := func(name, path string, data []byte, dest string) action.Item {
		return action.Item{Name: name, URLs: []string{srv.URL + path}, Integrity: sri(data), Dests: []string{dest}, Unpack: &action.Unpack{Format: "tar", Strip: 1}}
	}
	_, err := do(t, f, fetch.Env{}, item("one@1", "/1", pkg, "d"), item("two@2", "/2", pkg, "d"))
	var ce *place.ConflictError
	if !errors.As(err, &ce) || !strings.Contains(err.Error(), `archive entry "p/a": d/a: is written twice`) {
		t.Errorf("got %v", err)
	}
	_, err = do(t, f, fetch.Env{}, item("evil@1", "/evil", evil, "d"))
	var ue *unpack.Error
	if !errors.As(err, &ue) || !strings.Contains(err.Error(), "evil@1") || !strings.Contains(err.Error(), `"p/../../a"`) {
		t.Errorf("got %v", err)
	}
}

// TestCredentials sends one to its host only, and never into a message.
func TestCredentials(t *testing.T) {
	const secret = "Bearer s3cr3t"
	data := []byte("private")
	var other, same atomic.Value
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		other.Store(r.Header.Get("Authorization") + r.Header.Get("Referer"))
		w.Write(data)
	})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != secret {
			w.WriteHeader(401)
			return
		}
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, elsewhere.URL+"/signed?token=t0ken", 302)
		case "/here":
			http.Redirect(w, r, "/end", 302)
		case "/end":
			same.Store("yes")
			w.Write(data)
		}
	})
	f := fetcher(t, fetch.Settings{}, quick)
	auth := func(name string) (string, error) {
		if name != "npm" {
			return "", fs.ErrNotExist
		}
		return secret + "\n", nil
	}
	for _, path := range []string{"/away", "/here"} {
		it := file("p@1", srv.URL+path, data)
		it.Auth = "npm"
		if _, err := do(t, f, fetch.Env{Auth: auth}, it); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got := other.Load(); got != "" {
		t.Errorf("the other host got %q", got)
	}
	if same.Load() == nil {
		t.Error("the same host's redirect was not followed with the credential")
	}

	elsewhere.Close()
	for _, tt := range []struct{ url, auth, want string }{
		{srv.URL + "/end", "", "wants a credential"},
		{srv.URL + "/end", "pypi", `the credential "pypi" can't be read`},
		{srv.URL + "/away?x=s3cr3t#s3cr3t", "npm", "connection refused"},
		{strings.Replace(srv.URL, "http://", "http://u:s3cr3t@", 1) + "/end", "", "401 Unauthorized"},
	} {
		it := file("p@1", tt.url, data)
		it.Auth = tt.auth
		var lines bytes.Buffer
		_, err := do(t, f, fetch.Env{Auth: auth, Log: &lines}, it)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
			continue
		}
		for _, hidden := range []string{"s3cr3t", "t0ken"} {
			if strings.Contains(err.Error()+lines.String(), hidden) {
				t.Errorf("a secret is in %q or %q", err, lines.String())
			}
		}
	}
	it := file("p@1", srv.URL+"/end", data)
	it.Auth = "npm"
	_, err := do(t, f, fetch.Env{Auth: func(string) (string, error) { return "bad\r\nX-Evil: 1", nil }}, it)
	if err == nil || strings.Contains(err.Error(), "Evil") {
		t.Errorf("got %v", err)
	}
	if _, err := do(t, f, fetch.Env{}, it); err == nil || !strings.Contains(err.Error(), "not available") {
		t.Errorf("got %v", err)
	}
}

func TestCAAndHTTP2(t *testing.T) {
	data := []byte("content")
	var proto atomic.Value
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto.Store(r.Proto)
		w.Write(data)
	}))
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	it := file("p", srv.URL+"/f", data)
	if _, err := do(t, fetcher(t, fetch.Settings{CA: ca}, quick), fetch.Env{}, it); err != nil {
		t.Error(err)
	}
	if got := proto.Load(); got != "HTTP/2.0" {
		t.Errorf("protocol %v", got)
	}
	_, err := do(t, fetcher(t, fetch.Settings{}, quick), fetch.Env{}, it)
	if err == nil || !strings.Contains(err.Error(), "certificate authority") || strings.Contains(err.Error(), "tried") {
		t.Errorf("got %v", err)
	}
	if _, err := fetch.New(fetch.Settings{CA: "rubbish"}, quick); err == nil {
		t.Error("a rubbish CA bundle was accepted")
	}
}

func TestProxy(t *testing.T) {
	data := []byte("content")
	var via atomic.Value
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		via.Store(r.URL.String() + " " + r.Header.Get("Proxy-Authorization"))
		w.Write(data)
	})
	u, _ := url.Parse(proxy.URL)
	u.User = url.UserPassword("me", "pw")
	s, err := fetch.ParseSettings(fmt.Appendf(nil, `{"env":{"http_proxy":%q,"NO_PROXY":"direct.example.com"},"later":1}`, u))
	if err != nil {
		t.Fatal(err)
	}
	f := fetcher(t, s, quick)
	if _, err := do(t, f, fetch.Env{}, file("p", "http://registry.example.com/f", data)); err != nil {
		t.Error(err)
	}
	if got, want := via.Load(), "http://registry.example.com/f Basic "+base64.StdEncoding.EncodeToString([]byte("me:pw")); got != want {
		t.Errorf("the proxy saw %q, want %q", got, want)
	}
	via.Store("")
	if _, err := do(t, f, fetch.Env{}, file("p", "http://direct.example.com/f", data)); err == nil || via.Load() != "" {
		t.Errorf("NO_PROXY was not honoured: %v, %q", err, via.Load())
	}
	for _, bad := range []string{`{"env":{"HTTPS_PROXY":"http://me:pa%zzss@["}}`, `{"env":`, `[]`} {
		s, err := fetch.ParseSettings([]byte(bad))
		if err == nil {
			_, err = fetch.New(s, quick)
		}
		if err == nil || strings.Contains(err.Error(), "zzss") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

// TestConnections makes a hundred downloads and counts the connections.
func TestConnections(t *testing.T) {
	var mu sync.Mutex
	conns := 0
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			mu.Lock()
			conns++
			mu.Unlock()
		}
	}
	srv.Start()
	defer srv.Close()
	opt := quick
	opt.Parallel = 4
	f := fetcher(t, fetch.Settings{}, opt)
	for range 4 {
		var items []action.Item
		for i := range 25 {
			path := fmt.Sprintf("/%d", i)
			it := file(path, srv.URL+path, []byte(path))
			it.Dests = []string{path[1:]}
			items = append(items, it)
		}
		if _, err := do(t, f, fetch.Env{}, items...); err != nil {
			t.Fatal(err)
		}
	}
	if conns > 2*opt.Parallel { // a connection can become free while another is being made
		t.Errorf("%d connections for 100 downloads, at most 4 at a time", conns)
	}
}

// TestSeveralFailures reports what failed in the order of the items.
func TestSeveralFailures(t *testing.T) {
	var barrier sync.WaitGroup
	barrier.Add(2)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		barrier.Done()
		barrier.Wait()
		w.WriteHeader(404)
	})
	a, b := file("a@1", srv.URL+"/a", nil), file("b@1", srv.URL+"/b", nil)
	b.Dests = []string{"g"}
	_, err := do(t, fetcher(t, fetch.Settings{}, quick), fetch.Env{}, a, b)
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "a@1: ") || !strings.HasPrefix(lines[1], "b@1: ") {
		t.Errorf("got %q", lines)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the user said so")
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cancel(cause)
		<-r.Context().Done()
	})
	err := fetcher(t, fetch.Settings{}, fetch.Options{}).Do(ctx, &action.Fetch{Items: []action.Item{file("a", srv.URL, nil)}}, fetch.Env{OutDir: t.TempDir()})
	if err == nil || !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func TestTooLong(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		w.Write(make([]byte, 5000))
	})
	opt := quick
	opt.MaxDownload = 1000
	for _, path := range []string{"/length", "/chunked"} {
		_, err := do(t, fetcher(t, fetch.Settings{}, opt), fetch.Env{}, file("a", srv.URL+path, nil))
		if err == nil || !strings.Contains(err.Error(), "limit") || strings.Contains(err.Error(), "tried") {
			t.Errorf("got %v", err)
		}
	}
}
