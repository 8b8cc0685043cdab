package npm

// npm's configuration on this machine: where the .npmrc files are, and what only npm knows.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Host says where to look. The zero value is this process's environment.
type Host struct {
	// Env is the environment; nil is os.Environ.
	Env []string
	// CacheDir keeps npm's answers, which cost half a second each; "" keeps none.
	CacheDir string
}

// Config reads the configuration that npm would use in dir.
func (h Host) Config(ctx context.Context, dir string) (*Config, error) {
	if h.Env == nil {
		h.Env = os.Environ()
	}
	in := ConfigInput{Env: h.Env, DefaultRegistry: sync.OnceValue(func() string { return h.defaultRegistry(ctx) })}
	project, err := configFile(filepath.Join(dir, ".npmrc"))
	if err != nil {
		return nil, err
	}
	in.Project = project
	user := h.setting("userconfig")
	if user == "" && h.env("HOME") != "" {
		user = filepath.Join(h.env("HOME"), ".npmrc")
	}
	if in.User, err = configFile(user); err != nil {
		return nil, err
	}
	if project != nil && in.User != nil && project.Name == in.User.Name {
		in.User = nil
	}
	global := h.setting("globalconfig")
	if prefix := h.prefix(); global == "" && prefix != "" {
		global = filepath.Join(prefix, "etc", "npmrc")
	}
	if in.Global, err = configFile(global); err != nil {
		return nil, err
	}
	return NewConfig(in)
}

func configFile(name string) (*ConfigFile, error) {
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Reason: BadConfig, File: name, Err: err, Msg: "cannot read the file"}
	}
	return &ConfigFile{Name: name, Data: data}, nil
}

func (h Host) env(name string) string {
	for i := len(h.Env) - 1; i >= 0; i-- {
		if k, v, _ := strings.Cut(h.Env[i], "="); k == name {
			return v
		}
	}
	return ""
}

// setting is npm_config_NAME, in either case.
func (h Host) setting(name string) string {
	for _, k := range []string{"npm_config_" + name, "NPM_CONFIG_" + strings.ToUpper(name)} {
		if v := h.env(k); v != "" {
			return v
		}
	}
	return ""
}

// prefix is where npm's global files are: beside the node that runs it.
func (h Host) prefix() string {
	for _, v := range []string{h.setting("prefix"), h.env("PREFIX")} {
		if v != "" {
			return v
		}
	}
	if node := h.look("node"); node != "" {
		return filepath.Dir(filepath.Dir(node))
	}
	return ""
}

// look finds a program in the PATH of h.Env.
func (h Host) look(name string) string {
	for _, dir := range filepath.SplitList(h.env("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// defaultRegistry asks npm for its built-in registry, away from every configuration.
func (h Host) defaultRegistry(ctx context.Context) string {
	npm := h.look("npm")
	if npm == "" {
		return ""
	}
	cache := ""
	if info, err := os.Stat(npm); err == nil && h.CacheDir != "" {
		cache = filepath.Join(h.CacheDir, fmt.Sprintf("npm-registry-%x-%x", info.Size(), info.ModTime().UnixNano()))
		if data, err := os.ReadFile(cache); err == nil && strings.HasPrefix(string(data), "http") {
			return string(data)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "config", "get", "registry",
		"--userconfig="+filepath.Join(os.DevNull, "user"), "--globalconfig="+filepath.Join(os.DevNull, "global"))
	cmd.Dir = string(filepath.Separator)
	for _, kv := range h.Env {
		if !strings.HasPrefix(strings.ToLower(kv), "npm_config_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	out, err := cmd.Output()
	registry := strings.TrimSpace(string(out))
	if err != nil || !strings.HasPrefix(registry, "http") {
		return ""
	}
	if cache != "" {
		// A cache that can't be written only costs time.
		_ = os.MkdirAll(h.CacheDir, 0o755)
		_ = os.WriteFile(cache, []byte(registry), 0o644)
	}
	return registry
}
