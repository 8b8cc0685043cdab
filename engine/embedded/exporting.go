// The worker as the controller sees it: with the exporter that writes results to the disk.

package embedded

import (
	"context"
	"path/filepath"

	"github.com/moby/buildkit/worker"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded/export"
)

// exporting adds the exporter of results (engine.ExporterName) to a worker. Its manifests live and
// die with the worker's stores.
func (s *Server) exporting(w worker.Worker) *export.Worker {
	return export.Wrap(w, export.Options{StateDir: filepath.Join(s.state.Data(), "exports")})
}

// repeat delivers a result again; see engine.MethodRepeat.
func (s *Server) repeat(ctx context.Context, q engine.RepeatRequest) (engine.RepeatReply, error) {
	s.usage.addBuilds(1)
	defer s.usage.addBuilds(-1)
	response, ok, err := s.results.Repeat(ctx, q.Attrs)
	return engine.RepeatReply{Done: ok, Response: response}, err
}
