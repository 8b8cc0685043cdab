// What all ops have in common: constraints, names and inputs.

package llbgen

import (
	"path"
	"strings"
	"time"

	"github.com/moby/buildkit/client/llb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mergefest/mergefest/graph"
)

// epoch is the modification time of files that file ops make.
var epoch = time.Unix(0, 0).UTC()

// constraints pins what would otherwise come from this machine.
func (l *lowering) constraints() llb.Constraints {
	return *llb.NewConstraints(llb.Platform(platformOf(l.o.Platform)))
}

// platformOf parses "os/arch[/variant]".
func platformOf(s string) ocispecs.Platform {
	parts := append(strings.SplitN(s, "/", 3), "", "")
	return ocispecs.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
}

// meta names a node's op for people, and groups it with its kind.
func (l *lowering) meta(n graph.Node) []llb.ConstraintsOpt {
	kind := n.ID.Ecosystem + "/" + n.ID.Kind
	return []llb.ConstraintsOpt{
		llb.WithCustomName("[" + kind + "] " + subject(n.ID)),
		llb.ProgressGroup(kind, kind, true),
		llb.Platform(platformOf(l.platform(n))),
	}
}

// as gives constraints the type of another kind of option, all of which they are.
func as[T any](opts []llb.ConstraintsOpt) []T {
	out := make([]T, len(opts))
	for i, o := range opts {
		out[i] = any(o).(T)
	}
	return out
}

// subject is the part of an ID that its kind doesn't say.
func subject(id graph.ID) string {
	return strings.TrimPrefix(id.String(), graph.ID{Ecosystem: id.Ecosystem, Kind: id.Kind}.String()+"/")
}

// clean gives a selector as LLB wants it: "" is everything.
func clean(p string) string {
	if p = path.Clean("/" + p); p != "/" {
		return p
	}
	return ""
}

// source is an input's state and the path in it. For Local nodes that path begins with the node's
// directory.
func (l *lowering) source(in graph.Input) (llb.State, string) {
	return l.states[in.From], clean(path.Join(l.dirOf(in.From), in.Path))
}

// dirOf is where the node's output begins in its state.
func (l *lowering) dirOf(id graph.ID) string {
	if n, _ := l.g.Node(id); n.Action != nil {
		if _, ok := n.Action.(*graph.Local); ok {
			return LocalDir(id)
		}
	}
	return ""
}

// mount is a read-only mount of an input.
func (l *lowering) mount(in graph.Input) llb.RunOption {
	st, sel := l.source(in)
	var mo []llb.MountOption
	if sel != "" {
		mo = append(mo, llb.SourcePath(sel))
	}
	if in.Writable {
		// Without an output, the content still counts and not the identity.
		mo = append(mo, llb.ForceNoOutput)
	} else {
		mo = append(mo, llb.Readonly)
	}
	return llb.AddMount(in.Target, st, mo...)
}

// copyInto copies an input's file, or the content of its directory, to dest in another state.
func (l *lowering) copyInto(to llb.State, in graph.Input, dest string, c []llb.ConstraintsOpt) llb.State {
	st, sel := l.source(in)
	return to.File(llb.Copy(st, orRoot(sel), orRoot(dest), &llb.CopyInfo{
		CopyDirContentsOnly: true, CreateDestPath: true, CreatedTime: &epoch,
	}), c...)
}

func orRoot(p string) string {
	if p = clean(p); p != "" {
		return p
	}
	return "/"
}
