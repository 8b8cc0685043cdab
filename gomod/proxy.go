// What gomod takes from the host's configuration.
package gomod

import "github.com/mergefest/mergefest/internal/goproxy"

// Env are the values of "go env" that say where modules come from.
type Env struct {
	GOPROXY   string
	GONOPROXY string // "go env" derives it from GOPRIVATE
}

// ProxyError says why a module can not be downloaded.
type ProxyError = goproxy.Error
