// A module proxy on the loopback interface: made-up modules, and what the host's module cache
// holds. It makes all contestants download the same bytes from the same place.

package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	modzip "golang.org/x/mod/zip"
)

// proxy serves the protocol of GOPROXY, which is a directory tree over HTTP.
type proxy struct {
	url string
	dir string
	srv *http.Server
}

// serveProxy serves dir, and behind it the downloads of a module cache.
func serveProxy(dir, modCache string) (*proxy, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	trees := []http.Dir{http.Dir(dir), http.Dir(filepath.Join(modCache, "cache", "download"))}
	p := &proxy{url: "http://" + l.Addr().String(), dir: dir}
	p.srv = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, t := range trees {
			f, err := t.Open(r.URL.Path)
			if err != nil {
				continue
			}
			defer f.Close()
			if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() {
				http.ServeContent(w, r, "", time.Time{}, f)
				return
			}
		}
		http.NotFound(w, r)
	})}
	go p.srv.Serve(l) // ends with Close
	return p, nil
}

// Close ends the service.
func (p *proxy) Close() error { return p.srv.Close() }

// publish adds a version of a module and returns its lines of go.sum.
func (p *proxy) publish(path, version string, files map[string]string) (string, error) {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var list []modzip.File
	for _, name := range names {
		list = append(list, memFile{name, files[name]})
	}
	v := module.Version{Path: path, Version: version}
	var buf bytes.Buffer
	if err := modzip.Create(&buf, v, list); err != nil {
		return "", err
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		return "", err
	}
	base := filepath.Join(p.dir, path, "@v", version)
	for ext, text := range map[string]string{".info": string(info), ".mod": files["go.mod"], ".zip": buf.String()} {
		if err := writeFile(base+ext, text); err != nil {
			return "", err
		}
	}
	zipSum, err := dirhash.HashZip(base+".zip", dirhash.Hash1)
	if err != nil {
		return "", err
	}
	modSum, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(files["go.mod"])), nil
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", path, version, zipSum, path, version, modSum), nil
}

// memFile is a file of a module zip.
type memFile struct{ name, text string }

func (f memFile) Path() string { return f.name }
func (f memFile) Lstat() (os.FileInfo, error) {
	h := &zip.FileHeader{Name: f.name, UncompressedSize64: uint64(len(f.text))}
	h.SetMode(0o644)
	return h.FileInfo(), nil
}
func (f memFile) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(f.text)), nil }
