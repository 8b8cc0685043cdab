// Solving: one definition, its inputs from this process, its result on this machine's disk.

package engine

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/docker/cli/cli/config"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/session/secrets"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/util/grpcerrors"
	"github.com/tonistiigi/fsutil"
	"google.golang.org/grpc/codes"
)

// ExporterName is the type of the embedded engine's own exporter. Its attribute "dir" is the
// absolute path of the directory on the engine's machine that receives the result.
const ExporterName = "mergefest"

// Request is one solve.
type Request struct {
	Definition *llb.Definition
	// Locals are the directories that the definition's local sources name.
	Locals map[string]fsutil.FS
	// Stores are the content stores that the definition's OCI layout sources name.
	Stores map[string]content.Store
	// Secrets gives the definition's secrets; nil has none.
	Secrets secrets.SecretStore
	// SharedKey tells the engine which sessions send the same local directories, so that it
	// compares with what it has. Empty shares nothing.
	SharedKey string
	// Output receives the result; nil evaluates only.
	Output *Output
	// Repeat says that the result depends on nothing but the definition (no tag of an image that may
	// move), so that an embedded engine that still has it may deliver it without looking at any operation.
	// Status hears of none then.
	Repeat bool
	// CacheFrom and CacheTo are remote caches.
	CacheFrom, CacheTo []client.CacheOptionsEntry
	// Attachables are more services for the session.
	Attachables []session.Attachable
	// Status receives the progress, from one goroutine at a time, before Solve returns; nil drops
	// it.
	Status func(*client.SolveStatus)
}

// Output is a directory that receives a result.
type Output struct {
	// Dir is made if it doesn't exist. Files in it that the result doesn't have stay, except those
	// that an earlier solve of the embedded engine left there for a result of the same name.
	Dir string
	// Results are what the directory receives; none is one result without a name.
	Results []Delivery
	// Attrs are more attributes for the exporter.
	Attrs map[string]string
}

// Result is what an engine reports about a finished solve.
type Result struct {
	// Response are the exporter's remarks by name.
	Response map[string]string
}

// Solve builds the definition. A failing operation is a *VertexError, an engine that ends a
// *GoneError, a full disk of the embedded engine a *DiskFullError (around the other error).
func (e *Engine) Solve(ctx context.Context, r Request) (*Result, error) {
	opt, sent, err := e.solveOpt(r)
	if err != nil {
		return nil, err
	}
	if res := e.repeat(ctx, opt.Exports); res != nil {
		return res, nil
	}
	logs := newVertexLogs()
	ch := make(chan *client.SolveStatus, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := range ch {
			logs.add(s)
			if r.Status != nil {
				r.Status(s)
			}
		}
	}()
	resp, err := e.client.Solve(ctx, r.Definition, opt, ch)
	<-done
	var response map[string]string
	if sent != nil {
		response, err = sent.finish(err)
	} else if err == nil {
		response = resp.ExporterResponse
	}
	if err != nil {
		return nil, e.solveError(ctx, err, logs, len(opt.Exports) > 0)
	}
	return &Result{Response: response}, nil
}

func (e *Engine) solveOpt(r Request) (opt client.SolveOpt, sent *delivery, err error) {
	opt = client.SolveOpt{
		LocalMounts:  r.Locals,
		OCIStores:    r.Stores,
		SharedKey:    r.SharedKey,
		CacheImports: r.CacheFrom,
		CacheExports: r.CacheTo,
		Session:      append([]session.Attachable{registryAuth()}, r.Attachables...),
	}
	if r.Secrets != nil {
		opt.Session = append(opt.Session, secretsprovider.NewSecretProvider(r.Secrets))
	}
	switch {
	case r.Output == nil:
	case e.info.Embedded:
		opt.Exports, err = e.exports(&r)
	default:
		sent, err = e.receive(r.Output, &opt)
	}
	return opt, sent, err
}

// repeat delivers a result that the engine still has; nil if it has to be solved for.
func (e *Engine) repeat(ctx context.Context, exports []client.ExportEntry) *Result {
	if len(exports) != 1 || exports[0].Attrs[AttrDefinition] == "" {
		return nil
	}
	var reply RepeatReply
	err := e.control.call(ctx, MethodRepeat, RepeatRequest{Attrs: exports[0].Attrs}, &reply)
	if err != nil || !reply.Done {
		return nil // solving tells what is wrong
	}
	return &Result{Response: reply.Response}
}

// registryAuth offers the user's registry credentials, as docker's configuration has them.
func registryAuth() session.Attachable {
	return authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{
		AuthConfigProvider: authprovider.LoadAuthConfig(config.LoadDefaultConfigFile(io.Discard)),
	})
}

// solveError finds out what kind of failure an error of a solve is, which exports something or not.
func (e *Engine) solveError(ctx context.Context, err error, logs *vertexLogs, exports bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e.gone(ctx, err) {
		return &GoneError{URL: e.url, Log: e.layout.Log(), Err: err}
	}
	v := logs.vertexError(err)
	if v != nil {
		err = v
	}
	if e.info.Embedded {
		// What fails and isn't an operation is the export, whose disk may be another one.
		if free, full := diskFull(e.layout.Dir, err, v == nil && exports); full {
			return &DiskFullError{Dir: e.layout.Dir, Free: free, Err: err}
		}
	}
	return err
}

// gone tells whether the engine still answers, if the error makes one doubt it.
func (e *Engine) gone(ctx context.Context, err error) bool {
	switch grpcerrors.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.Unknown, codes.Internal:
	default:
		if !errors.Is(err, io.EOF) {
			return false
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if e.control != nil {
		st, err := e.control.status(ctx, StatusRequest{})
		return err != nil || st.PID != e.pid
	}
	_, err = e.client.Info(ctx)
	return err != nil && grpcerrors.Code(err) != codes.Unimplemented
}

// diskFull tells whether a failure comes from a full disk of a directory, by what is left there or,
// unless the message may mean another disk, by its message.
func diskFull(dir string, err error, otherDisk bool) (free int64, full bool) {
	var st syscall.Statfs_t
	if serr := syscall.Statfs(dir, &st); serr != nil {
		return 0, isDiskFull(err) && !otherDisk
	}
	free = int64(st.Bavail) * st.Bsize
	return free, isDiskFull(err) && !otherDisk || free < 1<<20 || st.Files > 0 && st.Ffree == 0
}
