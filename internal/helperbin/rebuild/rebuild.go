// Package rebuild builds the in-container helper from source, always with the same result.
package rebuild

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Platforms are those that a helper is built for.
func Platforms() []string { return []string{"linux/amd64", "linux/arm64"} }

// ModFile is the file that pins dependencies and the Go toolchain, relative to the module's root.
const ModFile = "internal/helperbin/helper.mod"

var goLine = regexp.MustCompile(`(?m)^go (\S+)$`)

// Build builds the helper of the module at root for a platform ("linux/amd64") and returns the
// program's bytes. They depend on the sources of the helper, ModFile, and nothing else of the
// machine or the module.
func Build(ctx context.Context, root, platform string) ([]byte, error) {
	mod, err := os.ReadFile(filepath.Join(root, ModFile))
	if err != nil {
		return nil, err
	}
	version := goLine.FindSubmatch(mod)
	if version == nil {
		return nil, fmt.Errorf("%s has no go line", ModFile)
	}
	env, err := environment(ctx, root, string(version[1]), platform)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp("", "helper-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "helper")
	cmd := exec.CommandContext(ctx, "go", "build", "-modfile="+filepath.FromSlash(ModFile), "-mod=readonly",
		"-trimpath", "-buildvcs=false", "-pgo=off", "-ldflags=-s -w -buildid=", "-o", out, "./cmd/mergefest-helper")
	cmd.Dir, cmd.Env = root, env
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the helper for %s: %w\n%s", platform, err, msg)
	}
	return os.ReadFile(out)
}

// environment keeps where Go finds modules and caches, and fixes whatever else changes its output.
func environment(ctx context.Context, root, version, platform string) ([]string, error) {
	goos, goarch, ok := strings.Cut(platform, "/")
	if !ok {
		return nil, fmt.Errorf("platform %q is not of the form os/arch", platform)
	}
	keep := []string{"GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOMODCACHE", "GOCACHE", "GOPATH"}
	cmd := exec.CommandContext(ctx, "go", append([]string{"env", "-json"}, keep...)...)
	cmd.Dir = root
	answer, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	values := map[string]string{}
	if err := json.NewDecoder(bytes.NewReader(answer)).Decode(&values); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	var env []string
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); !strings.HasPrefix(name, "GO") && !strings.HasPrefix(name, "CGO_") {
			env = append(env, kv)
		}
	}
	for _, name := range keep {
		env = append(env, name+"="+values[name])
	}
	return append(env, "GOTOOLCHAIN=go"+version, "GOENV=off", "GOFLAGS=", "GOWORK=off", "GO111MODULE=on",
		"GOEXPERIMENT=", "GOFIPS140=off", "GODEBUG=", "CGO_ENABLED=0",
		"GOOS="+goos, "GOARCH="+goarch, "GOAMD64=v1", "GOARM64=v8.0"), nil
}
