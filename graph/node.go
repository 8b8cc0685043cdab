package graph

import "github.com/mergefest/mergefest/graph/action"

// ID identifies a node. It is comparable, has a total order (Compare) and prints as
// "ecosystem/kind/package@version[variant]" (String, ParseID).
type ID struct {
	Ecosystem string // "go", "npm"; lower case, one word
	Kind      string // "fetch", "compile", "link"; lower case, one word
	Package   string // the ecosystem's own name of the package; may contain "/" and "@"
	Version   string // the exact version, or empty for local code
	Variant   string // what else tells two nodes apart: platform, flags, place
}

// Node is one cacheable step.
type Node struct {
	ID ID
	// Platform is where the action runs, as "os/arch" or "os/arch/variant". Empty means that the
	// result doesn't depend on it (fetching, writing, merging).
	Platform string
	// Action says what to do. It is one of *Fetch, *Run, *Write, *Local, *Merge, *Image, *Git,
	// *Import.
	Action Action
}

// Action is the data of a node. The set of actions is closed.
type Action interface {
	// Inputs are the edges to the nodes whose outputs the action reads, in the order that the
	// action gives them a meaning.
	Inputs() []Input
	isAction()
}

// Input is an edge: a part of another node's output, and where the action sees it.
type Input struct {
	From ID
	// Path selects a file or directory of From's output, relative ("." or "" is all of it). Only
	// what is below it counts in the key.
	Path string
	// Target is the absolute path of the read-only mount in a Run, or the relative destination
	// in a Merge ("." or "" is the top).
	Target string
	// Writable gives a Run a private writable copy, which is dropped afterwards.
	Writable bool
}

// Fetch downloads and unpacks; see action.Fetch. It runs with a network.
type Fetch struct{ action.Fetch }

// Run executes programs without a network (unless Network is set), on an empty root file system
// or on Base.
type Run struct {
	action.Run
	// Base is the root file system, writable for the duration of the action; nil is an empty
	// one. Its content counts by identity, not by content: prefer Mounts, which give early cutoff.
	Base *Input
	// Mounts are the read-only inputs, at absolute targets below "/".
	Mounts []Input
	// Network gives the action the network of the engine's host. Such a node is not reproducible
	// by construction; analyzers set it only where the user allowed it by name. With it come the
	// client's authorities and proxies: AuthoritiesFile and NetworkEnv.
	Network bool
	// Secrets are mounted for the action and are part of no key.
	Secrets []Secret
	// Internal maps paths below action.InDir to paths below action.OutDir. Join sets it for edges
	// between members of one group.
	Internal map[string]string
}

// Secret asks for a secret of the invoking client.
type Secret struct {
	Name     string // the client's name for it
	Target   string // absolute path of the file; empty if Env is set
	Env      string // environment variable
	Optional bool
}

// Write makes small files, links and directories.
type Write struct{ Files []action.File }

// Local takes files of the client by an exact list. A symbolic link is taken as one if it
// leads to something in the same list; otherwise it stands for the file that it leads to.
type Local struct {
	// Root names one of the directories that the client offers; empty is the project directory.
	Root  string
	Files []LocalFile
}

// LocalFile is one file of the client's.
type LocalFile struct {
	// Path is where it lands in the output, relative.
	Path string
	// Source is its path relative to the root, with forward slashes; empty means Path. It may
	// begin with "../" only where the client's root allows that.
	Source string
	// Mode has the permission bits that it gets; 0 is 0755 for a file that its owner may execute, and
	// 0644 for others. Consumers that don't read modes shouldn't depend on them.
	Mode uint32
}

// Merge joins directories: later inputs win. Targets other than "." cost a copy.
type Merge struct{ Parts []Input }

// Image takes the root file system of an image from a registry.
type Image struct {
	// Ref is a complete reference; a digest ("name@sha256:…") makes the node reproducible.
	Ref string
}

// Git takes the files of one commit of a repository, without the repository. The commit's hash
// decides what comes; the URL only says where from. It runs with a network. Credentials of http and
// https are the client's secrets GIT_AUTH_HEADER.HOST, GIT_AUTH_TOKEN.HOST, or these without the
// host; those of ssh are the keys of the client's agent.
type Git struct {
	// URL has the scheme https, http, git or ssh, no password, query or fragment, and a user's name
	// with ssh only.
	URL string
	// Commit is the complete hash, in lower case.
	Commit string
	// Submodules takes the submodules too, at the commits that the commit names.
	Submodules bool
}

// Import takes a directory tree that the client holds as an OCI image in its content store, by
// the digest of the manifest. It is how toolchains of the host reach the engine.
type Import struct {
	Digest string // "sha256:<hex>"
	Name   string // for people: "go1.26.0 linux/amd64"
}

// Root is a result that somebody asked for.
type Root struct {
	// Name is unique among the roots of one platform: "bin/hello".
	Name string
	// From and Path select what is delivered.
	From ID
	Path string
	// Platform is what the result is for (not where it was made); empty for any.
	Platform string
	// Dest is where it belongs in the output directory, relative: for a directory its content
	// goes there, for a file it is the file's own path.
	Dest string
	// Discard has the result made, and not delivered: of a Go package that is no program, say. Dest
	// is empty then.
	Discard bool
}
