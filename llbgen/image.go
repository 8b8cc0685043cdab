// Image: a source in a registry.

package llbgen

import (
	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client/llb"
)

func (l *lowerer) image(n graph.Node, a *graph.Image) (result, error) {
	_, platform, err := l.platform(n)
	if err != nil {
		return result{}, err
	}
	l.images[a.Ref] = true
	st := llb.Image(a.Ref, append(as[llb.ImageOption](describe(n.ID, "")), llb.Platform(platform))...)
	return result{state: reset(st)}, l.own(n.ID, st)
}
