// What a caller says about the engine it wants.

package engine

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options choose an engine. The zero value is the embedded engine with the default state
// directory, which must run already because ServeCommand is empty.
type Options struct {
	// URL is the address of a BuildKit; empty is the embedded engine. Forms: unix:///path,
	// tcp://host:port, docker-container://name, podman-container://name, nerdctl-container://name,
	// kube-pod://pod?namespace=…&container=…, ssh://user@host. A tcp URL may carry the query
	// parameters cacert, cert, key and servername, which go before TLS.
	URL string
	// TLS secures tcp URLs.
	TLS TLS

	// StateDir is the embedded engine's directory; empty is DefaultStateDir. It is made if it
	// doesn't exist.
	StateDir string
	// ServeCommand is the program and its first arguments that serve the embedded engine; flags
	// are appended (see embedded.Main). Empty: never start one.
	ServeCommand []string
	// Idle is after how long without clients a newly started embedded engine stops; 0 is the
	// engine's default, negative is never.
	Idle time.Duration
	// CacheLimit is how many bytes a newly started embedded engine keeps; 0 is the engine's
	// default.
	CacheLimit int64

	// Log receives remarks for people, one line each without a newline: that another process is
	// waited for, that an outdated engine is replaced. nil drops them.
	Log func(string)
}

// TLS are the files of a secured connection, in PEM. The zero value is an unsecured one.
type TLS struct {
	CACert     string // authorities that the server's certificate is checked against
	Cert, Key  string // the client's own certificate
	ServerName string // expected name in the server's certificate; empty is the URL's host
}

func (t TLS) isZero() bool { return t == TLS{} }

// FromEnvironment fills the fields that are still empty from BUILDKIT_HOST (the URL),
// BUILDKIT_TLS_CACERT, BUILDKIT_TLS_CERT, BUILDKIT_TLS_KEY and BUILDKIT_TLS_SERVER_NAME, and from
// MERGEFEST_STATE. Open itself doesn't read the environment. getenv is os.Getenv but in tests.
func (o Options) FromEnvironment(getenv func(string) string) Options {
	set := func(field *string, name string) {
		if *field == "" {
			*field = getenv(name)
		}
	}
	set(&o.URL, "BUILDKIT_HOST")
	set(&o.TLS.CACert, "BUILDKIT_TLS_CACERT")
	set(&o.TLS.Cert, "BUILDKIT_TLS_CERT")
	set(&o.TLS.Key, "BUILDKIT_TLS_KEY")
	set(&o.TLS.ServerName, "BUILDKIT_TLS_SERVER_NAME")
	set(&o.StateDir, "MERGEFEST_STATE")
	return o
}

// DefaultStateDir is $XDG_STATE_HOME/mergefest, or ~/.local/state/mergefest.
func DefaultStateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mergefest"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no state directory: neither XDG_STATE_HOME nor HOME is set; set one, or MERGEFEST_STATE")
	}
	return filepath.Join(home, ".local", "state", "mergefest"), nil
}

// stateDir is the absolute state directory of the options.
func (o Options) stateDir() (string, error) {
	dir := o.StateDir
	if dir == "" {
		return DefaultStateDir()
	}
	return filepath.Abs(dir)
}

// Schemes lists the URL schemes that Open understands.
func Schemes() []string {
	return []string{"docker-container", "kube-pod", "nerdctl-container", "podman-container", "ssh", "tcp", "unix"}
}

// remote splits the TLS parameters from a URL and checks the rest.
func (o Options) remote() (string, TLS, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return "", TLS{}, &URLError{URL: o.URL, Err: errors.Unwrap(err)}
	}
	if !slices.Contains(Schemes(), u.Scheme) {
		return "", TLS{}, &URLError{URL: o.URL, Err: fmt.Errorf("the scheme must be one of %s", strings.Join(Schemes(), ", "))}
	}
	t := o.TLS
	if u.Scheme != "tcp" {
		return o.URL, TLS{}, nil
	}
	q := u.Query()
	for name, field := range map[string]*string{"cacert": &t.CACert, "cert": &t.Cert, "key": &t.Key, "servername": &t.ServerName} {
		if v := q.Get(name); v != "" {
			*field = v
		}
		q.Del(name)
	}
	if len(q) > 0 {
		return "", TLS{}, &URLError{URL: o.URL, Err: errors.New("a tcp URL knows the parameters cacert, cert, key and servername")}
	}
	if u.Host == "" {
		return "", TLS{}, &URLError{URL: o.URL, Err: errors.New("the host is missing")}
	}
	u.RawQuery = ""
	return u.String(), t, nil
}
