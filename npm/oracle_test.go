package npm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/internal/helper"
	"github.com/mergefest/mergefest/internal/helper/fetch"
	"github.com/mergefest/mergefest/internal/testnpm"
	"github.com/mergefest/mergefest/internal/testtree"
)

// shortCorpus are the projects that are always compared; the others need hundreds of downloads.
var shortCorpus = []string{"bins", "empty", "file-dir", "file-tarball", "lock-v1", "mono", "shrinkwrap"}

// TestTreesEqualNpm carries plans out without an engine, and compares the tree with the one that
// npm ci makes: files, modes, links, and the hidden lockfile, byte by byte. Variables:
// MERGEFEST_LONG=1 takes the whole corpus, MERGEFEST_CORPUS=a,b takes some, and
// MERGEFEST_CORPUS_DIR uses another directory of projects.
func TestTreesEqualNpm(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("MERGEFEST_E2E") != "" {
			t.Fatal("npm is needed: it is the oracle")
		}
		t.Skip("npm isn't installed: nothing to compare with")
	}
	corpus := os.Getenv("MERGEFEST_CORPUS_DIR")
	if corpus == "" {
		corpus = "testdata/corpus"
	}
	names := shortCorpus
	if os.Getenv("MERGEFEST_LONG") != "" {
		entries, err := os.ReadDir(corpus)
		if err != nil {
			t.Fatal(err)
		}
		names = nil
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	if v := os.Getenv("MERGEFEST_CORPUS"); v != "" {
		names = strings.Split(v, ",")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) { compareWithNpm(t, filepath.Join(corpus, name)) })
	}
}

func compareWithNpm(t *testing.T, src string) {
	dir := t.TempDir()
	want, got := filepath.Join(dir, "want"), filepath.Join(dir, "got")
	if err := os.CopyFS(want, os.DirFS(src)); err != nil {
		t.Fatal(err)
	}
	testnpm.CI(t, want, "--ignore-scripts")
	cfg, err := Host{}.Config(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Load(t.Context(), os.DirFS(src), Options{Config: cfg, Platform: hostPlatform(t), Facts: &RegistryFacts{}, Scripts: ScriptPolicy{None: true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(got, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := carryOut(t.Context(), plan, src, got); err != nil {
		t.Fatal(err)
	}
	compareTrees(t, want, got)
}

// hostPlatform is this machine with the Node.js and npm that it has.
func hostPlatform(t *testing.T) Platform {
	t.Helper()
	ask := func(name string) string {
		out, err := exec.Command(name, "--version").Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
	}
	return Platform{Node: ask("node"), NPM: ask("npm")}
}

// carryOut does what an engine would: every node, then the merge.
func carryOut(ctx context.Context, p *Plan, src, out string) error {
	settings := fetch.Settings{Env: map[string]string{}}
	if ca := os.Getenv("NODE_EXTRA_CA_CERTS"); ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		settings.CA = string(pem)
	}
	for _, k := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		settings.Env[k] = os.Getenv(k)
	}
	f, err := fetch.New(settings, fetch.Options{})
	if err != nil {
		return err
	}
	defer f.Close()
	parts := out + ".parts"
	nodes := map[graph.ID]graph.Node{}
	type result struct {
		id  graph.ID
		err error
	}
	results := make(chan result)
	limit := make(chan struct{}, 8)
	running := 0
	for i, n := range p.Nodes {
		nodes[n.ID] = n
		switch n.Action.(type) {
		case *graph.Merge, *graph.Local:
			continue // the end, and what others read
		}
		running++
		go func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			results <- result{n.ID, carryOutNode(ctx, f, p, n, src, filepath.Join(parts, fmt.Sprint(i)))}
		}()
	}
	dirs := map[graph.ID]string{}
	for i, n := range p.Nodes {
		dirs[n.ID] = filepath.Join(parts, fmt.Sprint(i))
	}
	var errs []error
	for range running {
		if r := <-results; r.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.id, r.err))
		}
	}
	if errs != nil {
		return errors.Join(errs...)
	}
	for _, in := range nodes[p.Tree].Action.(*graph.Merge).Parts {
		if err := moveInto(dirs[in.From], out); err != nil {
			return err
		}
	}
	return nil
}

func carryOutNode(ctx context.Context, f *fetch.Fetcher, p *Plan, n graph.Node, src, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	switch a := n.Action.(type) {
	case *graph.Fetch:
		return f.Do(ctx, &a.Fetch, fetch.Env{OutDir: dir, Auth: func(name string) (string, error) { return p.Secrets[name], nil }})
	case *graph.Write:
		return helper.Write(&helper.WriteDoc{Files: a.Files}, dir)
	case *graph.Run:
		return unpackLocal(ctx, f, p, a, src, dir)
	}
	return fmt.Errorf("no way to carry out %T", n.Action)
}

// unpackLocal carries out a run that unpacks a file of the project in src.
func unpackLocal(ctx context.Context, f *fetch.Fetcher, p *Plan, a *graph.Run, src, dir string) error {
	if len(a.Mounts) != 1 || len(a.Tasks) != 1 || a.Tasks[0].Commands[0].Args[0] != "@unpack" {
		return fmt.Errorf("no way to carry out %v", a.Tasks)
	}
	doc, err := helper.DecodeFetch([]byte(a.Files[0].Text))
	if err != nil {
		return err
	}
	for _, n := range p.Nodes {
		if l, ok := n.Action.(*graph.Local); ok && n.ID == a.Mounts[0].From {
			abs, err := filepath.Abs(filepath.Join(src, l.Files[0].Source))
			if err != nil {
				return err
			}
			for i := range doc.Items {
				doc.Items[i].URLs = []string{(&url.URL{Scheme: "file", Path: abs}).String()}
			}
		}
	}
	return f.Do(ctx, doc, fetch.Env{OutDir: dir, Files: true})
}

// moveInto merges a directory into another: files are replaced, directories joined.
func moveInto(from, to string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(dst, 0o755)
		}
		return os.Rename(p, dst)
	})
}

// compareTrees compares all node_modules below two directories.
func compareTrees(t *testing.T, want, got string) {
	t.Helper()
	n := testtree.Compare(t, want, got, func(p string) bool { return strings.Contains("/"+p+"/", "/node_modules/") })
	t.Logf("%d entries", n)
}
