// What gomod takes from the host's configuration.
package gomod

import (
	"io/fs"
	"os"

	"github.com/mergefest/mergefest/internal/goproxy"
)

// Env says where modules come from.
type Env struct {
	GOPROXY   string
	GONOPROXY string // "go env" derives it from GOPRIVATE
	// ModCache is the host's GOMODCACHE, from which modules are taken that no proxy serves; nil
	// refuses them. Local nodes name it ModCacheRoot.
	ModCache fs.FS
}

// EnvNames are the values of "go env" that NewEnv needs.
var EnvNames = []string{"GOPROXY", "GONOPROXY", "GOAUTH", "GOMODCACHE"}

// NewEnv takes an Env from values of "go env", and the logins of proxies from .netrc where GOAUTH
// says so. environ is the go command's environment; nil is the process's.
func NewEnv(values map[string]string, environ []string) Env {
	return Env{
		GOPROXY: goproxy.WithNetrc(values["GOPROXY"], values["GOAUTH"], environ), GONOPROXY: values["GONOPROXY"],
		ModCache: os.DirFS(values["GOMODCACHE"]),
	}
}

// ProxyError says why a module can not be downloaded.
type ProxyError = goproxy.Error
