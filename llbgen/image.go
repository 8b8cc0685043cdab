// Image: an image of a registry.

package llbgen

import (
	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/graph"
)

func (l *lowering) image(n graph.Node, a *graph.Image) llb.State {
	return llb.Image(a.Ref, as[llb.ImageOption](l.meta(n))...)
}
