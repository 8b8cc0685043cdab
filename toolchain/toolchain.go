// Package toolchain says which toolchain a project asks for, at which exact version, and where
// its files come from.
//
// For Go there are two providers: the host's own installation, imported once into a content store
// as an image layer whose digest depends on the files only, and the module proxy, which serves
// toolchains as modules (golang.org/toolchain) that the checksum database vouches for.
package toolchain

import (
	"path"
	"strings"

	"github.com/mergefest/mergefest/graph"
)

// Go is a Go toolchain that runs on an engine.
type Go struct {
	// Version is exact: "go1.26.0".
	Version string
	// Platform is where its programs run: "linux/amd64".
	Platform string
	// Node makes the toolchain's files: an Import or a Fetch.
	Node graph.Node
	// Root is GOROOT's path inside the node's output, relative: ".".
	Root string
	// Secrets are the values of the secrets that Node names.
	Secrets map[string][]byte
}

// ToolDir is the directory of the compiler and its kin, relative to GOROOT.
func (g *Go) ToolDir() string {
	return path.Join("pkg/tool", strings.ReplaceAll(g.Platform, "/", "_"))
}

// Input selects a file or directory of GOROOT and says where an action sees it.
func (g *Go) Input(rel, target string) graph.Input {
	return graph.Input{From: g.Node.ID, Path: path.Join(g.Root, rel), Target: target}
}
