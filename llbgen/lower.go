// The driver: nodes in topological order, each lowered by the file of its kind.

package llbgen

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client/llb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Lower lowers what the roots of a graph need. The errors are *OptionError, *TooLargeError, and
// *Error around the reason why a node can't be lowered, such as a *HelperError; all nodes that can't
// be lowered are reported.
func Lower(ctx context.Context, g *graph.Graph, o Options) (*Plan, error) {
	platform, err := parsePlatform(o.Platform)
	if err != nil {
		return nil, &OptionError{Option: "Platform", Err: err}
	}
	l := &lowerer{
		g:        g.Reachable(),
		o:        o,
		ctx:      ctx,
		c:        &llb.Constraints{Platform: &platform, LocalUniqueID: o.LocalDigest},
		results:  map[graph.ID]result{},
		vertices: map[digest.Digest][]graph.ID{},
		imports:  map[digest.Digest]bool{},
		secrets:  map[string]bool{},
		optional: map[string]bool{},
		images:   map[string]bool{},
		made:     map[graph.ID][]string{},
	}
	var errs []error
	for _, id := range l.g.Topo() {
		n, _ := l.g.Node(id)
		res, err := l.node(n)
		if optErr := (*OptionError)(nil); errors.As(err, &optErr) {
			return nil, optErr
		}
		if err != nil {
			errs = append(errs, &Error{Node: id, Chain: l.g.Chain(id), Err: err})
			continue
		}
		l.results[id] = res
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	exports, err := l.exports()
	if err != nil {
		return nil, err
	}
	for _, ids := range l.vertices {
		slices.SortFunc(ids, graph.ID.Compare)
	}
	return &Plan{
		Exports:         exports,
		Vertices:        l.vertices,
		Imports:         slices.Sorted(maps.Keys(l.imports)),
		Secrets:         slices.Sorted(maps.Keys(l.secrets)),
		OptionalSecrets: slices.Sorted(maps.Keys(l.optional)),
		Images:          slices.Sorted(maps.Keys(l.images)),
		SSH:             l.ssh,
	}, nil
}

type lowerer struct {
	g        *graph.Graph
	o        Options
	ctx      context.Context
	c        *llb.Constraints // one for everything: vertices cache what they marshal by it
	results  map[graph.ID]result
	vertices map[digest.Digest][]graph.ID
	local    *llb.State
	helpers  map[string]helper
	imports  map[digest.Digest]bool
	secrets  map[string]bool
	optional map[string]bool // secrets too
	images   map[string]bool
	ssh      bool
	made     map[graph.ID][]string // cache of outputs
}

// result is where a node's output is: the content of a directory of a state.
type result struct {
	state llb.State
	dir   string // relative; empty is all of it
}

func (l *lowerer) node(n graph.Node) (result, error) {
	switch a := n.Action.(type) {
	case *graph.Fetch:
		return l.fetch(n, a)
	case *graph.Run:
		return l.run(n, a)
	case *graph.Write:
		return l.write(n, a)
	case *graph.Local:
		return l.localFiles(n)
	case *graph.Merge:
		return l.merge(n, a)
	case *graph.Image:
		return l.image(n, a)
	case *graph.Git:
		return l.git(n, a)
	case *graph.Import:
		return l.imported(n, a)
	}
	return result{}, fmt.Errorf("an action of the type %T can't be lowered", n.Action)
}

// own records that the vertex of a state belongs to a node.
func (l *lowerer) own(id graph.ID, s llb.State) error {
	out := s.Output()
	if out == nil {
		return nil
	}
	dgst, _, _, _, err := out.Vertex(l.ctx, l.c).Marshal(l.ctx, l.c)
	if err != nil {
		return err
	}
	if !slices.Contains(l.vertices[dgst], id) {
		l.vertices[dgst] = append(l.vertices[dgst], id)
	}
	return nil
}

// describe gives a vertex its name and its group in progress displays; what tells apart the
// vertices of one node.
func describe(id graph.ID, what string) []llb.ConstraintsOpt {
	kind := id.Ecosystem + "/" + id.Kind
	name := "[" + kind + "] " + id.Package
	if id.Version != "" {
		name += "@" + id.Version
	}
	if what != "" {
		name += ": " + what
	}
	return []llb.ConstraintsOpt{llb.WithCustomName(name), llb.ProgressGroup(kind, kind, true)}
}

// as gives options the type of another kind of option, which all of them are.
func as[T any](opts []llb.ConstraintsOpt) []T {
	out := make([]T, len(opts))
	for i, o := range opts {
		out[i] = any(o).(T)
	}
	return out
}

// platform returns where a node runs.
func (l *lowerer) platform(n graph.Node) (string, ocispecs.Platform, error) {
	name := n.Platform
	if name == "" {
		name = l.o.Platform
	}
	p, err := parsePlatform(name)
	return name, p, err
}

func parsePlatform(s string) (ocispecs.Platform, error) {
	if err := graph.CheckPlatform(s); err != nil {
		return ocispecs.Platform{}, err
	}
	parts := append(strings.Split(s, "/"), "")
	return ocispecs.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}, nil
}

// under joins relative paths; the result is empty for "all of it".
func under(dir, p string) string {
	if p = path.Join(dir, p); p == "." {
		return ""
	}
	return p
}
