// Run: an exec op, with a network if it asks for one.

package llbgen

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
	"github.com/moby/buildkit/client/llb"
)

// runDocument is the helper's document of a run.
type runDocument struct {
	action.Run
	// Links maps paths below action.InDir to paths below action.OutDir.
	Links map[string]string `json:"links,omitempty"`
}

func (l *lowerer) run(n graph.Node, a *graph.Run) (result, error) {
	doc, err := document(runDocument{Run: a.Run, Links: a.Internal})
	if err != nil {
		return result{}, err
	}
	e := execution{node: n, command: "run", doc: doc, network: a.Network}
	if a.Base != nil {
		base, err := l.base(n, *a.Base)
		if err != nil {
			return result{}, err
		}
		e.base = &base
	}
	for _, m := range a.Mounts {
		from := l.results[m.From]
		if m.Writable && m.Path == "" && l.isLocal(m.From) {
			if from.state, err = l.part(n.ID, graph.Input{From: m.From}); err != nil {
				return result{}, err
			}
			from.dir = ""
		}
		e.inputs = append(e.inputs, mount{from: from.state, selector: under(from.dir, m.Path), target: m.Target, writable: m.Writable})
	}
	for _, s := range a.Secrets {
		e.options = append(e.options, l.secret(s))
	}
	if a.Network {
		for _, s := range networkSecrets(a.Secrets) {
			e.options = append(e.options, l.secret(s))
		}
	}
	return l.exec(e)
}

// networkSecrets are what a run with a network gets beside its own secrets. A variable that it has from
// one of those stays as it is.
func networkSecrets(own []graph.Secret) []graph.Secret {
	out := []graph.Secret{{Name: graph.AuthoritiesSecret, Target: graph.AuthoritiesFile, Optional: true}}
	for _, name := range graph.NetworkEnv() {
		if !slices.ContainsFunc(own, func(s graph.Secret) bool { return s.Env == name }) {
			out = append(out, graph.Secret{Name: graph.NetworkEnvSecret(name), Env: name, Optional: true})
		}
	}
	return out
}

// isLocal reports whether a node is files of the client. BuildKit can't bring these up to date any
// more once something was made on top of them, and would transfer all of them again for the next
// build; so a writable mount gets a copy.
func (l *lowerer) isLocal(id graph.ID) bool {
	n, _ := l.g.Node(id)
	_, ok := n.Action.(*graph.Local)
	return ok
}

// base returns the root file system. A part of an output can't be mounted as the root, and has to
// be copied.
func (l *lowerer) base(n graph.Node, in graph.Input) (llb.State, error) {
	from := l.results[in.From]
	if under(from.dir, in.Path) == "" {
		return from.state, nil
	}
	return l.part(n.ID, graph.Input{From: in.From, Path: in.Path})
}

// document encodes a document of the helper. The bytes are part of the op's key.
func document(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
