// Lower, its options and what it returns.

package llbgen

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/moby/buildkit/client/llb"
	digest "github.com/opencontainers/go-digest"

	"github.com/mergefest/mergefest/graph"
)

// Names that a client and its definitions agree on.
const (
	// StoreName is the content store of the session that serves Import nodes and helper images.
	StoreName = "mergefest"
	// LocalName is the local directory of the session that serves Local nodes; see Locals.
	LocalName = "mergefest"
	// NetworkSecret is the optional secret with the network settings.
	NetworkSecret = "mergefest.net"
)

// Options describe the engine and what the client serves.
type Options struct {
	// Helper maps platforms ("linux/amd64") to the manifest digests of the helper's images.
	Helper map[string]digest.Digest
	// Platform is where nodes run that name none.
	Platform string
	// LocalDigest identifies the content of the local directory; needed if there are Local nodes.
	LocalDigest string
	// NoMerge lowers without MergeOp, by copies.
	NoMerge bool
	// MaxBytes is the size that one definition may have; 0 is unlimited.
	MaxBytes int
}

// Plan is a lowered graph.
type Plan struct {
	// Exports are the results, in order of their directories.
	Exports []Export
	// Vertices maps ops to the nodes that they carry out, in canonical order.
	Vertices map[digest.Digest][]graph.ID
	// Imports are the manifests that must be in the content store, helper images included.
	Imports []digest.Digest
	// Secrets are the names of the secrets that nodes ask for, without NetworkSecret.
	Secrets []string
}

// Export is a directory of results.
type Export struct {
	// Dir is relative to the output directory; "." is the directory itself.
	Dir string
	// Definitions are solved into Dir one after the other; later files win. There are several if
	// one would be too large for the engine.
	Definitions []*llb.Definition
}

// HelperError says that an action would run on a platform for which there is no helper.
type HelperError struct {
	Node     graph.ID
	Platform string
}

func (e *HelperError) Error() string {
	return fmt.Sprintf("%s: nothing can run on %s: there is no helper program for it; choose an engine of another platform", e.Node, e.Platform)
}

// TooLargeError says that a definition can't be made small enough for the engine.
type TooLargeError struct {
	Node       graph.ID // the node whose closure is too large
	Size, Most int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s: it and what it needs make a definition of %d bytes, and the engine takes at most %d; "+
		"join nodes (--granularity module) or use the embedded engine, which has no limit", e.Node, e.Size, e.Most)
}

// Lower turns the graph into definitions. The errors are *HelperError, *TooLargeError and those
// of BuildKit's client library.
func Lower(ctx context.Context, g *graph.Graph, o Options) (*Plan, error) {
	l := &lowering{
		ctx: ctx, g: g, o: o,
		states: make(map[graph.ID]llb.State, g.Len()), nodes: map[digest.Digest][]graph.ID{},
		imports: map[digest.Digest]bool{}, secrets: map[string]bool{},
	}
	for _, id := range g.Topo() {
		n, _ := g.Node(id)
		st, err := l.node(n)
		if err != nil {
			return nil, err
		}
		l.states[id] = st
		if err := l.record(n, st); err != nil {
			return nil, err
		}
	}
	exports, err := l.exports()
	if err != nil {
		return nil, err
	}
	for _, ids := range l.nodes {
		slices.SortFunc(ids, graph.ID.Compare)
	}
	return &Plan{
		Exports: exports, Vertices: l.nodes,
		Imports: slices.Sorted(maps.Keys(l.imports)), Secrets: slices.Sorted(maps.Keys(l.secrets)),
	}, nil
}

// lowering is the state of one call of Lower.
type lowering struct {
	ctx     context.Context
	g       *graph.Graph
	o       Options
	states  map[graph.ID]llb.State
	nodes   map[digest.Digest][]graph.ID
	imports map[digest.Digest]bool
	secrets map[string]bool
}

// node lowers one node whose inputs have been lowered.
func (l *lowering) node(n graph.Node) (llb.State, error) {
	switch a := n.Action.(type) {
	case *graph.Fetch:
		return l.fetch(n, a)
	case *graph.Run:
		return l.run(n, a)
	case *graph.Write:
		return l.write(n, a)
	case *graph.Local:
		return l.local(), nil
	case *graph.Merge:
		return l.merge(n, a), nil
	case *graph.Image:
		return l.image(n, a), nil
	case *graph.Import:
		return l.imported(n.ID, digest.Digest(a.Digest), a.Name, l.platform(n)), nil
	}
	return llb.State{}, fmt.Errorf("%s: unknown action %T", n.ID, n.Action)
}

// record remembers which op is the node's.
func (l *lowering) record(n graph.Node, st llb.State) error {
	out := st.Output()
	if out == nil { // the empty directory
		return nil
	}
	c := l.constraints()
	dgst, _, _, _, err := out.Vertex(l.ctx, &c).Marshal(l.ctx, &c)
	if err != nil {
		return fmt.Errorf("%s: %w", n.ID, err)
	}
	if _, merge := n.Action.(*graph.Merge); merge && len(l.nodes[dgst]) > 0 {
		return nil // a merge of one part is that part's op
	}
	l.nodes[dgst] = append(l.nodes[dgst], n.ID)
	return nil
}

// platform is where a node runs.
func (l *lowering) platform(n graph.Node) string {
	if n.Platform != "" {
		return n.Platform
	}
	return l.o.Platform
}
