// The contestants.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/mergefest/mergefest/bench/internal/stock"
)

// newTeams makes the contestants that the flags ask for. closeAll is never nil.
func newTeams(ctx context.Context, c *config, host *goHost, p *proxy, pr project) (teams []*team, closeAll func() error, err error) {
	var closers []func() error
	closeAll = func() error {
		var errs []error
		for _, f := range closers {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	add := func(t *team) error {
		teams = append(teams, t)
		return pr.write(t.src)
	}
	newTeam := func(name, folder string) (*team, string) {
		dir := filepath.Join(c.dir, folder)
		return &team{name: name, src: filepath.Join(dir, "src"), out: filepath.Join(dir, "out")}, dir
	}

	t, dir := newTeam("go build", "go")
	if err := add(goTeam(t, dir, host, p, pr)); err != nil {
		return nil, closeAll, err
	}
	if c.buildkitd != "" {
		t, dir := newTeam("cache mounts", "mounts")
		d := &stock.Daemon{Bin: c.buildkitd, Dir: dir}
		closers = append(closers, d.Stop)
		m, err := newMounts(ctx, host, p, pr, dir)
		if err != nil {
			return nil, closeAll, err
		}
		if err := add(m.team(t, d)); err != nil {
			return nil, closeAll, err
		}
	}
	if c.mergefest != "" {
		t, dir := newTeam("mergefest", "own")
		stop := mergefestTeam(t, dir, c, host, p, pr)
		closers = append(closers, func() error { return stop(context.Background()) })
		if err := add(t); err != nil {
			return nil, closeAll, err
		}
	}
	if c.mergefest != "" && c.buildkitd != "" {
		t, dir := newTeam("mergefest, stock engine", "stock")
		d := &stock.Daemon{Bin: c.buildkitd, Dir: dir}
		closers = append(closers, d.Stop)
		if err := add(mergefestStockTeam(t, dir, c, host, p, pr, d)); err != nil {
			return nil, closeAll, err
		}
	}
	return teams, closeAll, nil
}

// dropCaches removes the caches of the go command below dir.
func dropCaches(dir string) error {
	for _, d := range []string{"gocache", "gomodcache", "home"} {
		if err := removeAll(filepath.Join(dir, d)); err != nil {
			return err
		}
	}
	return nil
}

// goTeam is the go command on the host.
func goTeam(t *team, dir string, host *goHost, p *proxy, pr project) *team {
	t.reset = func(context.Context) error { return dropCaches(dir) }
	t.build = func(ctx context.Context) error {
		args := append([]string{"go", "build"}, buildFlags()...)
		return command(ctx, t.src, goEnv(host, p, dir), nil, append(args, "-o", filepath.Join(t.out, "bin")+"/", pr.pattern())...)
	}
	return t
}

// mergefestTeam is mergefest with its embedded engine. stop ends the engine.
func mergefestTeam(t *team, dir string, c *config, host *goHost, p *proxy, pr project) (stop func(context.Context) error) {
	state, env := filepath.Join(dir, "state"), goEnv(host, p, dir)
	stop = func(ctx context.Context) error {
		if _, err := os.Stat(state); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return command(ctx, dir, env, nil, c.mergefest, "engine", "stop", "--state", state)
	}
	t.reset = func(ctx context.Context) error {
		if err := stop(ctx); err != nil {
			return err
		}
		return errors.Join(removeAll(state), dropCaches(dir))
	}
	t.build = func(ctx context.Context) error {
		return command(ctx, t.src, env, nil, mergefestArgs(t, c, pr, "--state", state)...)
	}
	t.daemons = func() []int {
		cmd := exec.Command(c.mergefest, "engine", "status", "--json", "--state", state)
		cmd.Env = env
		var st struct{ PID int }
		if out, err := cmd.Output(); err != nil || json.Unmarshal(out, &st) != nil || st.PID == 0 {
			return nil // not started yet
		}
		return []int{st.PID}
	}
	return stop
}

func mergefestArgs(t *team, c *config, pr project, more ...string) []string {
	args := append([]string{c.mergefest, "build", "--progress", "quiet", "-o", t.out}, buildFlags()...)
	return append(append(args, more...), pr.pattern())
}

// mergefestStockTeam is mergefest on a stock buildkitd.
func mergefestStockTeam(t *team, dir string, c *config, host *goHost, p *proxy, pr project, d *stock.Daemon) *team {
	env := goEnv(host, p, dir)
	t.reset = func(ctx context.Context) error {
		return errors.Join(d.Restart(ctx), removeAll(filepath.Join(dir, "state")), dropCaches(dir))
	}
	t.build = func(ctx context.Context) error {
		return command(ctx, t.src, env, nil, mergefestArgs(t, c, pr, "--state", filepath.Join(dir, "state"), "--engine", d.Addr())...)
	}
	t.daemons = d.PIDs
	return t
}

// ensure starts a daemon for scenarios that don't begin with a reset.
func (t *team) ensure(ctx context.Context) error {
	if _, err := os.Stat(t.out); err == nil {
		return nil
	}
	if err := t.reset(ctx); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	if err := t.build(ctx); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return nil
}
