// Digests of nodes over everything that they depend on.

package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Digest returns the hexadecimal SHA-256 of a node: of its platform and action, and of the digests
// of its inputs. Two nodes of different graphs that have the same digest do the same thing to the
// same inputs, whatever they are called. (The bytes of local files are not part of it.) It is empty
// for an unknown ID.
func (g *Graph) Digest(id ID) string {
	i, ok := g.index[id]
	if !ok {
		return ""
	}
	return g.digests()[i]
}

func (g *Graph) computeDigests() []string {
	digests := make([]string, len(g.nodes))
	for _, i := range g.order {
		n := g.nodes[i]
		h := sha256.New()
		w := wireNode(n)
		w.ID = nil
		w.forgetInputs()
		// A value of wire types always encodes.
		data, _ := json.Marshal(w)
		h.Write(data)
		for _, in := range n.Action.Inputs() {
			h.Write([]byte(digests[g.index[in.From]]))
		}
		digests[i] = hex.EncodeToString(h.Sum(nil))
	}
	return digests
}

// forgetInputs drops the names of inputs. The lists are copies (see convert); the base isn't.
func (w *jsonNode) forgetInputs() {
	if w.Merge != nil {
		for i := range w.Merge.Parts {
			w.Merge.Parts[i].From = ID{}
		}
	}
	if w.Run == nil {
		return
	}
	for i := range w.Run.Mounts {
		w.Run.Mounts[i].From = ID{}
	}
	if w.Run.Base != nil {
		base := *w.Run.Base
		base.From = ID{}
		w.Run.Base = &base
	}
}
