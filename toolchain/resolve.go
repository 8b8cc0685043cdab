// Which Go a project asks for, and which provider has it.
package toolchain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/internal/goproxy"
)

// Provider is where a toolchain comes from.
type Provider string

// The providers.
const (
	// ProviderAuto is the host where its platform is the engine's, else the proxy.
	ProviderAuto  Provider = ""
	ProviderHost  Provider = "host"
	ProviderProxy Provider = "proxy"
)

// Options say for what a Go toolchain is wanted.
type Options struct {
	// Dir is in the project; empty is the working directory. The go command applies the go and
	// toolchain lines of its go.mod or go.work, and may download and switch to another version.
	Dir string
	// Env is the go command's environment; nil is the process's.
	Env []string
	// Platform is the engine's; empty is linux and the host's architecture.
	Platform string
	Provider Provider
}

// goEnv are the values of "go env" that say which Go it is and how to download another.
type goEnv struct {
	GOVERSION, GOROOT, GOHOSTOS, GOHOSTARCH  string
	GOPROXY, GONOPROXY, GOSUMDB, GOTOOLCHAIN string
	GOAUTH                                   string
}

// GoCommandError is a failure of the go command.
type GoCommandError struct {
	Dir    string
	Stderr string
	Err    error
}

func (e *GoCommandError) Error() string {
	if errors.Is(e.Err, exec.ErrNotFound) {
		return "the go command is not in PATH; install Go, or put its bin directory in PATH"
	}
	if s := strings.TrimSpace(e.Stderr); s != "" {
		return s
	}
	return fmt.Sprintf("go env in %s: %v", e.Dir, e.Err)
}

func (e *GoCommandError) Unwrap() error { return e.Err }

// Go finds the toolchain of a project. The errors are *GoCommandError, *NotFoundError, *SumError
// and those of package goproxy.
func (s *Store) Go(ctx context.Context, o Options) (*Go, error) {
	env, err := readEnv(ctx, o)
	if err != nil {
		return nil, err
	}
	host := env.GOHOSTOS + "/" + env.GOHOSTARCH
	if o.Platform == "" {
		o.Platform = "linux/" + runtime.GOARCH
	}
	if fields := strings.Split(o.Platform, "/"); len(fields) > 2 { // a variant doesn't matter to Go's programs
		o.Platform = strings.Join(fields[:2], "/")
	}
	if o.Provider == ProviderAuto {
		o.Provider = ProviderProxy
		if host == o.Platform {
			o.Provider = ProviderHost
		}
	}
	switch o.Provider {
	case ProviderHost:
		if host != o.Platform {
			return nil, &NotFoundError{GOROOT: env.GOROOT, Err: fmt.Errorf("it is for %s and the engine is %s", host, o.Platform)}
		}
		return s.Host(ctx, env.GOROOT, env.GOVERSION, o.Platform)
	case ProviderProxy:
		return s.fromProxy(ctx, env, o.Platform)
	}
	return nil, fmt.Errorf("toolchain provider %q: it is host or proxy", string(o.Provider))
}

func readEnv(ctx context.Context, o Options) (*goEnv, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if o.Env == nil {
		o.Env = os.Environ()
	}
	cmd := exec.CommandContext(ctx, "go", "env", "-json", "GOVERSION", "GOROOT", "GOHOSTOS", "GOHOSTARCH", "GOPROXY", "GONOPROXY", "GOSUMDB", "GOTOOLCHAIN", "GOAUTH")
	cmd.Dir = dir
	cmd.Env = append(slices.Clip(o.Env), "PWD="+dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &GoCommandError{Dir: dir, Stderr: stderr.String(), Err: err}
	}
	var env goEnv
	if err := json.Unmarshal(stdout.Bytes(), &env); err != nil {
		return nil, fmt.Errorf("go env -json: %w", err)
	}
	env.GOPROXY = goproxy.WithNetrc(env.GOPROXY, env.GOAUTH, o.Env)
	return &env, nil
}
