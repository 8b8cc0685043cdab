// Fetch: an exec op with a network.

package llbgen

import (
	"maps"
	"path"
	"slices"

	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client/llb"
)

func (l *lowerer) fetch(n graph.Node, a *graph.Fetch) (result, error) {
	doc, err := document(a.Fetch)
	if err != nil {
		return result{}, err
	}
	options := []llb.RunOption{l.secret(graph.Secret{Name: NetworkSecret, Target: NetFile, Optional: true})}
	names := map[string]bool{}
	for _, it := range a.Items {
		if it.Auth != "" {
			names[it.Auth] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		options = append(options, l.secret(graph.Secret{Name: name, Target: path.Join(AuthDir, name)}))
	}
	return l.exec(execution{node: n, command: "fetch", doc: doc, network: true, options: options})
}
