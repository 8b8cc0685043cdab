// What fetch nodes need to know of the network they are in: the site's certificate authorities and
// proxies. It travels as a secret, because it says how to reach a registry and never what comes
// from it, so it must not be in a key.
package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	digest "github.com/opencontainers/go-digest"
)

// networkSecret is the name of the secret; docs/architecture.md describes the document.
const networkSecret = "mergefest.net"

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

// proxyVars are the variables that net/http and most tools read, in both spellings.
var proxyVars = [...]string{
	"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy",
}

// networkSettings makes the document from the host's configuration. getenv is os.Getenv. If all
// fetches run in a process of this machine, it names the bundle of authorities in place of holding it:
// the engine asks for the document once for each of thousands of fetches.
func networkSettings(getenv func(string) string, here bool) ([]byte, error) {
	file, ca, err := caBundle(getenv("SSL_CERT_FILE"))
	if err != nil {
		return nil, err
	}
	doc := struct {
		CA       string            `json:"ca,omitempty"`
		CAFile   string            `json:"caFile,omitempty"`
		CADigest string            `json:"caDigest,omitempty"`
		Env      map[string]string `json:"env,omitempty"`
	}{Env: map[string]string{}}
	if here && len(ca) > 0 {
		if doc.CAFile, err = filepath.Abs(file); err != nil {
			return nil, err
		}
		doc.CADigest = digest.FromBytes(ca).Encoded()
	} else {
		doc.CA = string(ca)
	}
	for _, name := range proxyVars {
		if v := getenv(name); v != "" {
			doc.Env[name] = v
		}
	}
	out, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	if len(out) > maxSecret {
		return nil, fmt.Errorf("the bundle of certificate authorities is larger than the %d KiB that an engine accepts; set SSL_CERT_FILE to a smaller one", maxSecret>>10)
	}
	return out, nil
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
