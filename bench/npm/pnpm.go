// The contestant pnpm: its own layout of node_modules, from a lockfile that it makes of npm's.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pnpmLock is an imported pnpm-lock.yaml.
type pnpmLock map[string]any

// importLock lets pnpm turn the project's package-lock.json into its own lockfile, which takes the
// registry that is set up on this machine: it asks for more than tarballs.
func (m *teamMaker) importLock(ctx context.Context, dir string) (pnpmLock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join(m.c.project, name))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return nil, err
		}
	}
	env := append(os.Environ(), "CI=true", "XDG_CACHE_HOME="+filepath.Join(dir, "cache"), "XDG_DATA_HOME="+filepath.Join(dir, "data"))
	if err := command(ctx, dir, env, nil, m.c.pnpm, "import"); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "pnpm-lock.yaml"))
	if err != nil {
		return nil, err
	}
	var lock map[string]any
	if err := yaml.Unmarshal(data, &lock); err != nil {
		return nil, fmt.Errorf("pnpm-lock.yaml: %w", err)
	}
	return lock, nil
}

// in returns the lockfile with the made-up packages of a state.
func (l pnpmLock) in(s state) (pnpmLock, error) {
	out := maps.Clone(l)
	packages, snapshots := cloneField(l, "packages"), cloneField(l, "snapshots")
	importers := cloneField(l, "importers")
	top := cloneField(importers, ".")
	deps := cloneField(top, "dependencies")
	out["packages"], out["snapshots"], out["importers"], importers["."], top["dependencies"] = packages, snapshots, importers, top, deps
	for name, v := range s.versions() {
		data, err := madeUpTarball(name + "-" + v)
		if err != nil {
			return nil, err
		}
		deps[name] = map[string]any{"specifier": v, "version": v}
		packages[name+"@"+v] = map[string]any{"resolution": map[string]any{"integrity": integrity(data)}}
		snapshots[name+"@"+v] = map[string]any{}
	}
	return out, nil
}

// pnpm adds pnpm on the host, with an empty and with a filled store. It reports what keeps it away.
func (m *teamMaker) pnpm(ctx context.Context) error {
	version, err := exec.CommandContext(ctx, m.c.pnpm, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", m.c.pnpm, err)
	}
	m.notes = append(m.notes, "pnpm "+strings.TrimSpace(string(version)))
	lock, err := m.importLock(ctx, filepath.Join(m.c.dir, "pnpm-import"))
	if err != nil {
		return err
	}
	m.pnpmTeam("pnpm install", "pnpm", lock)
	warm := m.pnpmTeam("pnpm install, warm store", "pnpm-warm", lock)
	warm.coldOnly = true
	m.keepCache(warm)
	return nil
}

func (m *teamMaker) pnpmTeam(name, folder string, lock pnpmLock) *team {
	t, dir := m.add(name, folder, "src")
	t.trusting = true
	caches := []string{filepath.Join(dir, "npmcache"), filepath.Join(dir, "home"), filepath.Join(dir, "store")}
	t.reset = func(context.Context) error { return m.discard(append(caches, t.tree)...) }
	writeApp := t.write
	t.write = func(s state) error {
		changed, err := lock.in(s)
		if err != nil {
			return err
		}
		data, err := yaml.Marshal(map[string]any(changed))
		if err != nil {
			return err
		}
		return errors.Join(writeApp(s), os.WriteFile(filepath.Join(t.src, "pnpm-lock.yaml"), data, 0o644))
	}
	t.build = func(ctx context.Context) error {
		env := append(npmEnv(m.reg, dir), "CI=true", "npm_config_store_dir="+caches[2])
		return command(ctx, t.src, env, nil, m.c.pnpm, "install", "--frozen-lockfile", "--ignore-scripts")
	}
	t.check = func(s state) error { return checkTop(t.tree, t.app.manifest, s) }
	return t
}

// checkTop looks whether what the app depends on can be found in a node_modules of any layout, and
// whether nothing made up is there that shouldn't be.
func checkTop(tree string, manifest map[string]any, s state) error {
	want := s.versions()
	for name := range cloneField(manifest, "dependencies") {
		if _, ok := want[name]; !ok {
			want[name] = ""
		}
	}
	for name, version := range want {
		data, err := os.ReadFile(filepath.Join(tree, name, "package.json"))
		if err != nil {
			return err
		}
		var pkg struct{ Version string }
		if err := json.Unmarshal(data, &pkg); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if version != "" && pkg.Version != version {
			return fmt.Errorf("%s has the version %s instead of %s", name, pkg.Version, version)
		}
	}
	found, err := filepath.Glob(filepath.Join(tree, madeUp+"*"))
	if err != nil {
		return err
	}
	for _, dir := range found {
		if _, ok := want[filepath.Base(dir)]; !ok {
			return fmt.Errorf("%s is still there", dir)
		}
	}
	return nil
}
