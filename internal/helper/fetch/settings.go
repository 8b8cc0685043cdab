// The network settings that a client hands to the engine beside the build.

package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// Settings are what the network of the place needs. They are part of no key.
type Settings struct {
	// CA holds PEM certificates of authorities that are trusted besides the system's.
	CA string `json:"ca,omitempty"`
	// CAFile is a file with further ones, on the machine of the process that fetches, and CADigest the
	// SHA-256 of its content in hex. It spares an engine that fetches in a process of the client's
	// machine the bundle in each of its ops' secrets.
	CAFile   string `json:"caFile,omitempty"`
	CADigest string `json:"caDigest,omitempty"`
	// Env holds the proxy variables as the client has them: HTTP_PROXY, HTTPS_PROXY and NO_PROXY,
	// or in lower case. Others are ignored.
	Env map[string]string `json:"env,omitempty"`
}

// ParseSettings decodes a settings document, the JSON form of Settings. Fields that aren't known
// are ignored, since the client can be newer than the helper.
func ParseSettings(doc []byte) (Settings, error) {
	var s Settings
	if err := json.Unmarshal(doc, &s); err != nil {
		// The document can hold a proxy's password: its text isn't repeated.
		return Settings{}, errors.New("the network settings are not a valid JSON document")
	}
	return s, nil
}

// authorities returns all certificates.
func (s Settings) authorities() (string, error) {
	if s.CAFile == "" {
		return s.CA, nil
	}
	data, err := os.ReadFile(s.CAFile)
	if err != nil {
		return "", fmt.Errorf("the bundle of certificate authorities: %w", err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != s.CADigest {
		return "", fmt.Errorf("the bundle of certificate authorities %s changed while it was used; build again", s.CAFile)
	}
	return s.CA + "\n" + string(data), nil
}

// proxies returns the function that chooses a proxy for a URL.
func (s Settings) proxies() (func(*url.URL) (*url.URL, error), error) {
	get := func(name string) string {
		if v := s.Env[name]; v != "" {
			return v
		}
		return s.Env[strings.ToLower(name)]
	}
	cfg := httpproxy.Config{HTTPProxy: get("HTTP_PROXY"), HTTPSProxy: get("HTTPS_PROXY"), NoProxy: get("NO_PROXY")}
	for name, value := range map[string]string{"HTTP_PROXY": cfg.HTTPProxy, "HTTPS_PROXY": cfg.HTTPSProxy} {
		if value == "" {
			continue
		}
		// Checked here because the error of a later use would repeat the value and its password.
		u, err := url.Parse(value)
		if err != nil || u.Host == "" {
			u, err = url.Parse("http://" + value)
		}
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("the value of %s is not a proxy's URL", name)
		}
	}
	return cfg.ProxyFunc(), nil
}
