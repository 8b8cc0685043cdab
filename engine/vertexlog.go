// What operations print, kept for the one that fails.

package engine

import (
	"errors"
	"regexp"
	"strconv"

	"github.com/moby/buildkit/client"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	digest "github.com/opencontainers/go-digest"
)

// maxLog is how much of one operation's output is kept.
const maxLog = 64 << 10

// vertexLogs folds a progress stream into what a failure's message needs.
type vertexLogs struct {
	names  map[digest.Digest]string
	output map[digest.Digest][]byte
	failed []digest.Digest // in the order of their failing
}

func newVertexLogs() *vertexLogs {
	return &vertexLogs{names: map[digest.Digest]string{}, output: map[digest.Digest][]byte{}}
}

func (l *vertexLogs) add(s *client.SolveStatus) {
	for _, log := range s.Logs {
		out := append(l.output[log.Vertex], log.Data...)
		if len(out) > 2*maxLog {
			out = append([]byte(nil), out[len(out)-maxLog:]...)
		}
		l.output[log.Vertex] = out
	}
	for _, v := range s.Vertexes {
		l.names[v.Digest] = v.Name
		if v.Completed == nil {
			continue
		}
		if v.Error != "" {
			l.failed = append(l.failed, v.Digest)
		} else {
			delete(l.output, v.Digest)
		}
	}
}

// vertexError is the operation that an error of a solve comes from, or nil.
func (l *vertexLogs) vertexError(err error) *VertexError {
	// Operations wrap the errors of those that they depend on: the innermost one failed itself.
	var dgst digest.Digest
	for rest := err; ; {
		var v *errdefs.VertexError
		if !errors.As(rest, &v) {
			break
		}
		dgst = digest.Digest(v.Digest)
		rest = v.Unwrap()
	}
	if dgst == "" {
		return nil
	}
	if _, known := l.names[dgst]; !known && len(l.failed) > 0 {
		dgst = l.failed[0]
	}
	out := l.output[dgst]
	return &VertexError{
		Digest: dgst, Name: l.names[dgst], ExitCode: exitCode(err),
		Output: out[max(0, len(out)-maxLog):], Err: err,
	}
}

// exitText is how BuildKit words a failed process.
var exitText = regexp.MustCompile(`did not complete successfully: exit code: (\d+)`)

// exitCode finds the status of a failed process, or -1.
func exitCode(err error) int {
	var exit *gatewayapi.ExitError
	if errors.As(err, &exit) && exit.ExitCode != gatewayapi.UnknownExitStatus {
		return int(exit.ExitCode)
	}
	if m := exitText.FindStringSubmatch(err.Error()); m != nil {
		if n, perr := strconv.Atoi(m[1]); perr == nil {
			return n
		}
	}
	return -1
}
