// The exec op that runs the helper: what fetch, run and write have in common.

package llbgen

import (
	"encoding/json"
	"path"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

const (
	// helperParent is where the helper's image is mounted, below a directory named by its digest,
	// by which the embedded engine recognises its own.
	helperParent = "/.mergefest"
	// docMount has the document where it is too long for an argument.
	docMount = "/.mergefest-doc"
	// maxArg is the longest document that is passed as an argument: half of what Linux allows.
	maxArg = 64 << 10
)

// exec runs `helper verb doc` with the given mounts, network and secrets, and returns its output.
func (l *lowering) exec(n graph.Node, verb string, doc any, base *llb.State, network bool, extra ...llb.RunOption) (llb.State, error) {
	platform := l.platform(n)
	dgst, ok := l.o.Helper[platform]
	if !ok {
		return llb.State{}, &HelperError{Node: n.ID, Platform: platform}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return llb.State{}, err
	}
	helper := path.Join(helperParent, dgst.Encoded()[:16])
	ro := append(as[llb.RunOption](l.meta(n)), extra...)
	ro = append(ro,
		llb.AddMount(helper, l.imported(helperID(platform), dgst, "helper "+platform, platform), llb.Readonly),
		llb.Dir("/"), llb.Hostname("mergefest"), networkMode(network))
	arg := string(text)
	if len(arg) > maxArg {
		file := llb.Scratch().File(llb.Mkfile("/doc.json", 0o644, text, llb.WithCreatedTime(epoch)), l.meta(n)...)
		ro = append(ro, llb.AddMount(docMount, file, llb.Readonly))
		arg = "@" + docMount + "/doc.json"
	}
	ro = append(ro, llb.Args([]string{helper + "/helper", verb, arg}))
	root := llb.Scratch()
	if base != nil {
		root = *base
	}
	return root.Run(ro...).AddMount(action.OutDir, llb.Scratch()), nil
}

// networkMode leaves the choice of the network to the engine's operator: a stock daemon refuses to
// be asked for the host's.
func networkMode(on bool) llb.RunOption {
	if on {
		return llb.Network(pb.NetMode_UNSET)
	}
	return llb.Network(pb.NetMode_NONE)
}

// helperID names the helper's image in messages; it is no node of the graph.
func helperID(platform string) graph.ID {
	return graph.ID{Ecosystem: "mergefest", Kind: "helper", Package: platform}
}

// imported is an image of the client's content store.
func (l *lowering) imported(id graph.ID, dgst digest.Digest, name, platform string) llb.State {
	l.imports[dgst] = true
	o := as[llb.OCILayoutOption](l.meta(graph.Node{ID: id, Platform: platform}))
	o = append(o, llb.OCIStore("", StoreName))
	return llb.OCILayout("mergefest/import@"+dgst.String(), o...)
}
