// What goes in and what comes out.

package llbgen

import (
	"fmt"

	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client/llb"
	digest "github.com/opencontainers/go-digest"
)

const (
	// LocalName is the only local source in a definition. The client serves the files of each
	// Local node in the directory LocalDir(id) of it.
	LocalName = "mergefest"
	// StoreName is the content store of the session that has the imports and the helper's images.
	StoreName = "mergefest"
	// InlineLimit is the length of the longest document that travels as an argument. A longer one
	// costs a file op and a mount; Linux takes arguments of up to 128 KiB.
	InlineLimit = 16 << 10
	// NetworkSecret is the optional secret with the settings of the network that every Fetch gets.
	NetworkSecret = "mergefest.net"
	// NetFile is where it is mounted.
	NetFile = "/.mergefest-net.json"
	// AuthDir is where the credentials of a Fetch are mounted, each with its own name.
	AuthDir = "/.mergefest-auth"
	// SelectorsEnv distinguishes ops that mount several paths of one source; see the package's
	// documentation.
	SelectorsEnv = "MERGEFEST_SELECTORS"
	// FileTime is the modification time of what file ops make, in seconds since 1970: the one that
	// the helper gives to files, and that npm packs with. (Some tools can't stand 1970.)
	FileTime = 499162500
)

// Options says for what kind of engine a graph is lowered.
type Options struct {
	// Platform is the engine's, as "linux/amd64": where nodes run that name none. It is required.
	Platform string
	// Helper are the manifest digests of the images that hold the helper, by platform. Those of all
	// platforms that something runs on are required.
	Helper map[string]digest.Digest
	// LocalDigest identifies the content of the local source: two definitions share the op only if
	// they would send the same bytes. It is required if there are Local nodes.
	LocalDigest string
	// KnownHosts are the keys of servers for Git nodes with ssh, in the format of known_hosts. They
	// are part of no key.
	KnownHosts string
	// NoMerge lowers Merge to copies, for engines without MergeOp.
	NoMerge bool
	// MaxBytes is the size that one definition may have; 0 is unlimited.
	MaxBytes int
}

// Plan is a lowered graph.
type Plan struct {
	// Exports are what is to be solved and delivered, ordered by directory.
	Exports []Export
	// Vertices maps the digest of every vertex that belongs to nodes to these, in canonical order.
	// A node can have several vertices; a vertex has several nodes if these do the same thing, or
	// if it is the local source.
	Vertices map[digest.Digest][]graph.ID
	// Imports are the manifests that the content store must have, the helper's included, sorted.
	Imports []digest.Digest
	// Secrets are the names of the secrets that the client must have, sorted.
	Secrets []string
	// OptionalSecrets are the names of those that it may have, sorted.
	OptionalSecrets []string
	// Images are the references to images in registries, sorted.
	Images []string
	// SSH means that a repository is read by ssh, for which the client must forward an agent.
	SSH bool
}

// Export is a directory of the output.
type Export struct {
	// Dir is relative to the output directory; "." is the output directory itself.
	Dir string
	// Discard says that nothing is delivered: the roots are only to be made.
	Discard bool
	// Roots are the roots that it delivers.
	Roots []graph.Root
	// Definitions are solved in order and delivered to the same directory: later files win. There is
	// more than one if one would be too large for the engine.
	Definitions []*llb.Definition
}

// Error says that a node can't be lowered.
type Error struct {
	Node  graph.ID
	Chain []graph.ID // from a root to the node; see graph.Graph.Chain
	Err   error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("node %s: %v", e.Node, e.Err)
	if len(e.Chain) > 1 {
		s += "\n\tneeded by:"
		for i := len(e.Chain) - 2; i >= 0; i-- {
			s += "\n\t" + e.Chain[i].String()
		}
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// HelperError says that nothing can run on a platform.
type HelperError struct {
	Node     graph.ID
	Platform string
}

func (e *HelperError) Error() string {
	return fmt.Sprintf("nothing can run on %s: there is no helper program for it; choose an engine of another platform", e.Platform)
}

// TooLargeError says that a definition is too large for the engine, and can't be split because all
// of it leads to one op.
type TooLargeError struct {
	Node graph.ID // the node whose definition is too large
	Size int      // the size of that definition, in bytes
	Ops  int      // the number of ops in it
	Most int      // the size that a definition may have
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s: it and what it needs make a definition of %d bytes (%d ops), and the engine takes at most %d; "+
		"join nodes (--granularity module) or use the embedded engine, which has no limit", e.Node, e.Size, e.Ops, e.Most)
}

// OptionError says that an option is missing or malformed.
type OptionError struct {
	Option string
	Err    error
}

func (e *OptionError) Error() string { return fmt.Sprintf("option %s: %v", e.Option, e.Err) }

// Unwrap returns the cause.
func (e *OptionError) Unwrap() error { return e.Err }
