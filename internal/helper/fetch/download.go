// One download: URLs in order, attempts with growing waits, stalls, credentials.

package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mergefest/mergefest/internal/helper/integrity"
)

// request is what several items can have in common.
type request struct {
	name string // for messages
	urls []string
	any  []bool // action.Item.AnyFailure
	auth string // the name of the credential, or empty
	host string // action.Item.AuthHost
	sums []integrity.Algorithm
}

// response is what came.
type response struct {
	*body
	url  string // redacted
	sums map[integrity.Algorithm][]byte
	// local means that it is a file, and no server has sent it.
	local bool
}

// download tries the URLs in order. The next is taken only when the server says that it doesn't
// have the file (404, 410), or where the item allows it: a server may refuse a file (403) so that
// nobody asks the next one for it.
func (f *Fetcher) download(ctx context.Context, req request, env Env) (*response, error) {
	value, err := credential(req, env)
	if err != nil {
		return nil, err
	}
	var failed []error
	for i, u := range req.urls {
		res, attempts, err := f.retry(ctx, req, u, req.credential(u, value), env)
		if err == nil {
			return res, nil
		}
		e := &Error{Item: req.name, URL: Redact(u), Attempts: attempts, Err: err, Hint: hint(err, req.auth)}
		var st *StatusError
		if errors.As(err, &st) {
			e.Status = st.Code
		}
		failed = append(failed, e)
		missing := e.Status == http.StatusNotFound || e.Status == http.StatusGone
		if ctx.Err() != nil || !missing && !(i < len(req.any) && req.any[i]) {
			break
		}
		if !missing && i < len(req.urls)-1 {
			env.logf("%v; trying %s", e, Redact(req.urls[i+1]))
		}
	}
	return nil, errors.Join(failed...)
}

// credential is what a URL's server gets of the credential.
func (r request) credential(rawURL, value string) string {
	if r.host != "" {
		if u, err := url.Parse(rawURL); err != nil || u.Host != r.host {
			return ""
		}
	}
	return value
}

func credential(req request, env Env) (string, error) {
	if req.auth == "" {
		return "", nil
	}
	if env.Auth == nil {
		return "", &Error{Item: req.name, Err: fmt.Errorf("the credential %q is not available here", req.auth)}
	}
	value, err := env.Auth(req.auth)
	if err != nil {
		return "", &Error{Item: req.name, Err: fmt.Errorf("the credential %q can't be read: %w", req.auth, err),
			Hint: "make the secret of that name available to the build"}
	}
	value = strings.TrimSpace(value)
	if value == "" || strings.ContainsAny(value, "\r\n\x00") {
		return "", &Error{Item: req.name, Err: fmt.Errorf("the credential %q is not the value of an Authorization header", req.auth)}
	}
	return value, nil
}

// retry makes attempts at one URL until one succeeds or fails for good.
func (f *Fetcher) retry(ctx context.Context, req request, rawURL, auth string, env Env) (*response, int, error) {
	wait := f.opt.Backoff
	for attempt := 1; ; attempt++ {
		res, err := f.attempt(ctx, req, rawURL, auth, env)
		if err == nil {
			return res, attempt, nil
		}
		if ctx.Err() != nil {
			return nil, attempt, context.Cause(ctx)
		}
		var again *retryable
		if !errors.As(err, &again) {
			return nil, attempt, err
		}
		if attempt >= f.opt.Attempts || again.after > maxRetryAfter {
			return nil, attempt, again.err
		}
		pause := max(again.after, wait/2+rand.N(wait/2+1))
		env.logf("%s: %s: %v; trying again in %v (%d of %d)", req.name, Redact(rawURL), again.err,
			pause.Round(10*time.Millisecond), attempt+1, f.opt.Attempts)
		wait = min(2*wait, 32*f.opt.Backoff)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, attempt, context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// maxRetryAfter is the longest wait that a server may ask for.
const maxRetryAfter = 2 * time.Minute

// retryable is a failure that another attempt may mend.
type retryable struct {
	err   error
	after time.Duration // at least
}

func (r *retryable) Error() string { return r.err.Error() }
func (r *retryable) Unwrap() error { return r.err }

func (f *Fetcher) attempt(ctx context.Context, req request, rawURL, auth string, env Env) (*response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := fmt.Errorf("%w (%v)", ErrStalled, f.opt.Stall)
	timer := time.AfterFunc(f.opt.Stall, func() { cancel(stall) })
	defer timer.Stop()

	hr, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, errors.New("the URL can't be parsed")
	}
	hr.Header.Set("User-Agent", "mergefest")
	if auth != "" {
		hr.Header.Set("Authorization", auth)
	}
	resp, err := f.http.Do(hr)
	if err != nil {
		return nil, networkError(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp)
	}
	if resp.ContentLength > f.opt.MaxDownload {
		return nil, fmt.Errorf("the download has %d MB; the limit is %d MB", resp.ContentLength>>20, f.opt.MaxDownload>>20)
	}
	in := &watched{r: resp.Body, progress: func() { timer.Reset(f.opt.Stall) }, left: f.opt.MaxDownload}
	return f.receive(ctx, req, rawURL, in, resp.ContentLength, env)
}

// receive reads a response's body and computes its digests on the way.
func (f *Fetcher) receive(ctx context.Context, req request, rawURL string, in io.Reader, length int64, env Env) (*response, error) {
	rec, err := f.newReceiver(env.OutDir, length)
	if err != nil {
		rec.discard()
		return nil, err
	}
	hashes, out := req.hashes()
	buf := f.chunk()
	defer f.chunks.Put(buf)
	local, err := copyChunks(io.MultiWriter(append(out, rec)...), in, *buf)
	if err != nil {
		rec.discard()
		if local {
			return nil, err
		}
		return nil, networkError(ctx, err)
	}
	return &response{body: rec.finish(), url: Redact(rawURL), sums: hashes.sums()}, nil
}

// copyChunks is io.Copy that tells a failing writer from a failing reader.
func copyChunks(w io.Writer, r io.Reader, buf []byte) (local bool, err error) {
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return true, werr
			}
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// watched reports progress and bounds the length of a body without a declared one.
type watched struct {
	r        io.Reader
	progress func()
	left     int64
}

var errTooLong = errors.New("the download is longer than the limit")

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.progress()
		if w.left -= int64(n); w.left < 0 {
			return 0, errTooLong
		}
	}
	return n, err
}

// networkError classifies what went wrong before a response was complete, and drops the URL that
// package net/http puts into its errors, as it may hold secrets.
func networkError(ctx context.Context, err error) error {
	var ue *url.Error
	for errors.As(err, &ue) {
		err = ue.Err
	}
	if cause := context.Cause(ctx); errors.Is(cause, ErrStalled) {
		return &retryable{err: cause}
	}
	if errors.Is(err, errTooLong) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the response is truncated: %w", err)
	}
	var (
		cert *tls.CertificateVerificationError
		re   *redirectError
	)
	if errors.As(err, &cert) || errors.As(err, &re) {
		return err // will not get better
	}
	return &retryable{err: err}
}

func statusError(resp *http.Response) error {
	e := &StatusError{Code: resp.StatusCode}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		e.Text = strings.ToValidUTF8(strings.Join(strings.Fields(string(text)), " "), "")
	}
	// A body that was read to its end leaves the connection for the next request.
	io.CopyN(io.Discard, resp.Body, 16<<10)
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
	default:
		if resp.StatusCode < 500 || resp.StatusCode == http.StatusNotImplemented || resp.StatusCode == http.StatusHTTPVersionNotSupported {
			return e
		}
	}
	return &retryable{err: e, after: retryAfter(resp.Header.Get("Retry-After"))}
}

// retryAfter reads the header's two forms, seconds and a date.
func retryAfter(v string) time.Duration {
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return time.Duration(min(n, 1<<20)) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}
