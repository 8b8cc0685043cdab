package embedded_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/session/secrets"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded"
	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helperbin"
	"github.com/mergefest/mergefest/internal/testengine"
)

// helperStore holds the helper's image for this machine.
func helperStore(t testing.TB) (content.Store, *helperbin.Image) {
	t.Helper()
	img, err := helperbin.ImageOf("linux/" + runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := img.LayerData()
	if err != nil {
		t.Fatal(err)
	}
	store, err := local.NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []helperbin.Blob{img.Manifest, img.Config, {Descriptor: img.Layer, Data: layer}} {
		err := content.WriteBlob(context.Background(), store, b.Descriptor.Digest.String(), bytes.NewReader(b.Data), b.Descriptor)
		if err != nil {
			t.Fatal(err)
		}
	}
	return store, img
}

// helperOp runs the helper's command on a document, with the secrets that a fetch gets.
func helperOp(img *helperbin.Image, verb string, doc any, opts ...llb.RunOption) llb.State {
	data, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	dir := "/.mergefest/" + img.Manifest.Descriptor.Digest.Encoded()[:16]
	image := llb.OCILayout("local/helper@"+img.Manifest.Descriptor.Digest.String(), llb.OCIStore("", "helper"))
	net, auth := "/.mergefest-net.json", "/.mergefest-auth/token"
	opts = append([]llb.RunOption{
		llb.Args([]string{dir + "/helper", verb, string(data)}),
		llb.AddMount(dir, image, llb.Readonly),
		llb.AddSecretWithDest("mergefest.net", &net, llb.SecretOptional),
		llb.AddSecretWithDest("token", &auth, llb.SecretOptional),
	}, opts...)
	return llb.Scratch().Run(opts...).AddMount("/out", llb.Scratch())
}

// archive is a package with what file systems can get wrong.
func archive(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, h := range []tar.Header{
		{Name: "package/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "package/bin/run", Typeflag: tar.TypeReg, Mode: 0o755, Size: 3},
		{Name: "package/odd", Typeflag: tar.TypeReg, Mode: 0o600, Size: 3},
		{Name: "package/link", Typeflag: tar.TypeSymlink, Linkname: "odd"},
		{Name: "package/ü/x", Typeflag: tar.TypeReg, Mode: 0o644, Size: 3},
	} {
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			tw.Write([]byte("abc"))
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// listing describes a tree completely but for times.
func listing(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		text := ""
		switch {
		case d.Type().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(data)
		case d.Type() == fs.ModeSymlink:
			if text, err = os.Readlink(path); err != nil {
				return err
			}
		}
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&b, "%s %v %d:%d %q\n", rel, info.Mode(), st.Uid, st.Gid, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestInProcess checks that an action gives the same result in the engine's process and in a
// container, that both have the same key, and that both get settings and credentials.
func TestInProcess(t *testing.T) {
	data := archive(t)
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Write(data)
	}))
	defer srv.Close()
	store, img := helperStore(t)
	fetch := helperOp(img, "fetch", action.Fetch{Items: []action.Item{{
		Name: "pkg@1", URLs: []string{srv.URL + "/pkg.tgz"}, Auth: "token",
		Integrity: []string{fmt.Sprintf("sha256:%x", sha256.Sum256(data))},
		Unpack:    &action.Unpack{Format: "tar", Strip: 1, Links: "keep", ClearMode: 0o22, SetMode: 0o44},
		Dests:     []string{"node_modules/pkg"},
	}}})
	write := helperOp(img, "write", map[string]any{"files": []action.File{
		{Path: "a/b", Text: "text", Mode: 0o755}, {Path: "l", Link: "a/b"}, {Path: "d", Dir: true},
	}})
	request := func(s llb.State, dir string) engine.Request {
		return engine.Request{
			Definition: testengine.Marshal(t, s), Stores: map[string]content.Store{"helper": store},
			Secrets: secretMap{"token": "Bearer secret", "mergefest.net": `{"env":{}}`},
			Output:  &engine.Output{Dir: dir},
		}
	}
	state := t.TempDir()
	trees := map[bool]string{}
	for _, contained := range []bool{false, true} {
		// The second engine has a state of its own, so it runs the action again.
		e := testengine.StartOptions(t, embedded.Options{StateDir: filepath.Join(state, fmt.Sprint(contained)), ContainAll: contained})
		before := requests.Load()
		for _, s := range []llb.State{fetch, write} {
			dir := t.TempDir()
			if _, err := e.Solve(context.Background(), request(s, dir)); err != nil {
				t.Fatalf("contained %v: %v", contained, err)
			}
			trees[contained] += listing(t, dir)
		}
		if n := requests.Load() - before; n != 1 {
			t.Errorf("contained %v: %d requests", contained, n)
		}
	}
	if trees[false] != trees[true] {
		t.Errorf("in process:\n%s\nin a container:\n%s", trees[false], trees[true])
	}
	if !strings.Contains(trees[false], "node_modules/pkg/bin/run -rwxr-xr-x") {
		t.Errorf("tree:\n%s", trees[false])
	}
}

// TestInProcessKey checks that a result made in process is found by an engine that uses containers.
func TestInProcessKey(t *testing.T) {
	store, img := helperStore(t)
	state := t.TempDir()
	req := engine.Request{
		Definition: testengine.Marshal(t, helperOp(img, "write", map[string]any{"files": []action.File{{Path: "f", Text: "x"}}})),
		Stores:     map[string]content.Store{"helper": store},
	}
	for i, contained := range []bool{false, true} {
		s, err := embedded.Start(context.Background(), embedded.Options{StateDir: state, ContainAll: contained})
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.Open(context.Background(), engine.Options{StateDir: state})
		if err != nil {
			t.Fatal(err)
		}
		ran := ranOps(t, e, req)
		if want := i == 0; ran != want {
			t.Errorf("contained %v: ran %v, want %v", contained, ran, want)
		}
		e.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInProcessFailure(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	store, img := helperStore(t)
	op := helperOp(img, "fetch", action.Fetch{Items: []action.Item{{Name: "pkg@1", URLs: []string{srv.URL + "/x"}, Unverified: true, Dests: []string{"x"}}}})
	outputs := map[bool]string{}
	for _, contained := range []bool{false, true} {
		e := testengine.StartOptions(t, embedded.Options{ContainAll: contained})
		_, err := e.Solve(context.Background(), engine.Request{Definition: testengine.Marshal(t, op), Stores: map[string]content.Store{"helper": store}})
		var v *engine.VertexError
		if !errors.As(err, &v) || v.ExitCode != 1 || !strings.Contains(string(v.Output), "404") {
			t.Errorf("contained %v: error %#v", contained, err)
			continue
		}
		outputs[contained] = string(v.Output)
	}
	if outputs[false] != outputs[true] {
		t.Errorf("in process %q, in a container %q", outputs[false], outputs[true])
	}
}

// TestHelperRoot checks that the helper's own root file system is a writable place that leaves
// nothing behind, and that it is none of the result.
func TestHelperRoot(t *testing.T) {
	store, img := helperStore(t)
	e := testengine.Start(t)
	op := helperOp(img, "run", map[string]any{
		"files":   []action.File{{Path: "/etc/thing", Text: "x"}},
		"tasks":   []action.Task{{Name: "t", Commands: []action.Command{{Args: []string{"@copy", "/etc/thing", "/out/thing"}}}}},
		"outputs": []action.Output{{Path: "thing"}},
	})
	dir := t.TempDir()
	_, err := e.Solve(context.Background(), engine.Request{
		Definition: testengine.Marshal(t, op), Stores: map[string]content.Store{"helper": store}, Output: &engine.Output{Dir: dir},
	})
	if data, rerr := os.ReadFile(filepath.Join(dir, "thing")); err != nil || string(data) != "x" {
		t.Errorf("content %q, errors %v, %v", data, err, rerr)
	}
	left, err := filepath.Glob(filepath.Join(e.Info().StateDir, "engine/worker/scratch/executor/*/*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// ranOps tells whether a solve ran any exec op, rather than find its result.
func ranOps(t testing.TB, e *engine.Engine, req engine.Request) bool {
	t.Helper()
	ran := false
	req.Status = func(s *client.SolveStatus) {
		for _, v := range s.Vertexes {
			if strings.Contains(v.Name, "/helper write") && v.Started != nil && !v.Cached {
				ran = true
			}
		}
	}
	if _, err := e.Solve(context.Background(), req); err != nil {
		t.Fatal(err)
	}
	return ran
}

// secretMap is a secret store in memory.
type secretMap map[string]string

func (m secretMap) GetSecret(_ context.Context, id string) ([]byte, error) {
	if v, ok := m[id]; ok {
		return []byte(v), nil
	}
	return nil, fmt.Errorf("%w: %s", secrets.ErrNotFound, id)
}
