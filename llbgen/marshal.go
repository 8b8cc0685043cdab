// From states to definitions.
//
// llb.State.Marshal would do, but it marshals every vertex again for every definition and doesn't say
// how large they get. It also takes defaults from the host, which are given here.

package llbgen

import (
	"context"
	"io"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	digest "github.com/opencontainers/go-digest"
	"google.golang.org/protobuf/proto"
)

// inputSize is what an input adds to a merge, in bytes.
const inputSize = 96

type marshaller struct {
	ctx  context.Context
	c    *llb.Constraints
	def  *llb.Definition
	size int // of the definition so far, when sent
	seen map[llb.Vertex]bool
}

func newMarshaller(ctx context.Context, c *llb.Constraints) *marshaller {
	return &marshaller{ctx: ctx, c: c, def: &llb.Definition{Metadata: map[digest.Digest]llb.OpMetadata{}, Constraints: c}, seen: map[llb.Vertex]bool{}}
}

// add adds the vertices that a state needs, inputs first.
func (m *marshaller) add(s llb.State) error {
	if s.Output() == nil {
		return nil
	}
	return m.vertex(s.Output().Vertex(m.ctx, m.c))
}

func (m *marshaller) vertex(v llb.Vertex) error {
	if m.seen[v] {
		return nil
	}
	m.seen[v] = true
	for _, in := range v.Inputs() {
		if err := m.vertex(in.Vertex(m.ctx, m.c)); err != nil {
			return err
		}
	}
	dgst, data, meta, _, err := v.Marshal(m.ctx, m.c)
	if err != nil {
		return err
	}
	if _, dup := m.def.Metadata[dgst]; dup {
		return nil // another vertex that does the same thing; the first one names it
	}
	m.def.Metadata[dgst] = llb.NewOpMetadata(meta)
	m.def.Def = append(m.def.Def, data)
	const framing = 16
	m.size += len(data) + len(dgst) + proto.Size(meta) + framing
	return nil
}

// definition ends the definition with its result.
func (m *marshaller) definition(s llb.State) (*llb.Definition, error) {
	in, err := s.Output().ToInput(m.ctx, m.c)
	if err != nil {
		return nil, err
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(&pb.Op{Inputs: []*pb.Input{in}})
	if err != nil {
		return nil, err
	}
	m.def.Def = append(m.def.Def, data)
	m.def.Metadata[digest.FromBytes(data)] = llb.OpMetadata{Caps: map[apicaps.CapID]bool{
		pb.CapConstraints: true, pb.CapPlatform: true, pb.CapMetaDescription: true,
	}}
	return m.def, nil
}

// Write writes a definition as "buildctl build" reads it. Unlike llb.WriteTo it always writes the
// same bytes for the same definition.
func Write(w io.Writer, def *llb.Definition) error {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(def.ToPB())
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
