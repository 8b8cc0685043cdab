// Fetch nodes: one module version, or the go.mod files of one module.
package gomod

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/mod/module"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/goproxy"
)

// Fetcher makes fetch nodes. It is safe for concurrent use.
type Fetcher struct {
	env     Env
	proxies *goproxy.List
	sums    *Sums
}

// NewFetcher makes a Fetcher for the modules of sums. A GOPROXY that can't be used is reported by
// the first node that needs it, because a build without modules needs none.
func NewFetcher(env Env, sums *Sums) *Fetcher {
	return &Fetcher{env: env, proxies: goproxy.Parse(env.GOPROXY), sums: sums}
}

// Secrets are the values of the secrets that nodes name: complete Authorization headers.
func (f *Fetcher) Secrets() map[string][]byte { return f.proxies.Secrets() }

// Dir is where the output of m's node has its extracted files: "<escaped module>@<version>".
func Dir(m module.Version) (string, error) {
	path, err := module.EscapePath(m.Path)
	if err != nil {
		return "", err
	}
	version, err := module.EscapeVersion(m.Version)
	if err != nil {
		return "", err
	}
	return path + "@" + version, nil
}

// downloads is the directory of a module's downloads in GOMODCACHE.
func downloads(path string) (string, error) {
	escaped, err := module.EscapePath(path)
	if err != nil {
		return "", err
	}
	return "cache/download/" + escaped + "/@v/", nil
}

// FetchID is the node of a module version.
func FetchID(m module.Version) graph.ID {
	return graph.ID{Ecosystem: "go", Kind: "fetch", Package: m.Path, Version: m.Version}
}

// Module gives the node of one module version. The errors are *Error for a missing line of
// go.sum, *ProxyError, and those of malformed paths.
func (f *Fetcher) Module(m module.Version) (graph.Node, error) {
	zip := f.sums.Zip(m)
	if zip == "" {
		return graph.Node{}, f.missing(m, "")
	}
	mod, err := f.modItem(m)
	if err != nil {
		return graph.Node{}, err
	}
	urls, err := f.proxies.For(m, f.env.GONOPROXY)
	if err != nil {
		return graph.Node{}, err
	}
	dir, err := Dir(m)
	if err != nil {
		return graph.Node{}, err
	}
	version, err := module.EscapeVersion(m.Version)
	if err != nil {
		return graph.Node{}, err
	}
	cache, err := downloads(m.Path)
	if err != nil {
		return graph.Node{}, err
	}
	return graph.Node{ID: FetchID(m), Action: &graph.Fetch{Fetch: action.Fetch{
		Items: []action.Item{zipItem(m, suffixed(urls, version+".zip"), f.sums.zip[m], f.proxies, dir), mod},
		Files: []action.File{infoFile(cache, version, m), {Path: cache + version + ".ziphash", Text: zip}},
	}}}, nil
}

// infoFile is what "go list -m" reads of a version. A proxy's has the time of the commit besides,
// which no checksum covers.
func infoFile(cache, version string, m module.Version) action.File {
	return action.File{Path: cache + version + ".info", Text: fmt.Sprintf("{\"Version\":%q}", m.Version)}
}

// zipItem is the download of a module's zip, unpacked to dest as the go command does: regular
// files only, mode 0444.
func zipItem(m module.Version, urls, hashes []string, proxies *goproxy.List, dest string) action.Item {
	return action.Item{
		Name:       m.String(),
		URLs:       urls,
		AnyFailure: proxies.AnyFailure(),
		Integrity:  hashes,
		Auth:       proxies.Auth(),
		AuthHost:   proxies.AuthHost(),
		Unpack:     &action.Unpack{Format: "zip", Prefix: m.String() + "/", SetMode: 0o444, ClearMode: 0o333, Links: "refuse"},
		Dests:      []string{dest},
	}
}

// modItem is the download of a version's go.mod.
func (f *Fetcher) modItem(m module.Version) (action.Item, error) {
	if f.sums.Mod(m) == "" {
		return action.Item{}, f.missing(m, "/go.mod")
	}
	urls, err := f.proxies.For(m, f.env.GONOPROXY)
	if err != nil {
		return action.Item{}, err
	}
	version, err := module.EscapeVersion(m.Version)
	if err != nil {
		return action.Item{}, err
	}
	cache, err := downloads(m.Path)
	if err != nil {
		return action.Item{}, err
	}
	return action.Item{
		Name:       m.String() + "/go.mod",
		URLs:       suffixed(urls, version+".mod"),
		AnyFailure: f.proxies.AnyFailure(),
		Integrity:  f.sums.mod[m],
		Auth:       f.proxies.Auth(),
		AuthHost:   f.proxies.AuthHost(),
		Dests:      []string{cache + version + ".mod"},
	}, nil
}

// modFiles is the node of the go.mod files of one module, versions in order.
func (f *Fetcher) modFiles(versions []module.Version) (graph.Node, error) {
	var a action.Fetch
	for _, m := range versions {
		item, err := f.modItem(m)
		if err != nil {
			return graph.Node{}, err
		}
		cache, version := path.Split(strings.TrimSuffix(item.Dests[0], ".mod"))
		a.Items = append(a.Items, item)
		a.Files = append(a.Files, infoFile(cache, version, m))
	}
	return graph.Node{
		ID:     graph.ID{Ecosystem: "go", Kind: "modfile", Package: versions[0].Path},
		Action: &graph.Fetch{Fetch: a},
	}, nil
}

func (f *Fetcher) missing(m module.Version, suffix string) error {
	file := f.sums.File
	if file == "" {
		file = "go.sum"
	}
	hint := "to add it: go mod download " + m.Path
	if suffix != "" {
		hint = "to add it: go mod tidy"
	}
	return &Error{File: file, Msg: fmt.Sprintf("missing go.sum entry for %s%s", m, suffix), Hint: hint}
}

func suffixed(prefixes []string, s string) []string {
	out := make([]string, len(prefixes))
	for i, p := range prefixes {
		out[i] = p + s
	}
	return out
}
