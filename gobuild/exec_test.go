// An executor for tests: it carries out a graph on this machine, each run in a root file system
// of its own (chroot), with the code that runs inside an engine's containers.
package gobuild

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/internal/helper"
	"github.com/mergefest/mergefest/internal/helper/fetch"
	"github.com/mergefest/mergefest/internal/helper/place"
	helperrun "github.com/mergefest/mergefest/internal/helper/run"
	"github.com/mergefest/mergefest/toolchain"
)

// chrootVar makes the test's program a helper in another root file system.
const chrootVar = "GOBUILD_TEST_CHROOT"

func TestMain(m *testing.M) {
	root := os.Getenv(chrootVar)
	if root == "" {
		os.Exit(runTests(m))
	}
	os.Unsetenv(chrootVar)
	if err := errors.Join(syscall.Chroot(root), os.Chdir("/")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(helper.Main(context.Background(), []string{"run", "@/doc"}, os.Stderr))
}

// rootVar is the root file system that the tests of a process share, so that the standard library
// is compiled once.
const rootVar = "GOBUILD_TEST_ROOT"

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gobuild-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		exec.Command("chmod", "-R", "u+w", dir).Run()
		os.RemoveAll(dir)
	}()
	os.Setenv(rootVar, dir)
	return m.Run()
}

// executor has one root file system, in which /nodes/<hash> are the outputs.
type executor struct {
	t      testing.TB
	root   string
	store  *toolchain.Store
	locals map[string]string
	done   map[graph.ID]string // output, as seen inside
	runs   []graph.ID          // those that ran, in order
}

func newExecutor(t testing.TB, store *toolchain.Store) *executor {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("changing the root file system needs root")
	}
	dir := filepath.Join(os.Getenv(rootVar), "root")
	if _, err := os.Stat(dir); err != nil {
		dev := filepath.Join(dir, "dev")
		if err := errors.Join(os.MkdirAll(dev, 0o755), syscall.Mknod(dev+"/null", syscall.S_IFCHR|0o666, 1<<8|3)); err != nil {
			t.Fatal(err)
		}
	}
	return &executor{t: t, root: dir, store: store, done: map[graph.ID]string{}}
}

// build carries out a plan and gives the host's paths of its roots, by name.
func (e *executor) build(p *Plan) (map[string]string, error) {
	e.t.Helper()
	e.locals = p.Locals
	e.runs = nil
	for _, id := range p.Graph.Topo() {
		n, _ := p.Graph.Node(id)
		if err := e.node(p.Graph, n); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
	}
	out := map[string]string{}
	for _, r := range p.Graph.Roots() {
		out[r.Name] = filepath.Join(e.root, e.done[r.From], r.Path)
	}
	return out, nil
}

// node makes a node's output, unless one with the same inputs was made before.
func (e *executor) node(g *graph.Graph, n graph.Node) error {
	key := e.key(n)
	out := "/nodes/" + key
	host := filepath.Join(e.root, out)
	e.done[n.ID] = out
	if _, err := os.Stat(host); err == nil {
		return nil
	}
	e.runs = append(e.runs, n.ID)
	if err := os.MkdirAll(host, 0o755); err != nil {
		return err
	}
	err := e.action(n, out, host)
	if err != nil {
		os.RemoveAll(host)
	}
	return err
}

// key covers the action and, for each input, the content that it selects: early cutoff.
func (e *executor) key(n graph.Node) string {
	h := sha256.New()
	js, err := json.Marshal(n.Action)
	if err != nil {
		e.t.Fatal(err)
	}
	fmt.Fprintf(h, "%T %s\n", n.Action, js)
	for _, in := range n.Action.Inputs() {
		fmt.Fprintf(h, "%s %x\n", in.Target, e.content(filepath.Join(e.root, e.done[in.From], in.Path)))
	}
	if l, ok := n.Action.(*graph.Local); ok {
		for _, f := range l.Files {
			data, err := os.ReadFile(e.source(l, f))
			if err != nil {
				e.t.Fatal(err)
			}
			fmt.Fprintf(h, "%x\n", sha256.Sum256(data))
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (e *executor) source(l *graph.Local, f graph.LocalFile) string {
	src := f.Source
	if src == "" {
		src = f.Path
	}
	return filepath.Join(e.locals[l.Root], src)
}

// content hashes a tree; what was unpacked from an image or a download counts by its name.
func (e *executor) content(name string) []byte {
	if strings.Contains(name, "/pkg/tool") || strings.HasSuffix(name, "/src") || strings.HasSuffix(name, "pkg/include") {
		return []byte(name)
	}
	h := sha256.New()
	err := filepath.WalkDir(name, func(file string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(file)
		fmt.Fprintf(h, "%s %x\n", strings.TrimPrefix(file, name), sha256.Sum256(data))
		return err
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return h.Sum(nil)
}

func (e *executor) action(n graph.Node, out, host string) error {
	ctx := e.t.Context()
	switch a := n.Action.(type) {
	case *graph.Import:
		return e.unpack(ctx, digest.Digest(a.Digest), host)
	case *graph.Fetch:
		f, err := fetch.New(fetch.Settings{}, fetch.Options{})
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Do(ctx, &a.Fetch, fetch.Env{OutDir: host, Auth: func(string) (string, error) { return "", errors.New("no secrets") }, Log: io.Discard})
	case *graph.Local:
		for _, f := range a.Files {
			data, err := os.ReadFile(e.source(a, f))
			if err != nil {
				return err
			}
			to := filepath.Join(host, f.Path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o644)); err != nil {
				return err
			}
		}
		return nil
	case *graph.Merge:
		for _, in := range a.Parts {
			src := filepath.Join(e.root, e.done[in.From], in.Path)
			if err := os.CopyFS(filepath.Join(host, in.Target), os.DirFS(src)); err != nil {
				return err
			}
		}
		return nil
	case *graph.Run:
		return e.run(ctx, a, out)
	}
	return fmt.Errorf("%T is not supported here", n.Action)
}

// run makes the root file system with links in place of mounts.
func (e *executor) run(ctx context.Context, a *graph.Run, out string) error {
	for _, d := range []string{"in", "out", "go", "mod", "src", "ext", "tmp"} {
		if err := os.RemoveAll(filepath.Join(e.root, d)); err != nil {
			return err
		}
	}
	if err := os.Symlink(out, filepath.Join(e.root, "out")); err != nil {
		return err
	}
	for _, m := range a.Mounts {
		from := filepath.Join(e.root, e.done[m.From], m.Path)
		if _, err := os.Stat(from); err != nil {
			return fmt.Errorf("mount: %w", err)
		}
		at := filepath.Join(e.root, m.Target)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		// A copy by hard links, because programs ask for their working directory and a symbolic
		// link would show them where it leads.
		if msg, err := exec.Command("cp", "-al", from, at).CombinedOutput(); err != nil {
			return fmt.Errorf("mount %s: %s", m.Target, msg)
		}
	}
	doc, err := json.Marshal(helperrun.Doc{Run: a.Run})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(e.root, "doc"), doc, 0o644); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = []string{chrootVar + "=" + e.root}
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, msg)
	}
	return nil
}

func (e *executor) unpack(ctx context.Context, d digest.Digest, host string) error {
	blob := func(d digest.Digest) []byte {
		data, err := content.ReadBlob(ctx, e.store.Content(), ocispec.Descriptor{Digest: d})
		if err != nil {
			e.t.Fatal(err)
		}
		return data
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(blob(d), &m); err != nil {
		return err
	}
	out, err := place.Open(host)
	if err != nil {
		return err
	}
	defer out.Close()
	tr := tar.NewReader(bytes.NewReader(blob(m.Layers[0].Digest)))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Join(host, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(name, 0o755)
		} else {
			var data []byte
			if data, err = io.ReadAll(tr); err == nil {
				err = os.WriteFile(name, data, os.FileMode(h.Mode))
			}
		}
		if err != nil {
			return err
		}
	}
}

// proxy serves the host's module cache as a module proxy.
func proxy(t testing.TB) string {
	t.Helper()
	dir := goEnv(t, "", "GOMODCACHE")
	s := httptest.NewServer(http.FileServer(http.Dir(path.Join(dir, "cache/download"))))
	t.Cleanup(s.Close)
	return s.URL
}

func goEnv(t testing.TB, dir, name string) string {
	t.Helper()
	cmd := exec.Command("go", "env", name)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
