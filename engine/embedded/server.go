// Server: everything put together, listening on the socket of a state directory.

package embedded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/gha"
	inlinecache "github.com/moby/buildkit/cache/remotecache/inline"
	localcache "github.com/moby/buildkit/cache/remotecache/local"
	registrycache "github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	buildkit "github.com/moby/buildkit/control"
	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/grpcerrors"
	"github.com/moby/buildkit/worker"
	mnoop "go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded/export"
)

// buildkitModule is where BuildKit's version is found in the program's build information.
const buildkitModule = "github.com/moby/buildkit"

// graceTime is how long running calls may take when the server ends.
const graceTime = 100 * time.Millisecond

// Server is a running engine. It serves from Start to Close.
type Server struct {
	o       Options
	state   *state
	stores  *stores
	exec    *executor
	worker  *orderedWorker
	results *export.Worker
	ctl     *buildkit.Controller
	grpc    *grpc.Server
	started time.Time
	usage   *usage

	stop     chan struct{} // closed when somebody asked it to end
	stopOnce sync.Once
	cancel   context.CancelFunc // of what runs in the background
}

// Start opens a state directory and serves it. The error is an *engine.StartError.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	defer func() {
		if err != nil {
			err = startError(o.StateDir, err)
		}
	}()
	if o.StateDir, err = makeStateDir(o.StateDir); err != nil {
		return nil, err
	}
	st, err := openState(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Server{state: st, started: time.Now(), stop: make(chan struct{}), usage: newUsage()}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.o, err = o.withDefaults(); err != nil {
		return nil, err
	}
	var bg context.Context
	bg, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.assemble(bg); err != nil {
		return nil, err
	}
	l, err := engine.ListenSocket(st.Socket())
	if err != nil {
		return nil, err
	}
	go s.grpc.Serve(l)
	return s, nil
}

// assemble opens the stores and builds BuildKit on them, from the bottom up.
func (s *Server) assemble(ctx context.Context) error {
	root := filepath.Join(s.state.Data(), "worker")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	var err error
	if s.exec, err = newExecutor(ctx, root, s.o); err != nil {
		return err
	}
	if s.stores, err = openStores(ctx, root); err != nil {
		return err
	}
	if s.worker, err = newWorker(ctx, root, s.o, s.stores, s.exec); err != nil {
		s.stores.records.Close()
		return err
	}
	if s.ctl, err = s.controller(ctx); err != nil {
		s.worker.Close()
		return err
	}
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.StatsHandler(s.usage),
		grpc.ChainUnaryInterceptor(s.usage.count, grpcerrors.UnaryServerInterceptor),
		grpc.StreamInterceptor(grpcerrors.StreamServerInterceptor),
	)
	s.ctl.Register(s.grpc)
	registerControl(s.grpc, s)
	return nil
}

func (s *Server) controller(ctx context.Context) (_ *buildkit.Controller, err error) {
	workers := &worker.Controller{}
	s.results = s.exporting(s.worker)
	if err := workers.Add(s.results); err != nil {
		return nil, err
	}
	sessions, err := session.NewManager()
	if err != nil {
		return nil, err
	}
	keys, err := bboltcachestorage.NewStore(filepath.Join(s.state.Data(), "cache.db"))
	if err != nil {
		return nil, err
	}
	history, err := boltutil.SafeOpen(filepath.Join(s.state.Data(), "history.db"), 0o600, boltOptions())
	if err != nil {
		keys.Close()
		return nil, err
	}
	var none int64 // no entries: no history is kept
	ctl, err := buildkit.NewController(buildkit.Opt{
		SessionManager:   sessions,
		WorkerController: workers,
		Frontends:        map[string]frontend.Frontend{},
		ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{
			"registry": registrycache.ResolveCacheExporterFunc(sessions, s.worker.RegistryHosts),
			"local":    localcache.ResolveCacheExporterFunc(sessions),
			"inline":   inlinecache.ResolveCacheExporterFunc(),
			"gha":      gha.ResolveCacheExporterFunc(nil, nil),
		},
		ResolveCacheImporterFuncs: map[string]remotecache.ResolveCacheImporterFunc{
			"registry": registrycache.ResolveCacheImporterFunc(sessions, s.stores.content, s.worker.RegistryHosts),
			"local":    localcache.ResolveCacheImporterFunc(sessions),
			"gha":      gha.ResolveCacheImporterFunc(nil, nil),
		},
		CacheManager:   solver.NewCacheManager(ctx, "local", keys, worker.NewCacheResultStorage(workers)),
		Entitlements:   []string{"network.host"},
		MeterProvider:  mnoop.NewMeterProvider(),
		HistoryDB:      history,
		HistoryConfig:  &config.HistoryConfig{MaxEntries: &none},
		CacheStore:     keys,
		LeaseManager:   s.stores.leases,
		ContentStore:   s.stores.content,
		GarbageCollect: s.worker.GarbageCollect,
		GracefulStop:   ctx.Done(),
	})
	if err != nil {
		history.Close()
		keys.Close()
	}
	return ctl, err
}

// Stopping is closed when a client asked the server to end; the owner then calls Close.
func (s *Server) Stopping() <-chan struct{} { return s.stop }

func (s *Server) requestStop() { s.stopOnce.Do(func() { close(s.stop) }) }

// Close ends running builds, closes the stores, makes them durable and gives the state directory
// up. It may be called once.
func (s *Server) Close() error {
	s.requestStop()
	if s.grpc != nil {
		s.hangUp()
	}
	if s.cancel != nil {
		s.cancel()
	}
	var errs []error
	if s.o.InProcess != nil {
		errs = append(errs, s.o.InProcess.Close())
	}
	if s.exec != nil {
		errs = append(errs, s.exec.close())
	}
	if s.ctl != nil {
		errs = append(errs, s.ctl.Close()) // with the worker and its records
	}
	if s.stores != nil {
		errs = append(errs, s.stores.close())
	}
	err := errors.Join(errs...)
	clean := err == nil && s.ctl != nil
	if cerr := s.state.close(clean); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("close the engine of %s: %w", s.state.Dir, err)
	}
	return nil
}

// hangUp ends all connections. Replies that are on their way, that to the request to stop among
// them, are let through; builds that run longer are cancelled.
func (s *Server) hangUp() {
	quiet := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(quiet) }()
	select {
	case <-quiet:
	case <-time.After(graceTime):
	}
	s.grpc.Stop() // waits for its handlers
}

func buildkitVersion() client.BuildkitVersion {
	v := client.BuildkitVersion{Package: buildkitModule, Version: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, m := range info.Deps {
		if m.Path == buildkitModule {
			v.Version = m.Version
		}
	}
	return v
}
