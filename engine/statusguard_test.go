package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"

	controlapi "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// refusing is a BuildKit that refuses every solve, and whose progress streams wait for a build.
type refusing struct {
	controlapi.UnimplementedControlServer
	sent int // statuses before a stream waits
}

func (r *refusing) Solve(context.Context, *controlapi.SolveRequest) (*controlapi.SolveResponse, error) {
	return nil, status.Error(codes.InvalidArgument, "refused")
}

func (r *refusing) Status(_ *controlapi.StatusRequest, s controlapi.Control_StatusServer) error {
	for range r.sent {
		if err := s.Send(&controlapi.StatusResponse{}); err != nil {
			return err
		}
	}
	if r.sent > 0 {
		return nil
	}
	<-s.Context().Done()
	return s.Context().Err()
}

// dialRefusing connects to such a BuildKit.
func dialRefusing(t *testing.T, r *refusing) controlapi.ControlClient {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	controlapi.RegisterControlServer(srv, r)
	go srv.Serve(l)
	t.Cleanup(srv.Stop)
	c, err := client.New(t.Context(), "unix://"+l.Addr().String(), guarded()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.ControlClient()
}

// The progress stream of a solve that was refused ends, whether it was opened before or after.
func TestStatusOfRefusedSolve(t *testing.T) {
	c := dialRefusing(t, &refusing{})
	solve := func(ref string) {
		if _, err := c.Solve(t.Context(), &controlapi.SolveRequest{Ref: ref}); err == nil {
			t.Fatal("the solve wasn't refused")
		}
	}
	open := func(ref string) controlapi.Control_StatusClient {
		s, err := c.Status(t.Context(), &controlapi.StatusRequest{Ref: ref})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := open("before")
	solve("before")
	solve("after")
	for name, s := range map[string]controlapi.Control_StatusClient{"before": before, "after": open("after")} {
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("opened %s the solve: %v", name, err)
		}
	}
}

// Progress that has begun is received to its end.
func TestStatusOfFailedSolve(t *testing.T) {
	c := dialRefusing(t, &refusing{sent: 3})
	s, err := c.Status(t.Context(), &controlapi.StatusRequest{Ref: "r"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := s.Recv(); err != nil {
			t.Fatalf("status %d: %v", i, err)
		}
		if _, err := c.Solve(t.Context(), &controlapi.SolveRequest{Ref: "r"}); err == nil {
			t.Fatal("the solve wasn't refused")
		}
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
}
