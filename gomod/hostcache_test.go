package gomod

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/module"

	"github.com/mergefest/mergefest/graph"
)

// Modules that no proxy serves are taken from the host's module cache; those that one serves never.
func TestHostCache(t *testing.T) {
	const sum = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	m := module.Version{Path: "example.com/Mod", Version: "v1.0.0"}
	gone := module.Version{Path: "example.com/gone", Version: "v1.0.0"}
	sums, err := ParseSum("go.sum", []byte("example.com/Mod v1.0.0 "+sum+"\nexample.com/Mod v1.0.0/go.mod "+sum+"\nexample.com/gone v1.0.0 "+sum+"\nexample.com/gone v1.0.0/go.mod "+sum+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	const dir = "cache/download/example.com/!mod/@v/"
	cache := fstest.MapFS{dir + "v1.0.0.zip": {}, dir + "v1.0.0.mod": {}}
	for _, env := range []Env{
		{GOPROXY: "direct"}, {GOPROXY: "off"}, {GOPROXY: "file:///srv/modules"},
		{GOPROXY: "https://proxy.example.com", GONOPROXY: "example.com"},
	} {
		env.ModCache = cache
		f := NewFetcher(env, sums)
		nodes, err := f.Module(m)
		if err != nil {
			t.Errorf("%+v: %v", env, err)
			continue
		}
		if _, err := graph.New(nodes, nil); err != nil {
			t.Errorf("%+v: %v", env, err)
		}
		local, ok := nodes[0].Action.(*graph.Local)
		if !ok || len(nodes) != 2 || nodes[1].ID != FetchID(m) || local.Root != ModCacheRoot || len(local.Files) != 2 || local.Files[0].Source != dir+"v1.0.0.zip" {
			t.Errorf("%+v: got %+v", env, nodes)
		}
		mods, err := f.modFiles([]module.Version{m})
		if err != nil || len(mods) != 2 || mods[0].ID == nodes[0].ID {
			t.Errorf("%+v: got %+v, %v", env, mods, err)
		}
		var pe *ProxyError
		if _, err := f.Module(gone); !errors.As(err, &pe) || !strings.Contains(err.Error(), "go mod download example.com/gone") {
			t.Errorf("%+v: got %v", env, err)
		}
	}
	nodes, err := NewFetcher(Env{GOPROXY: "https://proxy.example.com", ModCache: cache}, sums).Module(m)
	if err != nil || len(nodes) != 1 {
		t.Errorf("got %+v, %v; want a download", nodes, err)
	}
}
