// Package goproxy reads GOPROXY: where Go modules are downloaded from, and with which credential.
package goproxy

import (
	"encoding/base64"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// Error says why a module can not be downloaded.
type Error struct {
	Module module.Version // zero if no module can be
	Msg    string
	Hint   string
}

func (e *Error) Error() string {
	s := e.Msg
	if e.Module.Path != "" {
		s = e.Module.String() + ": " + s
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// List is a parsed GOPROXY. It is immutable.
type List struct {
	urls   []string // without credentials and without a slash at the end
	any    []bool   // a "|" stands behind the URL
	auth   string   // name of the secret
	host   string   // of the one URL that it is for
	secret []byte   // its value
	direct bool     // "direct" was in the list
	off    bool
	bad    error // why none can be used
}

const directHint = "set GOPROXY to a module proxy that serves it, replace it by a local directory, or vendor it (go mod vendor)"

// Parse reads a list as the go command does: behind a "," the next proxy is asked when the module
// isn't there, behind a "|" after any failure. A list that can't be used is reported when it is.
func Parse(goproxy string) *List {
	p := &List{}
	for s, sep := range entries(goproxy) {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if s == "direct" || s == "off" {
			p.direct, p.off = s == "direct", s == "off"
			break // what follows either is never reached
		}
		if err := p.add(s); err != nil {
			p.bad = err
			return p
		}
		p.any = append(p.any, sep == "|")
	}
	if !slices.Contains(p.any, true) {
		p.any = nil
	}
	return p
}

// entries splits a list; each entry comes with the separator behind it, empty behind the last one.
func entries(list string) iter.Seq2[string, string] {
	return func(yield func(entry, sep string) bool) {
		for list != "" {
			entry, sep := list, ""
			if i := strings.IndexAny(list, ",|"); i >= 0 {
				entry, sep = list[:i], list[i:i+1]
			}
			list = list[len(entry)+len(sep):]
			if !yield(entry, sep) {
				return
			}
		}
	}
}

func (p *List) add(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return &Error{Msg: fmt.Sprintf("GOPROXY has an invalid URL %q", redact(s)), Hint: "correct it with: go env -w GOPROXY=…"}
	}
	switch u.Scheme {
	case "http", "https":
	case "":
		return &Error{Msg: fmt.Sprintf("GOPROXY %q has no scheme", redact(s)), Hint: "put https:// before it"}
	default:
		return &Error{Msg: fmt.Sprintf("GOPROXY of scheme %q is not supported", u.Scheme), Hint: "http and https are; serve the directory by HTTP"}
	}
	if u.User != nil && u.Scheme == "http" {
		return &Error{Msg: fmt.Sprintf("GOPROXY %s: refusing to pass credentials to insecure URL", redact(s)), Hint: "use https, as the go command asks for"}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		header := "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
		if p.auth != "" && (p.host != u.Host || string(p.secret) != header) {
			return &Error{Msg: "GOPROXY has credentials for several proxies", Hint: "give credentials for one of them"}
		}
		p.auth, p.host, p.secret = "goproxy."+u.Host, u.Host, []byte(header)
		u.User = nil
	}
	p.urls = append(p.urls, strings.TrimRight(u.String(), "/"))
	return nil
}

// redact drops what may be a password.
func redact(s string) string {
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			return scheme + "://" + rest[at+1:]
		}
		return s
	}
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		return s[at+1:]
	}
	return s
}

// Auth names the secret with the credential for the URLs; it is empty if they need none.
func (p *List) Auth() string { return p.auth }

// AuthHost is the host that the credential is for; empty if it is that of all URLs.
func (p *List) AuthHost() string {
	if len(p.urls) < 2 {
		return ""
	}
	return p.host
}

// Secrets are the values of the secrets that Auth names: complete Authorization headers.
func (p *List) Secrets() map[string][]byte {
	if p.auth == "" {
		return nil
	}
	return map[string][]byte{p.auth: p.secret}
}

// AnyFailure says for each URL whether the next is tried after any failure; see action.Item.
func (p *List) AnyFailure() []bool { return slices.Clone(p.any) }

// URLs are the proxies of the list, without credentials and without a slash at the end.
func (p *List) URLs() []string { return slices.Clone(p.urls) }

// For gives the URL prefixes under which m's files are ("…/@v/"), or why there are none. noproxy
// is GONOPROXY. The error is an *Error, or one of a malformed path.
func (p *List) For(m module.Version, noproxy string) ([]string, error) {
	switch {
	case noproxy != "none" && module.MatchPrefixPatterns(noproxy, m.Path):
		return nil, &Error{Module: m, Msg: "GOPRIVATE or GONOPROXY asks for a direct download from version control, which is not supported", Hint: directHint}
	case p.bad != nil:
		return nil, p.bad
	case len(p.urls) == 0 && p.off:
		return nil, &Error{Module: m, Msg: "module lookup disabled by GOPROXY=off", Hint: "set GOPROXY to a module proxy, or vendor the modules (go mod vendor)"}
	case len(p.urls) == 0 && p.direct:
		return nil, &Error{Module: m, Msg: "GOPROXY=direct asks for a download from version control, which is not supported", Hint: directHint}
	case len(p.urls) == 0:
		return nil, &Error{Module: m, Msg: "GOPROXY list is not the empty string, but contains no entries", Hint: "set it to a module proxy"}
	}
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(p.urls))
	for i, u := range p.urls {
		out[i] = u + "/" + escaped + "/@v/"
	}
	return out, nil
}
