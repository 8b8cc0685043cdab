// The errors of this package. Each says what failed, why, and what to do.

package engine

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	digest "github.com/opencontainers/go-digest"
)

// URLError is an address that can't be understood.
type URLError struct {
	URL string
	Err error
}

func (e *URLError) Error() string { return fmt.Sprintf("engine %s: %v", redact(e.URL), e.Err) }
func (e *URLError) Unwrap() error { return e.Err }

// ConnectError is an engine that doesn't answer.
type ConnectError struct {
	URL string
	Err error
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("the engine at %s doesn't answer: %v; is it running, and may you use it?", redact(e.URL), e.Err)
}
func (e *ConnectError) Unwrap() error { return e.Err }

// The kinds of StartError.
const (
	KindRuntime    = "runtime"    // no OCI runtime
	KindInUse      = "in-use"     // another server owns the state directory and doesn't answer
	KindServed     = "served"     // another server owns the state directory and answers
	KindReadOnly   = "read-only"  // the state directory can't be written
	KindNewer      = "newer"      // the state was written by a newer version
	KindDiskFull   = "disk-full"  // no space left
	KindPermission = "permission" // the user may not do what is needed
	KindOther      = "other"
)

// StartError is an embedded engine that can't start. It crosses the process boundary as JSON.
type StartError struct {
	Kind    string `json:"kind"`
	Message string `json:"message"` // complete: what, why, what to do
	Log     string `json:"log,omitempty"`
}

func (e *StartError) Error() string {
	msg := "the embedded engine can't start: " + e.Message
	if e.Log != "" && e.Kind == KindOther {
		msg += "; its log is " + e.Log
	}
	return msg
}

// GoneError is an engine that ended or became unreachable during a build.
type GoneError struct {
	URL string // empty for the embedded engine
	Log string // the embedded engine's log
	Err error
}

func (e *GoneError) Error() string {
	if e.URL != "" {
		return fmt.Sprintf("the engine at %s went away during the build: %v", redact(e.URL), e.Err)
	}
	return fmt.Sprintf("the embedded engine went away during the build; its log is %s; building again starts a new one (%v)", e.Log, e.Err)
}
func (e *GoneError) Unwrap() error { return e.Err }

// DiskFullError is a build that failed because the embedded engine's disk is full.
type DiskFullError struct {
	Dir  string // the state directory
	Free int64  // bytes left there
	Err  error
}

func (e *DiskFullError) Error() string {
	cause := e.Err.Error()
	var v *VertexError
	if errors.As(e.Err, &v) && v.Name != "" {
		cause = v.Name // its error may quote a long command line
	}
	return fmt.Sprintf("no space left for the engine's state directory %s (%d MB free): free some space, run `mergefest engine gc`, or use another disk with --state: %s",
		e.Dir, e.Free>>20, cause)
}
func (e *DiskFullError) Unwrap() []error { return []error{e.Err, syscall.ENOSPC} }

// VertexError is an operation of the definition that failed.
type VertexError struct {
	Digest digest.Digest // of the operation
	Name   string        // as the definition names it
	// ExitCode is the status of the operation's process; -1 if there was none.
	ExitCode int
	// Output is the end of what the operation printed, at most 64 KiB.
	Output []byte
	Err    error
}

func (e *VertexError) Error() string {
	name := e.Name
	if name == "" {
		name = e.Digest.String()
	}
	return fmt.Sprintf("%s: %v", name, e.Err)
}
func (e *VertexError) Unwrap() error { return e.Err }

// redact drops the password of a URL.
func redact(u string) string {
	scheme, rest, ok := strings.Cut(u, "://")
	if !ok {
		return u
	}
	host, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		if user, _, ok := strings.Cut(host[:i], ":"); ok {
			return scheme + "://" + user + ":…@" + strings.TrimSuffix(host[i+1:]+"/"+path, "/")
		}
	}
	return u
}

// isDiskFull recognises an error that has crossed a connection as text, too.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), syscall.ENOSPC.Error())
}
