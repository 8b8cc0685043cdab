package toolchain

// Node.js of the host as an image: node and npm, a shell, and what native packages are built with.
//
// On a Debian-like host the image has the files of installed packages: the one that node belongs
// to, the tools in nodePackages, and whatever those depend on. So nothing is taken that isn't
// part of the system, and two hosts with the same packages give the same image.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
	digest "github.com/opencontainers/go-digest"

	"github.com/mergefest/mergefest/graph"
)

// Node is a Node.js that runs on an engine, with a root file system around it.
type Node struct {
	// Version is exact: "20.11.1".
	Version string
	// NPM is the version of the npm beside it; empty if there is none.
	NPM string
	// Platform is where it runs: "linux/amd64".
	Platform string
	// Node makes the root file system.
	Node graph.Node
	// Path is the value of PATH in it.
	Path string
}

// NodeError says why the host's Node.js can't be used.
type NodeError struct {
	File string // the program or file that it is about
	Err  error
}

func (e *NodeError) Error() string {
	return fmt.Sprintf("the host's Node.js can't be used: %s: %v; name an image with Node.js instead", e.File, e.Err)
}

func (e *NodeError) Unwrap() error { return e.Err }

// nodePackages are taken beside Node.js, where they are installed: a shell and its usual tools,
// and what node-gyp needs.
var nodePackages = [...]string{
	"base-files", "bash", "binutils", "bzip2", "ca-certificates", "coreutils", "dash", "diffutils", "findutils", "g++", "gawk",
	"gcc", "grep", "gzip", "libc-bin", "libc6-dev", "make", "mawk", "patch", "pkg-config", "python3", "sed", "tar", "xz-utils",
}

// nodeFormat changes with the rules of what is taken, so that an older image isn't used.
const nodeFormat = 1

// nodeKey says when an import is still that of the host.
type nodeKey struct {
	Format   int
	Node     string // the program, with size and time
	NPM      string // its version
	Status   string // the package database, with size and time
	Platform string
}

// HostNode imports the Node.js that the program node belongs to (an absolute path), with the tools
// that install scripts use, unless that was done before.
func (s *Store) HostNode(ctx context.Context, node, platform string) (*Node, error) {
	real, err := filepath.EvalSymlinks(node)
	if err != nil {
		return nil, &NodeError{File: node, Err: err}
	}
	out := &Node{Platform: platform, Path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if dir := filepath.Dir(real); !strings.Contains(":"+out.Path+":", ":"+dir+":") {
		out.Path = dir + ":" + out.Path
	}
	if out.Version, err = s.NodeVersion(ctx, real); err != nil {
		return nil, err
	}
	out.NPM = NPMVersion(real)
	key, err := makeNodeKey(real, platform)
	if err != nil {
		return nil, &NodeError{File: real, Err: err}
	}
	d, err := s.importNode(ctx, key, real, platform)
	if err != nil {
		return nil, &NodeError{File: real, Err: err}
	}
	out.Node = graph.Node{
		ID:     graph.ID{Ecosystem: "npm", Kind: "runtime", Package: "node", Version: out.Version, Variant: platform},
		Action: &graph.Import{Digest: d.String(), Name: "Node.js " + out.Version + " " + platform},
	}
	return out, nil
}

// NodeVersion asks the program node for its version ("20.11.1"), once for each program.
func (s *Store) NodeVersion(ctx context.Context, node string) (string, error) {
	info, err := os.Stat(node) // of what a link leads to
	if err != nil {
		return "", &NodeError{File: node, Err: err}
	}
	key := fmt.Sprintf("%s %d %d", node, info.Size(), info.ModTime().UnixNano())
	known := filepath.Join(s.dir, "index", "node-version-"+digest.FromString(key).Encoded())
	if data, err := os.ReadFile(known); err == nil && len(data) > 0 {
		return string(data), nil
	}
	v, err := nodeVersion(ctx, node)
	if err != nil {
		return "", &NodeError{File: node, Err: err}
	}
	if err := os.MkdirAll(filepath.Dir(known), 0o755); err != nil {
		return "", err
	}
	return v, writeWhole(known, []byte(v))
}

func nodeVersion(ctx context.Context, node string) (string, error) {
	out, err := exec.CommandContext(ctx, node, "--version").Output()
	v, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "v")
	if err == nil && !ok {
		err = fmt.Errorf("it prints no version but %q", out)
	}
	return v, err
}

// NPMVersion reads the version of the npm that is installed with the program node; empty if there is
// none. node is no link.
func NPMVersion(node string) string {
	file := filepath.Join(filepath.Dir(filepath.Dir(node)), "lib/node_modules/npm/package.json")
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	var pkg struct{ Version string }
	if json.Unmarshal(data, &pkg) != nil {
		return ""
	}
	return pkg.Version
}

func makeNodeKey(node, platform string) (nodeKey, error) {
	key := nodeKey{Format: nodeFormat, Platform: platform, NPM: NPMVersion(node)}
	for file, field := range map[string]*string{node: &key.Node, dpkgStatus: &key.Status} {
		info, err := os.Stat(file)
		if errors.Is(err, os.ErrNotExist) && file == dpkgStatus {
			return key, errors.New("only hosts with dpkg are known (Debian, Ubuntu)")
		}
		if err != nil {
			return key, err
		}
		*field = fmt.Sprintf("%s %d %d", file, info.Size(), info.ModTime().UnixNano())
	}
	return key, nil
}

// importNode finds or makes the image.
func (s *Store) importNode(ctx context.Context, key nodeKey, node, platform string) (digest.Digest, error) {
	js, err := json.Marshal(key)
	if err != nil {
		return "", err
	}
	index := filepath.Join(s.dir, "index", "node-"+digest.FromBytes(js).Encoded()+".json")
	if d, ok := s.findNode(ctx, index); ok {
		return d, nil
	}
	if err := os.MkdirAll(filepath.Dir(index), 0o755); err != nil {
		return "", err
	}
	lock := flock.New(filepath.Join(s.dir, "import.lock"))
	if err := lock.Lock(); err != nil {
		return "", fmt.Errorf("lock the toolchain store: %w", err)
	}
	defer lock.Unlock()
	if d, ok := s.findNode(ctx, index); ok { // another process was faster
		return d, nil
	}
	d, err := s.writeNode(node, platform)
	if err != nil {
		return "", err
	}
	return d, writeWhole(index, []byte(d.String()))
}

func (s *Store) findNode(ctx context.Context, index string) (digest.Digest, bool) {
	data, err := os.ReadFile(index)
	if err != nil {
		return "", false
	}
	d, err := digest.Parse(strings.TrimSpace(string(data)))
	return d, err == nil && s.complete(ctx, d)
}

func (s *Store) writeNode(node, platform string) (digest.Digest, error) {
	entries, err := listNode(node)
	if err != nil {
		return "", err
	}
	return s.putImage(platform, rootTar(entries).write)
}
