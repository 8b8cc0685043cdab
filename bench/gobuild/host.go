// The host's Go, which all contestants use, and how commands are run.

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// goHost is the go command's view of the host.
type goHost struct {
	version, root, modCache string
}

func hostGo(ctx context.Context) (*goHost, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	f := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(f) != 3 {
		return nil, fmt.Errorf("go env: unexpected answer %q", out)
	}
	return &goHost{version: f[0], root: f[1], modCache: f[2]}, nil
}

// goEnv is the environment of a contestant that keeps everything below dir.
func goEnv(host *goHost, p *proxy, dir string) []string {
	return []string{
		"PATH=" + filepath.Join(host.root, "bin") + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + filepath.Join(dir, "home"),
		"GOCACHE=" + filepath.Join(dir, "gocache"),
		"GOMODCACHE=" + filepath.Join(dir, "gomodcache"),
		"GOPROXY=" + p.url, "GOSUMDB=off", "GOENV=off", "GOFLAGS=", "GOTOOLCHAIN=local", "CGO_ENABLED=0", "GOWORK=off",
	}
}

// buildFlags are the flags that give equal outputs everywhere.
func buildFlags() []string {
	return []string{"-trimpath", "-buildvcs=false", "-ldflags=-buildid="}
}

// command runs a program to its end. What it prints is part of the error.
func command(ctx context.Context, dir string, env []string, stdin []byte, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, env, bytes.NewReader(stdin), &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args[:min(3, len(args))], " "), err, out.Bytes())
	}
	return nil
}
