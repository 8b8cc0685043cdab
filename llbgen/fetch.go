// Fetch: the helper with a network, its settings, and the credentials that items name.

package llbgen

import (
	"path"
	"slices"

	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/graph"
)

// Where the helper finds secrets; internal/helper has the same names.
const (
	networkFile = "/.mergefest-net.json"
	authDir     = "/.mergefest-auth"
)

func (l *lowering) fetch(n graph.Node, a *graph.Fetch) (llb.State, error) {
	ro := []llb.RunOption{llb.AddSecret(networkFile, llb.SecretID(NetworkSecret), llb.SecretOptional)}
	var names []string
	for _, item := range a.Items {
		if item.Auth != "" {
			names = append(names, item.Auth)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		l.secrets[name] = true
		ro = append(ro, llb.AddSecret(path.Join(authDir, name), llb.SecretID(name)))
	}
	return l.exec(n, "fetch", &a.Fetch, nil, true, ro...)
}
