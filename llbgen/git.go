// Git: a source in a repository.

package llbgen

import (
	"errors"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client/llb"
)

func (l *lowerer) git(n graph.Node, a *graph.Git) (result, error) {
	options := append(as[llb.GitOption](describe(n.ID, "")), llb.GitRef(a.Commit))
	if !a.Submodules {
		options = append(options, llb.GitSkipSubmodules())
	}
	if strings.HasPrefix(a.URL, "ssh:") {
		// Without any, BuildKit's client would ask the server for its keys while it makes the
		// definition, and trust the answer.
		if l.o.KnownHosts == "" {
			return result{}, errors.New("there is no known_hosts file, so the server of " + a.URL + " couldn't be trusted; connect to it once with ssh")
		}
		options = append(options, llb.KnownSSHHosts(l.o.KnownHosts))
		l.ssh = true
	}
	st := llb.Git(a.URL, "", options...)
	return result{state: reset(st)}, l.own(n.ID, st)
}
