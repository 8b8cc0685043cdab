// Import: a source in the client's content store.

package llbgen

import (
	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client/llb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

func (l *lowerer) imported(n graph.Node, a *graph.Import) (result, error) {
	_, platform, err := l.platform(n)
	if err != nil {
		return result{}, err
	}
	st := l.layout("import", digest.Digest(a.Digest), platform, describe(n.ID, a.Name))
	return result{state: st}, l.own(n.ID, st)
}

// layout returns an image of the content store. BuildKit wants a reference of two parts.
func (l *lowerer) layout(name string, manifest digest.Digest, p ocispecs.Platform, opts []llb.ConstraintsOpt) llb.State {
	l.imports[manifest] = true
	options := append(as[llb.OCILayoutOption](opts), llb.Platform(p), llb.OCIStore("", StoreName))
	return llb.OCILayout("mergefest/"+name+"@"+manifest.String(), options...)
}
