// Fetch nodes: one module version, or the go.mod files of one module.
package gomod

import (
	"errors"
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

// Module gives the nodes of one module version; the last one, FetchID, makes its files. The errors
// are *Error for a missing line of go.sum, *ProxyError, and those of malformed paths.
func (f *Fetcher) Module(m module.Version) ([]graph.Node, error) {
	zip := f.sums.Zip(m)
	if zip == "" {
		return nil, f.missing(m, "")
	}
	urls, why, err := f.prefixes(m)
	if err != nil {
		return nil, err
	}
	mod, err := f.modItem(m, urls)
	if err != nil {
		return nil, err
	}
	dir, err := Dir(m)
	if err != nil {
		return nil, err
	}
	version, err := module.EscapeVersion(m.Version)
	if err != nil {
		return nil, err
	}
	cache, err := downloads(m.Path)
	if err != nil {
		return nil, err
	}
	return f.nodes(FetchID(m), action.Fetch{
		Items: []action.Item{zipItem(m, suffixed(urls, version+".zip"), f.sums.zip[m], f.proxies, dir), mod},
		Files: []action.File{infoFile(cache, version, m), {Path: cache + version + ".ziphash", Text: zip}},
	}, cache, why)
}

// prefixes are the URLs below which m's files are. Where no proxy serves it (why says so) and there is
// a host's module cache, that is the one below which a container sees its files.
func (f *Fetcher) prefixes(m module.Version) (urls []string, why, err error) {
	urls, err = f.proxies.For(m, f.env.GONOPROXY)
	var refused *ProxyError
	if f.env.ModCache != nil && errors.As(err, &refused) {
		return []string{hostPrefix}, err, nil
	}
	return urls, nil, err
}

// nodes carry out a download, or take the files from the host if there is a reason to.
func (f *Fetcher) nodes(id graph.ID, act action.Fetch, cache string, why error) ([]graph.Node, error) {
	if why != nil {
		return f.fromHost(id, act, cache, why)
	}
	return []graph.Node{{ID: id, Action: &graph.Fetch{Fetch: act}}}, nil
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
func (f *Fetcher) modItem(m module.Version, urls []string) (action.Item, error) {
	if f.sums.Mod(m) == "" {
		return action.Item{}, f.missing(m, "/go.mod")
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

// modFiles gives the nodes of the go.mod files of one module, versions in order; the last one makes
// the files.
func (f *Fetcher) modFiles(versions []module.Version) ([]graph.Node, error) {
	urls, why, err := f.prefixes(versions[0])
	if err != nil {
		return nil, err
	}
	var a action.Fetch
	var cache string
	for _, m := range versions {
		item, err := f.modItem(m, urls)
		if err != nil {
			return nil, err
		}
		var version string
		cache, version = path.Split(strings.TrimSuffix(item.Dests[0], ".mod"))
		a.Items = append(a.Items, item)
		a.Files = append(a.Files, infoFile(cache, version, m))
	}
	return f.nodes(graph.ID{Ecosystem: "go", Kind: "modfile", Package: versions[0].Path}, a, cache, why)
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
