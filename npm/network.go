package npm

// What nodes with a network get of the client: proxies, and the certificates of its authorities.

import (
	"slices"
	"strings"

	"github.com/mergefest/mergefest/graph"
)

// extraAuthorities is the variable that names a file with authorities which Node.js trusts beside its
// own. npm and node-gyp are programs of Node.js, so it is all that they need.
const extraAuthorities = "NODE_EXTRA_CA_CERTS"

// useNetwork passes what a node with a network has of the client on to its commands, as secrets that
// are part of no key. One without a network stays as it is.
func useNetwork(run *graph.Run) {
	if !run.Network {
		return
	}
	run.Secrets = append(slices.Clip(run.Secrets), graph.Secret{Name: graph.AuthoritiesPathSecret, Env: extraAuthorities, Optional: true})
	for i := range run.Tasks {
		for j := range run.Tasks[i].Commands {
			c := &run.Tasks[i].Commands[j]
			if strings.HasPrefix(c.Args[0], "@") {
				continue // the helper's own
			}
			c.Env = append(append(slices.Clip(c.Env), graph.NetworkEnv()...), extraAuthorities)
		}
	}
}
