// Engine: an open connection to a BuildKit, and what it can do.

package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/moby/buildkit/client"
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer" // docker-container://
	_ "github.com/moby/buildkit/client/connhelper/kubepod"         // kube-pod://
	_ "github.com/moby/buildkit/client/connhelper/nerdctlcontainer"
	_ "github.com/moby/buildkit/client/connhelper/podmancontainer"
	_ "github.com/moby/buildkit/client/connhelper/ssh" // ssh://
	"github.com/moby/buildkit/util/grpcerrors"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// connectTimeout bounds the first answer of an engine with a URL.
const connectTimeout = 30 * time.Second

// stockMaxMessage is what a definition may weigh on a stock daemon: its gRPC limit of 16 MiB,
// less room for the rest of the request.
const stockMaxMessage = 16<<20 - 256<<10

// Engine is an open connection. It is safe for concurrent use, several solves at once included.
// While it is open, an embedded engine doesn't stop for being idle.
type Engine struct {
	client  *client.Client
	control *control // nil unless embedded
	layout  Layout   // of the embedded engine
	url     string   // empty if embedded
	pid     int      // of the embedded engine
	info    Info
}

// Info is what an engine is and can do.
type Info struct {
	Embedded bool
	// URL is the address, empty for the embedded engine.
	URL string
	// StateDir is the embedded engine's directory.
	StateDir string
	// BuildKit is the version, such as "v0.33.1"; empty if the engine doesn't say.
	BuildKit string
	// Merge tells that the engine knows MergeOp; HardLinks that a merge costs links, not copies.
	Merge     bool
	HardLinks bool
	// InProcess lists the manifest digests of the helper images whose fetch actions the engine
	// runs in its own process.
	InProcess []string
	// Platforms are those that the engine runs natively first, then emulated ones.
	Platforms []ocispecs.Platform
	// Snapshotter is "overlayfs", "native", …; empty if the engine doesn't say.
	Snapshotter string
	// MaxMessage is the size that one definition may have, in bytes; 0 is no limit.
	MaxMessage int
}

// Open connects to the engine of the options. An embedded engine is started if none runs. The
// error is a *URLError, *ConnectError, *StartError, or the context's.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.URL == "" {
		return openEmbedded(ctx, o)
	}
	return openRemote(ctx, o)
}

func openEmbedded(ctx context.Context, o Options) (*Engine, error) {
	dir, err := o.stateDir()
	if err != nil {
		return nil, err
	}
	l := Layout{dir}
	ctl, st, err := connectEmbedded(ctx, o, l)
	if err != nil {
		return nil, err
	}
	c, err := client.New(ctx, "unix:///engine", append(guarded(),
		client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return DialSocket(ctx, l.Socket())
		}),
		client.WithGRPCDialOption(grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32))))...)
	if err != nil {
		ctl.close()
		return nil, &ConnectError{URL: "unix://" + l.Socket(), Err: err}
	}
	e := &Engine{client: c, control: ctl, layout: l, pid: st.PID, info: Info{
		Embedded: true, StateDir: dir, BuildKit: st.BuildKit, Snapshotter: st.Snapshotter,
		Merge: true, HardLinks: true, InProcess: st.InProcess, Platforms: st.Platforms,
	}}
	return e, nil
}

// guarded are the options of every connection.
func guarded() (opts []client.ClientOpt) {
	for _, o := range newStatusGuard().options() {
		opts = append(opts, client.WithGRPCDialOption(o))
	}
	return opts
}

func openRemote(ctx context.Context, o Options) (*Engine, error) {
	addr, tls, err := o.remote()
	if err != nil {
		return nil, err
	}
	opts := guarded()
	if !tls.isZero() {
		opts = append(opts, client.WithServerConfig(tls.ServerName, tls.CACert))
		if tls.CACert == "" {
			opts = append(opts, client.WithServerConfigSystem(tls.ServerName))
		}
		if tls.Cert != "" || tls.Key != "" {
			opts = append(opts, client.WithCredentials(tls.Cert, tls.Key))
		}
	}
	c, err := client.New(ctx, addr, opts...)
	if err != nil {
		return nil, &ConnectError{URL: addr, Err: err}
	}
	e := &Engine{client: c, url: addr}
	tctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no answer within %v", connectTimeout))
	defer cancel()
	if e.info, err = remoteInfo(tctx, c); err != nil {
		c.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if tctx.Err() != nil {
			err = context.Cause(tctx)
		}
		return nil, &ConnectError{URL: addr, Err: err}
	}
	e.info.URL = addr
	return e, nil
}

func remoteInfo(ctx context.Context, c *client.Client) (Info, error) {
	info := Info{MaxMessage: stockMaxMessage}
	v, err := c.Info(ctx)
	switch {
	case err == nil:
		info.BuildKit = v.BuildkitVersion.Version
	case grpcerrors.Code(err) != codes.Unimplemented: // daemons before v0.11 don't have it
		return info, err
	}
	workers, err := c.ListWorkers(ctx)
	if err != nil {
		return info, err
	}
	if len(workers) == 0 {
		return info, errors.New("it has no worker")
	}
	w := workers[0] // the default one, which solves use
	info.Platforms = w.Platforms
	info.Snapshotter = w.Labels["org.mobyproject.buildkit.worker.snapshotter"]
	info.Merge = knowsMerge(info.BuildKit)
	info.HardLinks = slices.Contains([]string{"overlayfs", "native", "stargz"}, info.Snapshotter)
	return info, nil
}

// knowsMerge tells whether a version has MergeOp, which came with v0.10. Versions that are no
// semantic version, or 0.0.0, are builds of some commit: recent ones, as v0.11 brought the question.
func knowsMerge(version string) bool {
	if version == "" {
		return false
	}
	v, err := semver.NewVersion(strings.SplitN(version, "-", 2)[0])
	return err != nil || v.Major() == 0 && v.Minor() == 0 || !v.LessThan(semver.New(0, 10, 0, "", ""))
}

// Info tells what the engine is and can do.
func (e *Engine) Info() Info { return e.info }

// Client is BuildKit's own client of the connection, for what this package doesn't wrap. It ends
// with Close.
func (e *Engine) Client() *client.Client { return e.client }

// Close ends the connection.
func (e *Engine) Close() error {
	if e.control != nil {
		e.control.close()
	}
	return e.client.Close()
}
