// What nodes with a network need to know of the one they are in: the site's certificate authorities
// and proxies. It travels as secrets, because it says how to reach something and never what comes
// from there, so it must not be in a key.
package build

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	digest "github.com/opencontainers/go-digest"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/llbgen"
)

// maxSecret is the size that BuildKit allows for one secret.
const maxSecret = 500 << 10

// caFiles are where the systems that Go knows keep their bundle (crypto/x509, root_linux.go).
var caFiles = [...]string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// networkSecrets makes all secrets of the network from the host's configuration: the document for
// fetches (docs/architecture.md describes it), and what runs with a network get. getenv is os.Getenv.
// If all fetches run in a process of this machine, the document names the bundle of authorities in
// place of holding it: the engine asks for it once for each of thousands of fetches.
func networkSecrets(getenv func(string) string, here bool) (secretMap, error) {
	ca, err := findAuthorities(getenv)
	if err != nil {
		return nil, err
	}
	doc, err := networkSettings(ca, getenv, here)
	if err != nil {
		return nil, err
	}
	out := secretMap{llbgen.NetworkSecret: doc}
	for _, name := range graph.ProxyEnv() {
		if v := getenv(name); v != "" {
			out[graph.NetworkEnvSecret(name)] = []byte(v)
		}
	}
	if all := ca.all(); len(all) > 0 {
		out[graph.AuthoritiesSecret] = all
		out[graph.AuthoritiesPathSecret] = []byte(graph.AuthoritiesFile)
	}
	if len(ca.bundle) > 0 { // the extra ones alone don't replace those of an image
		out[graph.NetworkEnvSecret("SSL_CERT_FILE")] = []byte(graph.AuthoritiesFile)
	}
	for _, v := range out {
		if len(v) > maxSecret {
			return nil, fmt.Errorf("the bundle of certificate authorities is larger than the %d KiB that an engine accepts; set SSL_CERT_FILE to a smaller one", maxSecret>>10)
		}
	}
	return out, nil
}

// networkSettings makes the document for fetches.
func networkSettings(ca authorities, getenv func(string) string, here bool) ([]byte, error) {
	doc := struct {
		CA       string            `json:"ca,omitempty"`
		CAFile   string            `json:"caFile,omitempty"`
		CADigest string            `json:"caDigest,omitempty"`
		Env      map[string]string `json:"env,omitempty"`
	}{Env: map[string]string{}}
	if here && len(ca.bundle) > 0 {
		var err error
		if doc.CAFile, err = filepath.Abs(ca.file); err != nil {
			return nil, err
		}
		doc.CADigest = digest.FromBytes(ca.bundle).Encoded()
		doc.CA = string(ca.extra)
	} else {
		doc.CA = string(ca.all())
	}
	for _, name := range graph.ProxyEnv() {
		if v := getenv(name); v != "" {
			doc.Env[name] = v
		}
	}
	return json.Marshal(doc)
}

// authorities are the certificates that this machine trusts, as PEM.
type authorities struct {
	file   string // where bundle is
	bundle []byte // all that are trusted usually
	extra  []byte // what NODE_EXTRA_CA_CERTS adds to them
}

func (a authorities) all() []byte {
	if len(a.bundle) == 0 || len(a.extra) == 0 {
		return append(a.bundle[:len(a.bundle):len(a.bundle)], a.extra...)
	}
	return bytes.Join([][]byte{a.bundle, a.extra}, []byte("\n"))
}

// findAuthorities finds and reads them.
func findAuthorities(getenv func(string) string) (a authorities, err error) {
	if a.file, a.bundle, err = caBundle(getenv("SSL_CERT_FILE")); err != nil {
		return a, err
	}
	extra := getenv("NODE_EXTRA_CA_CERTS")
	if extra == "" {
		return a, nil
	}
	// Node.js goes on without a file that isn't there, and others don't read the variable at all.
	if a.extra, err = os.ReadFile(extra); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return a, fmt.Errorf("NODE_EXTRA_CA_CERTS: %w", err)
	}
	if bytes.Equal(a.extra, a.bundle) {
		a.extra = nil
	}
	return a, nil
}

// caBundle finds and reads the bundle; file is empty if there is none.
func caBundle(chosen string) (file string, data []byte, err error) {
	if chosen != "" {
		b, err := os.ReadFile(chosen)
		if err != nil {
			return "", nil, fmt.Errorf("SSL_CERT_FILE: %w", err)
		}
		return chosen, b, nil
	}
	for _, f := range caFiles {
		b, err := os.ReadFile(f)
		if err == nil {
			return f, b, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
	}
	return "", nil, nil
}
