// The worker as the controller sees it: with the exporter that writes results to the disk.

package embedded

import (
	"path/filepath"

	"github.com/moby/buildkit/worker"

	"github.com/mergefest/mergefest/engine/embedded/export"
)

// exporting adds the exporter of results (engine.ExporterName) to a worker. Its manifests live and
// die with the worker's stores.
func (s *Server) exporting(w worker.Worker) worker.Worker {
	return export.Wrap(w, export.Options{StateDir: filepath.Join(s.state.Data(), "exports")})
}
