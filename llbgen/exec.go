// Exec ops: what all that run the helper have in common.

package llbgen

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
	"github.com/moby/buildkit/client/llb"
)

// docFile is where a long document is mounted.
const docFile = "/.mergefest-doc.json"

// execution is an exec op to be made.
type execution struct {
	node    graph.Node
	command string // "fetch", "run" or "write"
	doc     []byte
	base    *llb.State // nil is an empty root file system
	inputs  []mount
	options []llb.RunOption
	network bool
}

// mount is an input at its place.
type mount struct {
	from     llb.State
	selector string // relative; empty is all of it
	target   string
	writable bool
}

// exec makes the op and returns its output.
func (l *lowerer) exec(e execution) (result, error) {
	name, platform, err := l.platform(e.node)
	if err != nil {
		return result{}, err
	}
	h, err := l.helper(e.node.ID, name)
	if err != nil {
		return result{}, err
	}
	root := llb.Scratch()
	if e.base != nil {
		root = *e.base
	}
	mode := llb.NetModeNone
	if e.network {
		// Not the host's: a stock engine refuses that without an entitlement, and gives this the
		// network that its operator chose.
		mode = llb.NetModeSandbox
	}
	inputs := append([]mount{{from: h.image, target: h.dir}}, e.inputs...)
	arg, err := l.document(e, &inputs)
	if err != nil {
		return result{}, err
	}
	root = reset(root).Platform(platform).Network(mode)
	selectors, err := l.selectors(inputs)
	if err != nil {
		return result{}, err
	}
	if selectors != "" {
		root = root.AddEnv(SelectorsEnv, selectors)
	}
	options := append(as[llb.RunOption](describe(e.node.ID, "")), llb.Platform(platform), llb.Args([]string{h.dir + "/helper", e.command, arg}))
	options = append(options, e.options...)
	for _, m := range inputs {
		options = append(options, m.option())
	}
	out := root.Run(options...).AddMount(action.OutDir, llb.Scratch())
	return result{state: out}, l.own(e.node.ID, out)
}

// reset drops what a state carries along beside its output: only the plan decides on the process.
func reset(s llb.State) llb.State { return llb.NewState(s.Output()) }

func (m mount) option() llb.RunOption {
	kind := llb.Readonly
	if m.writable {
		kind = llb.ForceNoOutput
	}
	opts := []llb.MountOption{kind}
	if m.selector != "" {
		opts = append(opts, llb.SourcePath("/"+m.selector))
	}
	return llb.AddMount(m.target, m.from, opts...)
}

// document returns the argument that gives the helper its document, and adds a mount if it needs
// one.
func (l *lowerer) document(e execution, inputs *[]mount) (string, error) {
	if len(e.doc) <= InlineLimit {
		return string(e.doc), nil
	}
	st := llb.Scratch().File(llb.Mkfile("/doc.json", 0o644, e.doc, fileTime()), describe(e.node.ID, "plan")...)
	*inputs = append(*inputs, mount{from: st, selector: "doc.json", target: docFile})
	// The file isn't the node's: it is written before the node can begin, and also where the node's
	// result turns out to be there.
	return "@" + docFile, nil
}

// selectors returns a text that tells apart what BuildKit's key doesn't; see the package's
// documentation. It is empty if no source is mounted by several paths.
//
// The key has the digests of the selected paths in sorted order, without those that are below
// another one. So it says, for each target, the rank of that path and what follows it. Names that
// change without changing the order (a version, say) don't change the text.
func (l *lowerer) selectors(inputs []mount) (string, error) {
	type source struct {
		digest string
		index  int64
	}
	sources := map[source][]mount{}
	var order []source
	for _, m := range inputs {
		out := m.from.Output()
		if out == nil {
			continue
		}
		in, err := out.ToInput(l.ctx, l.c)
		if err != nil {
			return "", err
		}
		s := source{in.Digest, in.Index}
		if sources[s] == nil {
			order = append(order, s)
		}
		sources[s] = append(sources[s], m)
	}
	var lines []string
	for _, s := range order {
		lines = append(lines, rankSelectors(sources[s])...)
	}
	if len(lines) == 0 {
		return "", nil
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:16]), nil
}

// rankSelectors returns a line per mount of one source, or nil if all select the same path.
func rankSelectors(mounts []mount) []string {
	distinct := map[string]bool{}
	var all []string
	for _, m := range mounts {
		if p := "/" + m.selector; !distinct[p] {
			distinct[p] = true
			all = append(all, p)
		}
	}
	if len(all) < 2 {
		return nil
	}
	slices.Sort(all)
	isBelow := func(p, dir string) bool {
		return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
	}
	var tops []string
	for _, p := range all {
		if !slices.ContainsFunc(all, func(q string) bool { return q != p && isBelow(p, q) }) {
			tops = append(tops, p)
		}
	}
	var lines []string
	for _, m := range mounts {
		p := "/" + m.selector
		rank := slices.IndexFunc(tops, func(q string) bool { return isBelow(p, q) })
		lines = append(lines, fmt.Sprintf("%s\x00%d\x00%s", m.target, rank, strings.TrimPrefix(p, tops[rank])))
	}
	return lines
}

// helper is the helper's image for a platform.
type helper struct {
	image llb.State
	dir   string // where it is mounted
}

func (l *lowerer) helper(id graph.ID, platform string) (helper, error) {
	if h, ok := l.helpers[platform]; ok {
		return h, nil
	}
	dgst, ok := l.o.Helper[platform]
	if !ok {
		// "linux/arm64/v8" is served by "linux/arm64".
		parts := strings.Split(platform, "/")
		dgst, ok = l.o.Helper[path.Join(parts[:2]...)]
	}
	if !ok {
		return helper{}, &HelperError{Node: id, Platform: platform}
	}
	if err := dgst.Validate(); err != nil {
		return helper{}, &OptionError{Option: "Helper", Err: err}
	}
	p, err := parsePlatform(platform)
	if err != nil {
		return helper{}, err
	}
	h := helper{
		image: l.layout("helper", dgst, p, []llb.ConstraintsOpt{llb.WithCustomName("[mergefest] helper for " + platform)}),
		dir:   "/.mergefest/" + dgst.Encoded()[:16],
	}
	if l.helpers == nil {
		l.helpers = map[string]helper{}
	}
	l.helpers[platform] = h
	return h, nil
}

// secret adds a secret to an op. It is no part of its key, apart from its name and place.
func (l *lowerer) secret(s graph.Secret) llb.RunOption {
	if s.Optional {
		l.optional[s.Name] = true
	} else {
		l.secrets[s.Name] = true
	}
	if s.Env != "" {
		return llb.AddSecretWithDest(s.Name, nil, llb.SecretAsEnvName(s.Env), optional(s.Optional))
	}
	return llb.AddSecretWithDest(s.Name, &s.Target, optional(s.Optional))
}

func optional(v bool) llb.SecretOption { return secretOption(v) }

type secretOption bool

// SetSecretOption implements llb.SecretOption.
func (o secretOption) SetSecretOption(i *llb.SecretInfo) { i.Optional = bool(o) }
