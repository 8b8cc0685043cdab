// Main: the background process that serves an engine until it is idle or asked to stop.

package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/sirupsen/logrus"

	"github.com/mergefest/mergefest/engine"
)

// Main serves an engine as its command-line arguments say and returns the exit status. The flags
// are those that engine.Open appends to Options.ServeCommand:
//
//	--state DIR        the state directory
//	--idle DURATION    after how long without clients it ends; negative is never
//	--cache-limit N    bytes to keep
//	--ready-fd N       descriptor for an engine.Ready document
//
// base holds what isn't a flag. Main takes over the process: it may replace it by itself in other
// namespaces, and it sets its temporary directory and its umask.
func Main(ctx context.Context, args []string, base Options, stderr io.Writer) int {
	o := base
	o.Log = stderr
	readyFD := -1
	fs := flag.NewFlagSet("mergefest engine serve", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.StateDir, "state", o.StateDir, "state `directory`")
	fs.DurationVar(&o.Idle, "idle", o.Idle, "end after this `time` without clients; negative is never")
	fs.Int64Var(&o.CacheLimit, "cache-limit", o.CacheLimit, "keep so many `bytes`")
	fs.IntVar(&readyFD, "ready-fd", -1, "report to this file `descriptor` when serving")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if o.StateDir == "" || fs.NArg() > 0 {
		fmt.Fprintln(stderr, "mergefest engine serve: --state DIR is needed, and nothing else")
		return 2
	}
	err := enterNamespaces(readyFD)
	var ended exitStatus
	if errors.As(err, &ended) {
		return int(ended)
	}
	ready := reporter(readyFD)
	if err == nil {
		err = serve(ctx, o, ready)
	}
	if err != nil {
		fmt.Fprintf(stderr, "mergefest engine: %v\n", err)
		ready(err)
		return 1
	}
	return 0
}

// reporter returns a function that tells whoever started this process once how the start went.
func reporter(fd int) func(error) {
	if fd < 0 {
		return func(error) {}
	}
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "ready")
	return func(err error) {
		if f == nil {
			return
		}
		var r engine.Ready
		if err != nil && !errors.As(err, &r.Error) {
			r.Error = &engine.StartError{Kind: engine.KindOther, Message: err.Error()}
		}
		json.NewEncoder(f).Encode(r)
		f.Close()
		f = nil
	}
}

// serve runs a server until it is idle, asked to stop, or told to by a signal.
func serve(ctx context.Context, o Options, ready func(error)) (err error) {
	if o.StateDir, err = makeStateDir(o.StateDir); err != nil {
		return err
	}
	syscall.Umask(0o022)
	logrus.SetLevel(logrus.WarnLevel) // BuildKit's and containerd's
	if o.Log != nil {
		log.SetOutput(o.Log) // net/http's
	}
	// The heap is small, and most of it is garbage of finished ops.
	debug.SetGCPercent(400)
	if err := privateTemp(o.StateDir); err != nil {
		return startError(o.StateDir, err)
	}
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	s, err := Start(ctx, o)
	if err != nil {
		return err
	}
	o.remark("serving %s, process %d, BuildKit %s, %s", s.state.Socket(), processID(), buildkitVersion().Version, s.exec.runtime.version)
	ready(nil)
	reason := s.wait(ctx)
	o.remark("ending: %s", reason)
	return s.Close()
}

// wait returns why the server should end.
func (s *Server) wait(ctx context.Context) string {
	tidying := time.NewTicker(tidyAge)
	defer tidying.Stop()
	interval := 10 * time.Second
	if s.o.Idle > 0 {
		interval = min(max(s.o.Idle/10, 10*time.Millisecond), interval)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.usage.close(-1)
			return "signal"
		case <-s.stop:
			return "a client asked for it"
		case now := <-tidying.C:
			tidy(tempDir(s.state.Layout), now)
		case <-tick.C:
			if s.o.Idle > 0 && s.usage.idle() > s.o.Idle && s.usage.close(0) {
				return fmt.Sprintf("no client for %v", s.o.Idle)
			}
		}
	}
}

// tempDir is where a server has its temporary files.
func tempDir(l engine.Layout) string { return filepath.Join(l.Data(), "worker", "scratch", "tmp") }

// privateTemp puts temporary files and mount points into the engine's memory file system.
func privateTemp(stateDir string) error {
	dir := tempDir(engine.Layout{Dir: stateDir})
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return err
	}
	// containerd has read the variable already, when the process began.
	return mount.SetTempMountLocation(dir)
}
