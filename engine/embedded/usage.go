// Who is using the server: open connections and running builds.

package embedded

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/mergefest/mergefest/engine"
)

// usage counts clients and builds. It is a gRPC stats handler for the former and an interceptor for
// the latter.
type usage struct {
	mu      sync.Mutex
	clients int
	builds  int
	since   time.Time // when the last client left, or the start
	closing bool      // no new client is taken
}

func newUsage() *usage { return &usage{since: time.Now()} }

func (u *usage) snapshot() (clients, builds int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.clients, u.builds
}

// idle is for how long nobody has been connected; 0 while somebody is.
func (u *usage) idle() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.clients > 0 || u.builds > 0 {
		return 0
	}
	return time.Since(u.since)
}

// close refuses new clients from now on, if at most that many are connected and no build runs; a
// negative number closes in any case. It tells whether new clients are refused.
func (u *usage) close(clients int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if clients < 0 || u.clients <= clients && u.builds == 0 {
		u.closing = true
	}
	return u.closing
}

// closed tells whether new clients are refused.
func (u *usage) closed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.closing
}

func (u *usage) addBuilds(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.builds += n
	u.since = time.Now()
}

// count counts calls of BuildKit's Solve while they run.
func (u *usage) count(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
	if strings.HasSuffix(info.FullMethod, "Control/Solve") {
		u.addBuilds(1)
		defer u.addBuilds(-1)
	}
	return h(ctx, req)
}

// connection is what is known of one; who only looks at the status doesn't keep the server alive.
type connection struct{ works atomic.Bool }

type connectionKey struct{}

// TagConn implements stats.Handler.
func (u *usage) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return context.WithValue(ctx, connectionKey{}, new(connection))
}

// TagRPC implements stats.Handler.
func (u *usage) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok && !strings.HasPrefix(info.FullMethodName, "/"+engine.ControlService+"/") {
		c.works.Store(true)
	}
	return ctx
}

// HandleConn implements stats.Handler.
func (u *usage) HandleConn(ctx context.Context, s stats.ConnStats) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch s.(type) {
	case *stats.ConnBegin:
		u.clients++
	case *stats.ConnEnd:
		u.clients--
		if c, ok := ctx.Value(connectionKey{}).(*connection); ok && c.works.Load() {
			u.since = time.Now()
		}
	}
}

// HandleRPC implements stats.Handler.
func (u *usage) HandleRPC(context.Context, stats.RPCStats) {}
