// What client and server of the embedded engine agree on, beside BuildKit's own API: file names in
// the state directory, and a small service for its life.

package engine

import (
	"path/filepath"
	"time"

	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Protocol is the version of this agreement. A client uses a server of another build only if the
// versions are equal.
const Protocol = 3

// The control service. Its methods take and return google.protobuf.BytesValue, which holds the
// JSON of the types below: it needs no generated code and lives on the same socket as BuildKit's
// API.
const (
	ControlService = "mergefest.engine.v1.Control"
	MethodStatus   = "Status" // StatusRequest → StatusReply
	MethodStop     = "Stop"   // StopRequest → StopReply
	MethodGC       = "GC"     // GCRequest → GCReply
	MethodRepeat   = "Repeat" // RepeatRequest → RepeatReply
)

// StatusRequest asks what the engine is doing.
type StatusRequest struct {
	// Size also adds up the disk space, which takes time in a big state.
	Size bool `json:"size,omitempty"`
}

// StatusReply describes a running engine. It is also what `mergefest engine status --json` prints.
type StatusReply struct {
	Running  bool   `json:"running"`
	Protocol int    `json:"protocol,omitempty"`
	Build    string `json:"build,omitempty"`   // identity of the program that serves
	Version  string `json:"version,omitempty"` // of mergefest, for people
	PID      int    `json:"pid,omitempty"`
	Socket   string `json:"socket"`
	StateDir string `json:"stateDir"`
	Log      string `json:"log"`
	// Size is the number of bytes that the cache occupies; -1 if it wasn't asked for.
	Size int64 `json:"size"`
	// CacheLimit is the number of bytes above which least recently used results are dropped.
	CacheLimit int64 `json:"cacheLimit,omitempty"`
	// Builds is the number of running builds, Clients that of open connections, this one included.
	Builds  int       `json:"builds"`
	Clients int       `json:"clients"`
	Started time.Time `json:"started,omitzero"`
	Idle    string    `json:"idle,omitempty"` // after how long without clients it stops: "10m0s"

	BuildKit    string `json:"buildkit,omitempty"` // version
	Runtime     string `json:"runtime,omitempty"`  // path of the OCI runtime
	Snapshotter string `json:"snapshotter,omitempty"`
	Rootless    bool   `json:"rootless,omitempty"`
	// InProcess lists the manifest digests of the helpers whose actions run without a container.
	InProcess []string `json:"inProcess,omitempty"`
	// Platforms that the engine can run, the native one first.
	Platforms []ocispecs.Platform `json:"platforms,omitempty"`
}

// StopRequest asks the engine to end.
type StopRequest struct {
	// IfIdle makes the request fail softly while another client is connected or a build runs.
	IfIdle bool `json:"ifIdle,omitempty"`
}

// StopReply says whether the engine is going to end now.
type StopReply struct {
	Stopping bool `json:"stopping"`
	PID      int  `json:"pid"`
	Builds   int  `json:"builds"` // builds that were running
}

// GCRequest asks for a collection.
type GCRequest struct {
	// All drops everything that no build is using now.
	All bool `json:"all,omitempty"`
	// MaxUsed is the number of bytes to get below; 0 is the engine's own limit.
	MaxUsed int64 `json:"maxUsed,omitempty"`
}

// GCReply says what was dropped.
type GCReply struct {
	Records int   `json:"records"`
	Bytes   int64 `json:"bytes"`
	Size    int64 `json:"size"` // what is left, in bytes
}

// Ready is what a server that Open started writes to its file descriptor ReadyFD, as one JSON
// document, before it closes it.
type Ready struct {
	Error *StartError `json:"error,omitempty"`
}

// ReadyFD is the descriptor that a started server reports on.
const ReadyFD = 3

// Layout names the files of a state directory.
type Layout struct{ Dir string }

// Socket is where the server listens.
func (l Layout) Socket() string { return filepath.Join(l.Dir, "engine.sock") }

// Log is the server's log; the one before it is kept with the suffix ".1".
func (l Layout) Log() string { return filepath.Join(l.Dir, "engine.log") }

// Lock is held by the server while it lives, as a flock; its content is the process id.
func (l Layout) Lock() string { return filepath.Join(l.Dir, "engine.lock") }

// StartLock is held by a client that is about to start a server.
func (l Layout) StartLock() string { return filepath.Join(l.Dir, "engine-start.lock") }

// Data is everything that the server stores. It is a cache: discarding it loses time only.
func (l Layout) Data() string { return filepath.Join(l.Dir, "engine") }

// RepeatRequest asks for the result of a definition that was solved before.
type RepeatRequest struct {
	// Attrs are those of the exporter, AttrDefinition among them.
	Attrs map[string]string `json:"attrs"`
}

// RepeatReply says whether it was delivered. If not, for whatever reason, the client solves.
type RepeatReply struct {
	Done     bool              `json:"done"`
	Response map[string]string `json:"response,omitempty"` // the exporter's, as after a solve
}
