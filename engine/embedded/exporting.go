// The worker as the controller sees it: with the exporter that writes results to the disk.

package embedded

import "github.com/moby/buildkit/worker"

// exporting adds the exporter of results (engine.ExporterName) to a worker.
func (s *Server) exporting(w worker.Worker) worker.Worker { return w }
