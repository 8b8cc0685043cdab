// A stock buildkitd of its own for a contestant.

package main

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

// stock is a buildkitd with its state below dir.
type stock struct {
	bin, dir string
	cmd      *exec.Cmd
}

func (s *stock) addr() string { return "unix://" + filepath.Join(s.dir, "bk.sock") }

// pids returns the daemon's process.
func (s *stock) pids() []int {
	if s.cmd == nil {
		return nil
	}
	return []int{s.cmd.Process.Pid}
}

// restart starts the daemon with an empty state, and waits until it answers.
func (s *stock) restart(ctx context.Context) error {
	if err := s.stop(); err != nil {
		return err
	}
	root := filepath.Join(s.dir, "bk")
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.dir, "bk.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.bin, "--root", root, "--addr", s.addr(), "--containerd-worker", "false",
		"--otel-socket-path", filepath.Join(s.dir, "otel.sock"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	for deadline := time.Now().Add(30 * time.Second); ; {
		if err := s.ping(ctx); err == nil {
			return nil
		} else if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s doesn't answer (see %s): %w", s.bin, log.Name(), err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *stock) ping(ctx context.Context) error {
	c, err := client.New(ctx, s.addr())
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.ListWorkers(ctx)
	return err
}

// stop ends the daemon and waits for it.
func (s *stock) stop() error {
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
