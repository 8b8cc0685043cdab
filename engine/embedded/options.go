// What a server is told.

package embedded

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/moby/buildkit/solver/pb"
)

// Defaults of Options.
const (
	DefaultIdle = 10 * time.Minute
	// defaultCacheShare of the disk, at most defaultCacheMax bytes, is what a cache may occupy.
	defaultCacheShare = 10
	defaultCacheMax   = 50 << 30
	defaultCacheMin   = 2 << 30
	defaultLockWait   = 5 * time.Minute // less than what a client waits for a start
)

// Options configure a server. Only StateDir is needed.
type Options struct {
	// StateDir is an absolute path; see engine.Layout for what is in it.
	StateDir string
	// Version of mergefest, for people.
	Version string
	// Idle is after how long without clients Serve returns; 0 is DefaultIdle, negative is never.
	Idle time.Duration
	// CacheLimit is the number of bytes above which least recently used results are dropped; 0 is
	// a tenth of the disk, but at least 2 GiB and at most 50 GiB.
	CacheLimit int64
	// Containers is how many containers run at once; 0 is one per processor and one more.
	Containers int
	// InProcess runs some actions without a container; nil is mergefest's own helper.
	InProcess InProcess
	// ContainAll runs every action in a container.
	ContainAll bool
	// InProcessSlots is how many such actions run at once; 0 is four per processor, at least 8.
	InProcessSlots int
	// Runtime is the OCI runtime's path; empty looks for crun, then runc.
	Runtime string
	// LockWait is how long to wait for the state directory's last server, which may be closing its
	// stores; 0 is five minutes.
	LockWait time.Duration
	// Log receives remarks for people; nil drops them.
	Log io.Writer
}

// InProcess carries out some processes as Go functions: those whose program is a helper that this
// program has the source of. It must leave the same result as the process would.
type InProcess interface {
	// Digests lists the manifest digests of the helper images that Recognise knows, for clients.
	Digests() []string
	// Recognise tells whether Run can carry out a process, from its arguments alone.
	Recognise(args []string) bool
	// Run carries the process out. A failure of the action, as opposed to one of the engine, is an
	// *ActionError.
	Run(ctx context.Context, p Process) error
	Close() error
}

// Process is what an in-process action sees of its container.
type Process struct {
	Args []string
	Env  []string // "NAME=value"
	// OutDir is the directory on the host that action.OutDir is in the container.
	OutDir string
	// ReadFile reads a file of the container: of a read-only mount or a secret. A file that isn't
	// there is an fs.ErrNotExist.
	ReadFile func(path string) ([]byte, error)
	// Log is the process's standard error.
	Log io.Writer
}

// ActionError is an action that failed as a process would, with an exit status; what there is to
// say has been written to Process.Log.
type ActionError struct {
	ExitCode int
	Err      error
}

func (e *ActionError) Error() string { return e.Err.Error() }
func (e *ActionError) Unwrap() error { return e.Err }

// networked tells whether a network mode gives an op the network of the engine's host.
func networked(m pb.NetMode) bool { return m != pb.NetMode_NONE }

// remark writes a line for people.
func (o Options) remark(format string, args ...any) {
	if o.Log != nil {
		fmt.Fprintf(o.Log, "mergefest engine: "+format+"\n", args...)
	}
}
