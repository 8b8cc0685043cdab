// Run: the helper with the node's mounts and no network.

package llbgen

import (
	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// runDocument is what `helper run` reads.
type runDocument struct {
	action.Run
	Links map[string]string `json:"links,omitempty"`
}

func (l *lowering) run(n graph.Node, a *graph.Run) (llb.State, error) {
	var ro []llb.RunOption
	for _, in := range a.Mounts {
		ro = append(ro, l.mount(in))
	}
	for _, s := range a.Secrets {
		l.secrets[s.Name] = true
		ro = append(ro, secret(s))
	}
	var base *llb.State
	if a.Base != nil {
		st, sel := l.source(*a.Base)
		if sel != "" {
			st = l.copyInto(llb.Scratch(), *a.Base, "/", l.meta(n))
		}
		base = &st
	}
	return l.exec(n, "run", runDocument{a.Run, a.Internal}, base, a.Network, ro...)
}

func secret(s graph.Secret) llb.RunOption {
	so := []llb.SecretOption{llb.SecretID(s.Name)}
	if s.Optional {
		so = append(so, llb.SecretOptional)
	}
	if s.Env != "" {
		return llb.AddSecret(s.Env, append(so, llb.SecretAsEnv(true))...)
	}
	return llb.AddSecret(s.Target, so...)
}
