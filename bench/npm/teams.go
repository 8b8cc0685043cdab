// The contestants.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mergefest/mergefest/bench/internal/stock"
)

// npmHost is the host's npm.
type npmHost struct{ npm, node, registry string }

func hostNPM(ctx context.Context) (*npmHost, error) {
	var h npmHost
	for _, q := range []struct {
		to   *string
		args []string
	}{{&h.npm, []string{"npm", "--version"}}, {&h.node, []string{"node", "--version"}}, {&h.registry, []string{"npm", "config", "get", "registry"}}} {
		out, err := exec.CommandContext(ctx, q.args[0], q.args[1:]...).Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.Join(q.args, " "), err)
		}
		*q.to = strings.TrimSpace(string(out))
	}
	return &h, nil
}

// npmEnv is the environment of a contestant that keeps everything below dir.
func npmEnv(reg *registry, dir string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, "home"), "npm_config_cache=" + filepath.Join(dir, "npmcache"),
		"npm_config_registry=" + reg.url + "/", "npm_config_ignore_scripts=true", "npm_config_audit=false", "npm_config_fund=false",
		"npm_config_update_notifier=false", "npm_config_userconfig=" + filepath.Join(dir, "npmrc"), "npm_config_globalconfig=" + filepath.Join(dir, "npmrc-global"),
	}
}

// teamMaker makes contestants below one directory.
type teamMaker struct {
	c       *config
	app     *app
	reg     *registry
	teams   []*team
	closers []func() error
	notes   []string // for the reader of the results

	discarded int // so far
}

// newTeams makes the contestants that the flags ask for. Close the result, also after an error.
func newTeams(ctx context.Context, c *config, a *app, reg *registry) (*teamMaker, error) {
	m := &teamMaker{c: c, app: a, reg: reg}
	m.npm("npm ci", "ci").fresh = true
	warm := m.npm("npm ci, warm cache", "warm")
	warm.fresh, warm.coldOnly = true, true
	m.keepCache(warm)
	install := m.npm("npm install", "install", "install")
	install.trusting, install.notCold = true, true
	if c.pnpm != "" {
		if err := m.pnpm(ctx); err != nil {
			m.notes = append(m.notes, "pnpm takes no part, as it can't use the lockfile: "+err.Error())
		}
	}
	if c.buildkitd != "" {
		if err := m.mounts(ctx); err != nil {
			return m, err
		}
	}
	if c.mergefest != "" {
		m.mergefest()
	}
	if c.mergefest != "" && c.buildkitd != "" {
		m.mergefestStock()
	}
	return m, nil
}

// close ends what the contestants have running.
func (m *teamMaker) close() error {
	var errs []error
	for _, f := range m.closers {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

func (m *teamMaker) add(name, folder, tree string) (t *team, dir string) {
	dir = filepath.Join(m.c.dir, folder)
	a := m.app
	t = &team{name: name, src: filepath.Join(dir, "src"), tree: filepath.Join(dir, tree, "node_modules"), reg: m.reg, app: a, discard: m.discard}
	t.write = func(s state) error { return a.write(t.src, s, t.reg) }
	m.teams = append(m.teams, t)
	return t, dir
}

// npm adds npm on the host; it runs "npm ci", or the words given.
func (m *teamMaker) npm(name, folder string, args ...string) *team {
	t, dir := m.add(name, folder, "src")
	if args == nil {
		args = []string{"ci"}
	}
	t.reset = func(context.Context) error {
		return m.discard(t.tree, filepath.Join(dir, "npmcache"), filepath.Join(dir, "home"))
	}
	t.build = func(ctx context.Context) error {
		return command(ctx, t.src, npmEnv(m.reg, dir), nil, append([]string{"npm"}, args...)...)
	}
	return t
}

// keepCache makes a reset fill the cache and drop the tree alone.
func (m *teamMaker) keepCache(t *team) {
	drop, filled := t.reset, false
	t.reset = func(ctx context.Context) error {
		if !filled {
			if err := drop(ctx); err != nil {
				return err
			}
			if err := t.write(state{leaf: 1}); err != nil {
				return err
			}
			if err := t.build(ctx); err != nil {
				return err
			}
			filled = true
		}
		return m.discard(t.tree)
	}
}

// mergefest adds mergefest with its embedded engine.
func (m *teamMaker) mergefest() {
	t, dir := m.add("mergefest", "own", "out")
	state, env := filepath.Join(dir, "state"), npmEnv(m.reg, dir)
	stop := func(ctx context.Context) error {
		if _, err := os.Stat(state); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return command(ctx, dir, env, nil, m.c.mergefest, "engine", "stop", "--state", state)
	}
	m.closers = append(m.closers, func() error { return stop(context.Background()) })
	t.reset = func(ctx context.Context) error {
		if err := stop(ctx); err != nil {
			return err
		}
		return m.discard(filepath.Dir(t.tree), state, filepath.Join(dir, "home"))
	}
	t.build = func(ctx context.Context) error {
		return command(ctx, t.src, env, nil, m.c.mergefest, "build", "--progress", "quiet", "--npm-scripts", "none",
			"-o", filepath.Dir(t.tree), "--state", state, ".")
	}
	t.daemons = func() []int {
		cmd := exec.Command(m.c.mergefest, "engine", "status", "--json", "--state", state)
		cmd.Env = env
		var st struct{ PID int }
		if out, err := cmd.Output(); err != nil || json.Unmarshal(out, &st) != nil || st.PID == 0 {
			return nil // not started yet
		}
		return []int{st.PID}
	}
}

// mergefestStock adds mergefest on a stock buildkitd.
func (m *teamMaker) mergefestStock() {
	t, dir := m.add("mergefest, stock engine", "stock", "out")
	t.adding = true // as the exporter of a stock engine does
	d := m.daemon(t, dir)
	env := npmEnv(m.reg, dir)
	t.reset = func(ctx context.Context) error {
		return errors.Join(d.Restart(ctx), m.discard(filepath.Dir(t.tree), filepath.Join(dir, "state"), filepath.Join(dir, "home")))
	}
	t.build = func(ctx context.Context) error {
		return command(ctx, t.src, env, nil, m.c.mergefest, "build", "--progress", "quiet", "--npm-scripts", "none",
			"-o", filepath.Dir(t.tree), "--state", filepath.Join(dir, "state"), "--engine", d.Addr(), ".")
	}
}

// daemon gives a contestant a stock buildkitd.
func (m *teamMaker) daemon(t *team, dir string) *stock.Daemon {
	d := &stock.Daemon{Bin: m.c.buildkitd, Dir: dir}
	m.closers = append(m.closers, d.Stop)
	t.daemons = d.PIDs
	return d
}

// discard makes paths vanish, without deleting: ext4 passes over the inodes of deleted files for
// minutes, one by one, so that whoever comes next would create files several times slower. The working
// directory is removed in the end.
func (m *teamMaker) discard(paths ...string) error {
	for _, p := range paths {
		m.discarded++
		to := filepath.Join(m.c.dir, "discarded", strconv.Itoa(m.discarded))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(p, to); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func removeAll(paths ...string) error {
	var errs []error
	for _, p := range paths {
		errs = append(errs, os.RemoveAll(p))
	}
	return errors.Join(errs...)
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
