// Servers, plans and archives that are wrong, and what is said about them.

package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/fetch"
	"github.com/mergefest/mergefest/internal/helper/place"
	"github.com/mergefest/mergefest/internal/helper/unpack"
)

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
		t.Error("a broken server was passed over")
	}
	it.AnyFailure = []bool{true}
	var log bytes.Buffer
	if _, err := do(t, f, fetch.Env{Log: &log}, it); err != nil {
		t.Error(err)
	}
	if want := "; trying " + srv.URL + "/good"; !strings.Contains(log.String(), want) {
		t.Errorf("log %q, want %q", &log, want)
	}
	it.URLs = []string{srv.URL + "/500", srv.URL + "/404", srv.URL + "/500"}
	if _, err := do(t, f, fetch.Env{}, it); err == nil || strings.Count(err.Error(), "500") < 2 || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v, want all answers", err)
	}
}

func TestRefused(t *testing.T) {
	const u = "https://registry.example.com/p.tgz"
	good := []string{"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="}
	for want, it := range map[string]action.Item{
		"no integrity is given":          {URLs: []string{u}, Dests: []string{"x"}},
		"malformed integrity":            {URLs: []string{u}, Dests: []string{"x"}, Integrity: []string{"sha512-x"}},
		"anyFailure has 2 entries":       {URLs: []string{u}, Dests: []string{"x"}, Integrity: good, AnyFailure: []bool{true, true}},
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
