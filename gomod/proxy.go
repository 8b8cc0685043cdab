// What gomod takes from the host's configuration.
package gomod

import "github.com/mergefest/mergefest/internal/goproxy"

// Env are the values of "go env" that say where modules come from.
type Env struct {
	GOPROXY   string
	GONOPROXY string // "go env" derives it from GOPRIVATE
}

// EnvNames are the values of "go env" that NewEnv needs.
var EnvNames = []string{"GOPROXY", "GONOPROXY", "GOAUTH"}

// NewEnv takes an Env from values of "go env", and the logins of proxies from .netrc where GOAUTH
// says so. environ is the go command's environment; nil is the process's.
func NewEnv(values map[string]string, environ []string) Env {
	return Env{GOPROXY: goproxy.WithNetrc(values["GOPROXY"], values["GOAUTH"], environ), GONOPROXY: values["GONOPROXY"]}
}

// ProxyError says why a module can not be downloaded.
type ProxyError = goproxy.Error
