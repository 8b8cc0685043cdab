// Package stock runs a buildkitd of its own for a contestant.
package stock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/moby/buildkit/client"
)

// Daemon is a stock buildkitd, the program Bin, with its state below Dir.
type Daemon struct {
	Bin, Dir string
	starts   int
	cmd      *exec.Cmd
}

// Addr is where it listens.
func (s *Daemon) Addr() string { return "unix://" + filepath.Join(s.Dir, "bk.sock") }

// PIDs returns the daemon's process.
func (s *Daemon) PIDs() []int {
	if s.cmd == nil {
		return nil
	}
	return []int{s.cmd.Process.Pid}
}

// Restart starts the daemon with an empty state, and waits until it answers.
func (s *Daemon) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	root := filepath.Join(s.Dir, "bk")
	// What is deleted makes the file system slow for minutes; whoever owns Dir deletes it in the end.
	s.starts++
	old := fmt.Sprintf("%s-old-%d", root, s.starts)
	if err := os.Rename(root, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.Dir, "bk.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.Bin, "--root", root, "--addr", s.Addr(), "--containerd-worker", "false",
		"--otel-socket-path", filepath.Join(s.Dir, "otel.sock"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	for deadline := time.Now().Add(30 * time.Second); ; {
		if err := s.ping(ctx); err == nil {
			return nil
		} else if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s doesn't answer (see %s): %w", s.Bin, log.Name(), err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *Daemon) ping(ctx context.Context) error {
	c, err := client.New(ctx, s.Addr())
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.ListWorkers(ctx)
	return err
}

// Stop ends the daemon and waits for it.
func (s *Daemon) Stop() error {
	if s.cmd == nil {
		return nil
	}
	cmd := s.cmd
	s.cmd = nil
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}
