// The errors of downloads.

package fetch

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Error is a download or an item that failed.
type Error struct {
	Item     string // Item.Name
	URL      string // without credentials and query; empty if no URL is concerned
	Status   int    // of the HTTP response, or 0
	Attempts int    // how often it was tried, or 0
	Err      error
	Hint     string // what to do, or empty
}

// Error has the form "item: url: cause (tried n times); hint".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Item)
	if e.URL != "" {
		b.WriteString(": " + e.URL)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (tried %d times)", e.Attempts)
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// StatusError is an HTTP response that isn't a success.
type StatusError struct {
	Code int
	Text string // what a text/plain body says first, or empty
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%d %s", e.Code, http.StatusText(e.Code))
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// ErrStalled means that no byte arrived for the time that Options.Stall allows.
var ErrStalled = errors.New("the server sent nothing for too long")

// Redact drops from a URL what may be secret: user information, query and fragment.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(a URL that can't be parsed)"
	}
	return redactURL(u)
}

func redactURL(u *url.URL) string {
	c := *u
	c.User, c.Fragment, c.RawFragment = nil, "", ""
	c.RawQuery, c.ForceQuery = "", false
	return c.String()
}

// hint says what a user can do about an error of a download.
func hint(err error, auth string) string {
	var st *StatusError
	if errors.As(err, &st) {
		return statusHint(st.Code, auth)
	}
	var cert *tls.CertificateVerificationError
	text := err.Error()
	switch {
	case errors.Is(err, ErrStalled):
		return "check the network, or the server's health, and try again"
	case errors.As(err, &cert):
		return "if the connection is inspected by a proxy of your site, add its certificate authority to the system's or name it in SSL_CERT_FILE"
	case strings.Contains(text, "no such host"), strings.Contains(text, "connection refused"), strings.Contains(text, "network is unreachable"):
		return "check the network and the proxy settings (HTTPS_PROXY, NO_PROXY)"
	}
	return ""
}

func statusHint(code int, auth string) string {
	switch {
	case (code == http.StatusUnauthorized || code == http.StatusForbidden) && auth != "":
		return fmt.Sprintf("the credential %q was refused: check that it is valid and may read this package", auth)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return "the server wants a credential, and none is configured for it"
	case code == http.StatusNotFound || code == http.StatusGone:
		return "the lockfile names a version that the server doesn't have: check the name and the server, or update the lockfile"
	case code == http.StatusProxyAuthRequired:
		return "the proxy wants a user name and a password: put them into HTTPS_PROXY"
	case code == http.StatusTooManyRequests:
		return "the server limits the rate of requests: try again later, or use a mirror"
	case code >= 500:
		return "the server has a problem: try again later, or use a mirror"
	}
	return ""
}
