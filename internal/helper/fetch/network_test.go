// Credentials, certificates, proxies and connections.

package fetch_test

import (
	"bytes"
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
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	digest "github.com/opencontainers/go-digest"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/fetch"
)

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

	// A credential for one host of several.
	for _, u := range []string{elsewhere.URL, srv.URL + "/end"} {
		it := file("p@1", u, data)
		it.Auth, it.AuthHost = "npm", strings.TrimPrefix(srv.URL, "http://")
		if _, err := do(t, f, fetch.Env{Auth: auth}, it); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
	if got := other.Load(); got != "" {
		t.Errorf("the other host got %q", got)
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
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, []byte(ca), 0o644); err != nil {
		t.Fatal(err)
	}
	s := fetch.Settings{CAFile: bundle, CADigest: digest.FromString(ca).Encoded()}
	if _, err := do(t, fetcher(t, s, quick), fetch.Env{}, it); err != nil {
		t.Errorf("the authority in a file: %v", err)
	}
	s.CADigest = digest.FromString("x").Encoded()
	if _, err := fetch.New(s, quick); err == nil || !strings.Contains(err.Error(), bundle+" changed") {
		t.Errorf("a bundle with another content: %v", err)
	}
	s.CAFile += "x"
	if _, err := fetch.New(s, quick); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing bundle: %v", err)
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
