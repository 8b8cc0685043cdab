// Package fetch carries out action.Fetch: it downloads, checks, and unpacks or places.
//
// A Fetcher is made once for a set of network settings and shared by everything that uses them,
// so that connections, decompressors and buffers are shared too. It works the same in a container
// of its own and inside an engine's process: it depends on nothing of the process.
//
// Nothing of an item is visible in the output before all of it has been downloaded and its
// integrity was found right.
package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"time"

	"github.com/mergefest/mergefest/internal/helper/unpack"
)

// Options tune a Fetcher. The zero value is good for production.
type Options struct {
	// Stall is how long a connection may make no progress; 0 means 30 s.
	Stall time.Duration
	// Attempts is how often a URL is tried when the network or the server fails; 0 means 5.
	Attempts int
	// Backoff is the wait after the first failed attempt, doubled each time up to 32 times, with
	// jitter; 0 means 250 ms.
	Backoff time.Duration
	// Parallel is the number of items of one document that are in work at a time; 0 means four
	// per processor.
	Parallel int
	// Limits bound what an archive unpacks to; zero means unpack.DefaultLimits.
	Limits unpack.Limits
	// MaxDownload bounds a download, in bytes; 0 means 32 GiB.
	MaxDownload int64
	// Memory is up to which size a download is kept in memory, in bytes; 0 means 4 MiB.
	Memory int64
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Stall, 30*time.Second)
	set(&o.Backoff, 250*time.Millisecond)
	if o.Attempts == 0 {
		o.Attempts = 5
	}
	if o.Parallel == 0 {
		o.Parallel = 4 * runtime.GOMAXPROCS(0)
	}
	if o.Limits == (unpack.Limits{}) {
		o.Limits = unpack.DefaultLimits()
	}
	if o.MaxDownload == 0 {
		o.MaxDownload = 32 << 30
	}
	if o.Memory == 0 {
		o.Memory = 4 << 20
	}
	return o
}

// Fetcher downloads with one set of network settings. It is safe for concurrent use.
type Fetcher struct {
	opt    Options
	http   *http.Client
	unpack *unpack.Unpacker
	bodies bufferPool
	chunks sync.Pool // *[]byte of chunkSize
}

const chunkSize = 64 << 10

func (f *Fetcher) chunk() *[]byte {
	if b, ok := f.chunks.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, chunkSize)
	return &b
}

// New returns a Fetcher. Close it when no more downloads follow.
func New(s Settings, opt Options) (*Fetcher, error) {
	proxy, err := s.proxies()
	if err != nil {
		return nil, err
	}
	ca, err := s.authorities()
	if err != nil {
		return nil, err
	}
	roots, err := pool(ca)
	if err != nil {
		return nil, err
	}
	opt = opt.withDefaults()
	dialer := &net.Dialer{Timeout: opt.Stall, KeepAlive: 30 * time.Second}
	transport := &http.Transport{
		Proxy:               func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
		DialContext:         dialer.DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: opt.Stall,
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		// The bytes are wanted as they are stored: a server that marks a .tgz as encoded by gzip
		// must not make us unpack it before its digest is computed.
		DisableCompression: true,
		ReadBufferSize:     64 << 10,
		// Without pings a dead HTTP/2 connection would be used again by every attempt.
		HTTP2: &http.HTTP2Config{SendPingTimeout: opt.Stall / 2, PingTimeout: opt.Stall / 2},
	}
	return &Fetcher{
		opt:    opt,
		http:   &http.Client{Transport: transport, CheckRedirect: checkRedirect},
		unpack: unpack.New(opt.Limits),
	}, nil
}

// Close drops idle connections.
func (f *Fetcher) Close() { f.http.CloseIdleConnections() }

// pool returns the system's authorities and those of the settings.
func pool(pem string) (*x509.CertPool, error) {
	if pem == "" {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a container without any
	}
	if !roots.AppendCertsFromPEM([]byte(pem)) {
		return nil, errors.New("the CA bundle of the network settings has no usable certificate (want PEM)")
	}
	return roots, nil
}

const maxRedirects = 10

// redirectError is a redirect that isn't followed.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return e.reason }

// checkRedirect keeps credentials to the host that they are for. Package net/http would hand them
// to subdomains.
func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return &redirectError{fmt.Sprintf("more than %d redirects", maxRedirects)}
	}
	if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		return &redirectError{fmt.Sprintf("a redirect to the scheme %q", r.URL.Scheme)}
	}
	first := via[0].URL
	for _, u := range append([]*http.Request{r}, via[1:]...) {
		if u.URL.Host != first.Host || u.URL.Scheme != first.Scheme {
			r.Header.Del("Authorization")
			r.Header.Del("Cookie")
		}
	}
	// The previous URL may hold secrets in its query.
	r.Header.Del("Referer")
	return nil
}
