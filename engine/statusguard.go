// Solves that fail before they begin.

package engine

import (
	"context"
	"io"
	"sync"
	"time"

	controlapi "github.com/moby/buildkit/api/services/control"
	"google.golang.org/grpc"
)

// statusGrace is how long the progress of a solve that has failed may still come in.
const statusGrace = 200 * time.Millisecond

// statusGuard ends the progress stream of a solve that failed before the engine made it a build: a
// refused attribute, an early interrupt. BuildKit's client would wait five seconds for progress that
// never comes. It intercepts the calls of one connection.
type statusGuard struct {
	mu      sync.Mutex
	streams map[string]*guardedStream // by the solve's reference
	failed  map[string]bool           // solves whose stream hasn't been opened yet
}

func newStatusGuard() *statusGuard {
	return &statusGuard{streams: map[string]*guardedStream{}, failed: map[string]bool{}}
}

func (g *statusGuard) options() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(g.unary), grpc.WithChainStreamInterceptor(g.stream)}
}

func (g *statusGuard) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := call(ctx, method, req, reply, cc, opts...)
	if solve, ok := req.(*controlapi.SolveRequest); ok && err != nil {
		g.solveFailed(solve.Ref)
	}
	return err
}

func (g *statusGuard) solveFailed(ref string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.streams[ref]; s != nil {
		s.expire()
	} else {
		g.failed[ref] = true
	}
}

func (g *statusGuard) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if method != controlapi.Control_Status_FullMethodName {
		return open(ctx, desc, cc, method, opts...)
	}
	ctx, cancel := context.WithCancel(ctx)
	s, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		cancel()
		return nil, err
	}
	return &guardedStream{ClientStream: s, guard: g, cancel: cancel}, nil
}

// guardedStream is the progress stream of one solve.
type guardedStream struct {
	grpc.ClientStream
	guard  *statusGuard
	cancel context.CancelFunc

	ref     string
	begun   bool // something came; it then ends by itself. guard.mu guards both
	expired bool
}

// SendMsg sends the request, which names the solve.
func (s *guardedStream) SendMsg(m any) error {
	if req, ok := m.(*controlapi.StatusRequest); ok {
		s.guard.mu.Lock()
		s.ref = req.Ref
		s.guard.streams[s.ref] = s
		if s.guard.failed[s.ref] {
			delete(s.guard.failed, s.ref)
			s.expire()
		}
		s.guard.mu.Unlock()
	}
	return s.ClientStream.SendMsg(m)
}

// RecvMsg receives progress. The end of an expired stream is an ordinary one.
func (s *guardedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	if err == nil {
		s.begun = true
		return nil
	}
	delete(s.guard.streams, s.ref)
	s.cancel()
	if s.expired {
		return io.EOF
	}
	return err
}

// expire ends the stream soon unless something comes. guard.mu is held.
func (s *guardedStream) expire() {
	if s.begun {
		return
	}
	time.AfterFunc(statusGrace, func() {
		s.guard.mu.Lock()
		defer s.guard.mu.Unlock()
		if !s.begun {
			s.expired = true
			s.cancel()
		}
	})
}
