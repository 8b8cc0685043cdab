// Package testengine gives tests a real engine: the embedded one in the test's own process, or a
// stock buildkitd.
//
// Both need root and an OCI runtime. Where one is missing the test is skipped, except under
// MERGEFEST_E2E=1, which says that the machine is meant to have them: there it fails.
package testengine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded"
)

// Start serves an embedded engine in this process, with a state directory of its own, and connects
// to it. Both end with the test.
func Start(t testing.TB) *engine.Engine {
	t.Helper()
	return StartOptions(t, embedded.Options{})
}

// StartOptions is Start with options. An empty StateDir is a directory of the test's.
func StartOptions(t testing.TB, o embedded.Options) *engine.Engine {
	t.Helper()
	needRoot(t)
	if o.StateDir == "" {
		o.StateDir = t.TempDir()
	}
	s, err := embedded.Start(context.Background(), o)
	var start *engine.StartError
	if errors.As(err, &start) && start.Kind == engine.KindRuntime {
		missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return open(t, engine.Options{StateDir: o.StateDir})
}

// Stock starts a stock buildkitd and connects to it.
func Stock(t testing.TB) *engine.Engine {
	t.Helper()
	return open(t, engine.Options{URL: StockAddress(t)})
}

// StockAddress starts a stock buildkitd and returns its address. MERGEFEST_BUILDKITD is its path.
func StockAddress(t testing.TB) string {
	t.Helper()
	needRoot(t)
	bin := os.Getenv("MERGEFEST_BUILDKITD")
	if bin == "" {
		missing(t, "MERGEFEST_BUILDKITD doesn't name a buildkitd")
	}
	dir := t.TempDir()
	addr := "unix://" + filepath.Join(dir, "s")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(bin, "--root", filepath.Join(dir, "root"), "--addr", addr, "--oci-worker", "true",
		"--containerd-worker", "false", "--otel-socket-path", filepath.Join(dir, "otel.sock"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() { stopStock(t, cmd, exited, log.Name()) })
	waitSocket(t, filepath.Join(dir, "s"), exited, log.Name())
	return addr
}

func stopStock(t testing.TB, cmd *exec.Cmd, exited <-chan error, log string) {
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-exited:
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		<-exited
	}
	if t.Failed() {
		if data, err := os.ReadFile(log); err == nil {
			t.Logf("buildkitd:\n%s", data[max(0, len(data)-8<<10):])
		}
	}
}

func waitSocket(t testing.TB, path string, exited <-chan error, log string) {
	for deadline := time.Now().Add(60 * time.Second); ; {
		c, err := engine.DialSocket(context.Background(), path)
		if err == nil {
			c.Close()
			return
		}
		select {
		case err := <-exited:
			data, _ := os.ReadFile(log)
			t.Fatalf("buildkitd ended: %v\n%s", err, data)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("buildkitd doesn't listen: %v", err)
		}
	}
}

func open(t testing.TB, o engine.Options) *engine.Engine {
	t.Helper()
	o.Log = func(s string) { t.Log(s) }
	e, err := engine.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "an engine in a test needs root")
	}
}

func missing(t testing.TB, what string) {
	t.Helper()
	if strings.TrimSpace(os.Getenv("MERGEFEST_E2E")) == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}
