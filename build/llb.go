// Writing what would be solved, for other clients of BuildKit.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/moby/buildkit/client/llb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/internal/localfs"
	"github.com/mergefest/mergefest/llbgen"
)

// Notations are the forms in which a graph can be written, by name.
func Notations() map[string]func(io.Writer, *graph.Graph) error {
	return map[string]func(io.Writer, *graph.Graph) error{
		"text": func(w io.Writer, g *graph.Graph) error { return g.WriteText(w) },
		"json": func(w io.Writer, g *graph.Graph) error { return g.WriteJSON(w) },
		"dot":  func(w io.Writer, g *graph.Graph) error { return g.WriteDOT(w) },
	}
}

// lowered is a plan without an engine.
type lowered struct {
	plan  *llbgen.Plan
	files *localfs.FS
	store content.Store
}

func lowerAll(ctx context.Context, o Options) (*lowered, error) {
	t, err := o.target(nil)
	if err != nil {
		return nil, err
	}
	o.Output = "." // results are wanted; where they go is the other client's business
	planned, err := plan(ctx, o, t)
	if err != nil {
		return nil, err
	}
	files, err := planned.localFiles(ctx)
	if err != nil {
		return nil, err
	}
	store, helper, err := openImports(ctx, t.stateDir, t.platform)
	if err != nil {
		return nil, err
	}
	g, err := o.bucketed(planned.Graph, helper, nil)
	if err != nil {
		return nil, err
	}
	known, err := knownHosts(o.getenv)
	if err != nil {
		return nil, err
	}
	p, err := llbgen.Lower(ctx, g.graph, llbgen.Options{Helper: helper, Platform: t.platform, LocalDigest: files.Digest(), KnownHosts: known})
	if err != nil {
		return nil, err
	}
	return &lowered{p, files, store}, nil
}

// WriteLLB writes the definition of the one directory of results, as `buildctl build` reads it. A
// build with several directories (one for each platform, say) is a *UsageError: they are several
// definitions, which WriteLLBDir can hold.
func WriteLLB(ctx context.Context, o Options, w io.Writer) error {
	l, err := lowerAll(ctx, o)
	if err != nil {
		return err
	}
	delivered := slices.DeleteFunc(slices.Clone(l.plan.Exports), func(e llbgen.Export) bool { return e.Discard })
	if n := len(delivered); n != 1 {
		return &UsageError{fmt.Sprintf("the build has %d directories of results, each a definition of its own; write them to a directory with -o", n)}
	}
	return llbgen.Write(w, delivered[0].Definitions[0])
}

// WriteLLBDir writes everything that `buildctl build` needs to dir: a definition for each
// directory of results (name.llb), the local files (files/) and an OCI layout with the helper and
// the toolchains (imports/). It returns the commands to run.
func WriteLLBDir(ctx context.Context, o Options, dir string) (commands string, err error) {
	l, err := lowerAll(ctx, o)
	if err != nil {
		return "", err
	}
	if err := claim(dir); err != nil {
		return "", err
	}
	files, imports := filepath.Join(dir, "files"), filepath.Join(dir, "imports")
	if err := os.RemoveAll(files); err != nil { // left by an earlier run, perhaps of another graph
		return "", err
	}
	for _, d := range []string{files, imports} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", err
		}
	}
	if err := l.files.WriteTo(files); err != nil {
		return "", err
	}
	if err := l.copyImports(ctx, imports); err != nil {
		return "", err
	}
	secrets, err := l.writeNetwork(o, dir)
	if err != nil {
		return "", err
	}
	for _, name := range l.plan.Secrets { // the values aren't written: the user gives them
		secrets += " --secret " + quote("id="+name+",env=MERGEFEST_SECRET")
	}
	if l.plan.SSH {
		secrets += " --ssh default"
	}
	var lines []string
	for _, e := range l.plan.Exports {
		name, output := filepath.Join(dir, exportName(e)+".llb"), ""
		if !e.Discard {
			output = " --output " + quote("type=local,dest="+filepath.Join("out", filepath.FromSlash(e.Dir)))
		}
		if err := writeDefinition(name, e.Definitions[0]); err != nil {
			return "", err
		}
		lines = append(lines, fmt.Sprintf("buildctl build --local %s --oci-layout %s%s%s < %s",
			quote(llbgen.LocalName+"="+files), quote(llbgen.StoreName+"="+imports), secrets,
			output, quote(name)))
	}
	return strings.Join(lines, "\n"), nil
}

// writeNetwork writes the settings of the network that the definitions ask for, a file for each secret,
// and returns the arguments that name them.
func (l *lowered) writeNetwork(o Options, dir string) (args string, err error) {
	values, err := networkSecrets(o.getenv, false)
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "network")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	for _, name := range l.plan.OptionalSecrets {
		value, ok := values[name]
		if !ok {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, value, 0o600); err != nil { // a proxy's address can hold a password
			return "", err
		}
		args += " --secret " + quote("id="+name+",src="+file)
	}
	return args, nil
}

// claim makes dir a directory of WriteLLBDir's, whose content it may replace: a new or empty one, or
// one that it has marked before.
func claim(dir string) error {
	marker := filepath.Join(dir, ".mergefest-llb")
	have, err := os.ReadDir(dir)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case len(have) > 0 && !exists(marker):
		return &UsageError{dir + " has files that aren't from `mergefest llb`; choose another directory"}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(marker, nil, 0o644)
}

// quote protects an argument from a shell.
func quote(s string) string {
	if strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("-_./=,:+@", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// exportName is a file name for a directory of results.
func exportName(e llbgen.Export) string {
	switch {
	case e.Discard:
		return "checks"
	case e.Dir == ".":
		return "build"
	}
	return strings.ReplaceAll(e.Dir, "/", "_")
}

func writeDefinition(name string, def *llb.Definition) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	err = llbgen.Write(f, def)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// copyImports copies the images that the definitions name into another layout.
func (l *lowered) copyImports(ctx context.Context, dir string) error {
	to, err := local.NewStore(dir)
	if err != nil {
		return err
	}
	for _, manifest := range l.plan.Imports {
		info, err := l.store.Info(ctx, manifest)
		if err != nil {
			return err
		}
		desc := ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageManifest, Digest: manifest, Size: info.Size}
		children, err := images.Children(ctx, l.store, desc)
		if err != nil {
			return err
		}
		for _, d := range append(children, desc) {
			if err := copyBlob(ctx, to, l.store, d); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(dir, ocispecs.ImageLayoutFile), []byte(`{"imageLayoutVersion":"`+ocispecs.ImageLayoutVersion+`"}`), 0o644)
}

func copyBlob(ctx context.Context, to, from content.Store, d ocispecs.Descriptor) error {
	r, err := from.ReaderAt(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	return content.WriteBlob(ctx, to, "copy-"+digest.Digest(d.Digest).Encoded(), content.NewReader(r), d)
}
