// A registry on the loopback interface: made-up packages, and a cache in front of the real registry.
// It makes all contestants download the same bytes from the same place.

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// madeUp begins the names of packages that only this registry has.
const madeUp = "mergefest-bench-"

// registry serves tarballs.
type registry struct {
	url      string // without a final slash
	upstream string // likewise
	dir      string // downloaded files, by the digest of their path
	srv      *http.Server
}

func serveRegistry(dir, upstream string) (*registry, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &registry{url: "http://" + l.Addr().String(), upstream: strings.TrimSuffix(upstream, "/"), dir: dir}
	r.srv = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(r.serve)}
	go r.srv.Serve(l) // ends with Close
	return r, nil
}

// Close ends the service.
func (r *registry) Close() error { return r.srv.Close() }

// tarballURL is where this registry has a version of a package.
func (r *registry) tarballURL(name, version string) string {
	return fmt.Sprintf("%s/%s/-/%s-%s.tgz", r.url, name, path.Base(name), version)
}

func (r *registry) serve(w http.ResponseWriter, req *http.Request) {
	base := path.Base(req.URL.Path)
	if strings.HasPrefix(base, madeUp) {
		data, err := madeUpTarball(strings.TrimSuffix(base, ".tgz"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.ServeContent(w, req, base, time.Time{}, bytes.NewReader(data))
		return
	}
	file, err := r.file(req.Context(), req.URL.EscapedPath())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	http.ServeFile(w, req, file)
}

// file returns the file with what is at a path of the upstream registry.
func (r *registry) file(ctx context.Context, urlPath string) (string, error) {
	sum := sha256.Sum256([]byte(urlPath))
	name := filepath.Join(r.dir, hex.EncodeToString(sum[:])+".tgz")
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.upstream+urlPath, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", urlPath, res.Status)
	}
	tmp, err := os.CreateTemp(r.dir, ".new-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if _, err := io.Copy(tmp, res.Body); err != nil {
		return "", fmt.Errorf("%s: %w", urlPath, err)
	}
	if err := tmp.Close(); err != nil {
		return "", err
	}
	return name, os.Rename(tmp.Name(), name)
}

// fill downloads in advance.
func (r *registry) fill(ctx context.Context, urls []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, u := range urls {
		if p, ok := strings.CutPrefix(u, r.url); ok {
			g.Go(func() error {
				_, err := r.file(ctx, p)
				return err
			})
		}
	}
	return g.Wait()
}

// madeUpTarball makes the package with the name and version of "NAME-VERSION": 60 modules of 4 kB,
// of which each differs from those of another version.
func madeUpTarball(nameVersion string) ([]byte, error) {
	i := strings.LastIndexByte(nameVersion, '-')
	if i < 0 {
		return nil, fmt.Errorf("%q isn't NAME-VERSION", nameVersion)
	}
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	w := tar.NewWriter(zip)
	add := func(name, text string) error {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "package/" + name, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.WriteString(w, text)
		return err
	}
	err := add("package.json", fmt.Sprintf("{\n  \"name\": %q,\n  \"version\": %q\n}\n", nameVersion[:i], nameVersion[i+1:]))
	for n := 0; n < 60 && err == nil; n++ {
		line := fmt.Sprintf("exports.f%d = () => %q\n", n, nameVersion)
		err = add(fmt.Sprintf("lib/m%d.js", n), strings.Repeat(line, 4096/len(line)))
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// integrity is the subresource integrity of a file.
func integrity(data []byte) string {
	sum := sha512.Sum512(data)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}
