// The control service; see engine.ControlService.

package embedded

import (
	"context"
	"encoding/json"

	"github.com/moby/buildkit/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mergefest/mergefest/engine"
)

// registerControl adds the service to a gRPC server.
func registerControl(g *grpc.Server, s *Server) {
	g.RegisterService(&grpc.ServiceDesc{
		ServiceName: engine.ControlService,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			method(engine.MethodStatus, s.status),
			method(engine.MethodStop, s.stopRequest),
			method(engine.MethodGC, s.gc),
			method(engine.MethodRepeat, s.repeat),
		},
	}, s)
}

// method wraps a function of JSON types as a gRPC method of google.protobuf.BytesValue.
func method[Q, A any](name string, f func(context.Context, Q) (A, error)) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var in wrapperspb.BytesValue
		if err := dec(&in); err != nil {
			return nil, err
		}
		var q Q
		if err := json.Unmarshal(in.GetValue(), &q); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		a, err := f(ctx, q)
		if err != nil {
			return nil, err
		}
		out, err := json.Marshal(a)
		if err != nil {
			return nil, err
		}
		return wrapperspb.Bytes(out), nil
	}}
}

func (s *Server) status(ctx context.Context, q engine.StatusRequest) (engine.StatusReply, error) {
	if s.usage.closed() {
		// The client then takes it as not running, and starts or waits for another server.
		return engine.StatusReply{}, status.Error(codes.Unavailable, "the engine is stopping")
	}
	clients, builds := s.usage.snapshot()
	a := engine.StatusReply{
		Running: true, Protocol: engine.Protocol, Build: engine.BuildID(), Version: s.o.Version,
		PID: processID(), Socket: s.state.Socket(), StateDir: s.state.Dir, Log: s.state.Log(),
		Size: -1, CacheLimit: s.o.CacheLimit, Builds: builds, Clients: clients, Started: s.started,
		BuildKit: buildkitVersion().Version, Runtime: s.exec.runtime.path, Snapshotter: s.stores.snapshotter,
		Rootless: s.exec.rootless, Platforms: s.worker.Platforms(false),
	}
	if s.o.Idle > 0 {
		a.Idle = s.o.Idle.String()
	}
	if s.o.InProcess != nil {
		a.InProcess = s.o.InProcess.Digests()
	}
	if q.Size {
		var err error
		if a.Size, err = s.size(ctx); err != nil {
			return a, err
		}
	}
	return a, nil
}

// size adds up BuildKit's records, which count every snapshot and blob once.
func (s *Server) size(ctx context.Context) (int64, error) {
	records, err := s.worker.DiskUsage(ctx, client.DiskUsageInfo{})
	if err != nil {
		return 0, err
	}
	var n int64
	for _, r := range records {
		n += r.Size
	}
	return n, nil
}

func (s *Server) stopRequest(_ context.Context, q engine.StopRequest) (engine.StopReply, error) {
	_, builds := s.usage.snapshot()
	limit := -1
	if q.IfIdle {
		limit = 1 // who asks
	}
	a := engine.StopReply{PID: processID(), Builds: builds, Stopping: s.usage.close(limit)}
	if a.Stopping {
		s.requestStop()
	}
	return a, nil
}

func (s *Server) gc(ctx context.Context, q engine.GCRequest) (engine.GCReply, error) {
	info := client.PruneInfo{All: true}
	if !q.All {
		info.MaxUsedSpace = s.o.CacheLimit
		if q.MaxUsed > 0 {
			info.MaxUsedSpace = q.MaxUsed
		}
	}
	s.state.spendReserve()
	defer s.state.fillReserve()
	ch := make(chan client.UsageInfo, 32)
	var a engine.GCReply
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r := range ch {
			a.Records++
			a.Bytes += r.Size
		}
	}()
	err := s.worker.Prune(ctx, ch, info)
	close(ch)
	<-done
	if err != nil {
		return a, err
	}
	a.Size, err = s.size(ctx)
	return a, err
}
