// How many fetches one operation does, where that matters.
package build

import (
	"slices"

	digest "github.com/opencontainers/go-digest"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/llbgen"
)

// fetchesPerOp is how many fetches at most share an operation on an engine that runs each operation
// in a container, with connections of its own.
const fetchesPerOp = 32

// lowerable is the graph that is lowered in place of a planned one.
type lowerable struct {
	graph *graph.Graph
	// joined lists the planned nodes that one of the graph's stands for, if it isn't itself.
	joined map[graph.ID][]graph.ID
}

// bucketed joins fetches, unless the options ask for an operation for each package. info is nil for
// an engine that isn't known, which is taken to have nothing but containers.
func (o Options) bucketed(g *graph.Graph, helpers map[string]digest.Digest, info *engine.Info) (lowerable, error) {
	if o.Granularity == "package" || info != nil && inProcess(helpers, *info) {
		return lowerable{graph: g}, nil
	}
	groups := graph.Bucket(g, fetchesPerOp)
	joined, err := graph.Join(g, groups)
	return lowerable{joined, groups}, err
}

// inProcess tells whether an engine runs the helpers' fetches as functions of its own.
func inProcess(helpers map[string]digest.Digest, info engine.Info) bool {
	for _, dgst := range helpers {
		if !slices.Contains(info.InProcess, dgst.String()) {
			return false
		}
	}
	return true
}

// nodeOf finds a vertex's planned nodes. The one transfer of local files belongs to all Local nodes.
func (l lowerable) nodeOf(p *llbgen.Plan) func(digest.Digest) ([]graph.ID, bool) {
	return func(d digest.Digest) ([]graph.ID, bool) {
		ids, ok := p.Vertices[d]
		var planned []graph.ID
		for _, id := range ids {
			if members, joined := l.joined[id]; joined {
				planned = append(planned, members...)
			} else {
				planned = append(planned, id)
			}
		}
		return planned, ok
	}
}
