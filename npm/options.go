package npm

// What a caller chooses, and what it is asked for.

import (
	"context"
	"fmt"
	"slices"

	"github.com/mergefest/mergefest/graph"
)

// Options choose what Load plans. The zero value plans the app at the top of the file system, for
// Linux on this machine's processor, with everything that the lockfile has.
type Options struct {
	// Dir is the app's directory in the file system; empty is its top.
	Dir      string
	Platform Platform
	// Variant tells apart the nodes of plans of one app for several platforms: "linux/arm64".
	Variant string
	// Config is npm's configuration; nil has no settings.
	Config *Config
	// Omit and Include list "dev", "optional" or "peer"; if not nil they replace what the configuration
	// says. Include wins.
	Omit, Include []string
	// AllowMissingIntegrity downloads what the lockfile has no integrity for without a check.
	AllowMissingIntegrity bool
	// MissingIntegrityFlag is how a user sets that, for messages: "--npm-allow-missing-integrity".
	MissingIntegrityFlag string
	Scripts              ScriptPolicy
	// Runtime is where install scripts run. It is needed if the policy lets any run.
	Runtime *Runtime
	// Facts answers what the files don't say. Only lockfiles of version 1, and those that lack
	// optional dependencies, need it.
	Facts Facts
	// Run asks for the outputs of a script instead of the tree.
	Run Run
	// Exclude lists files and directories of the file system that are no sources: results.
	Exclude []string
	// Prefix is where the file system is in its repository, and IgnoreFiles are the .gitignore
	// files above it; both are empty if it is the top.
	Prefix      string
	IgnoreFiles []IgnoreFile
}

// Facts is the way to what an analyzer can't read from files.
type Facts interface {
	// Manifest returns the package.json of one version of a package as JSON: what a registry
	// says of it, or the file in its tarball. If there is none the error is a *NotFoundError.
	Manifest(ctx context.Context, q ManifestQuery) ([]byte, error)
	// Versions returns which versions of the package there are (q.Version doesn't count), in any
	// order; none without an error if the registry doesn't know the package.
	Versions(ctx context.Context, q ManifestQuery) ([]string, error)
}

// ManifestQuery names a package.
type ManifestQuery struct {
	Name    string // as the registry knows it
	Version string
	// Registry is the URL, with a final slash, that serves the name.
	Registry string
	// Authorization is the value of the header for the registry, or empty. It is a secret.
	Authorization string
}

// ScriptPolicy says whose install scripts run. The zero value leaves it to the app's package.json,
// and where that says nothing all run.
type ScriptPolicy struct {
	// None runs none, as npm's ignore-scripts. All runs all.
	None, All bool
	// Only, if not nil, lists the packages whose scripts run. The project's own have their names,
	// or "." for all of them.
	Only []string
	// Network lists the packages whose scripts get a network, as Only does, and those from git that
	// npm prepares with one; nil leaves it to package.json.
	Network []string
	source  string // of None, where a setting of npm's said so

	// Flag is how a user sets the policy, and NetworkFlag how a network is allowed, for messages:
	// "--npm-scripts", "--npm-network".
	Flag, NetworkFlag string
}

// Script is a package that wants to run something when it is installed.
type Script struct {
	Package  string // "esbuild"
	Version  string
	Location string // "node_modules/esbuild"; "." is the app itself, other directories are its workspaces
	Run      bool   // whether the policy lets it
	Network  bool
}

// Plan is one app's node_modules as a graph.
type Plan struct {
	// Nodes are the fetches, the files that describe the set, and their merge, in canonical order.
	// A fetch's ID depends on its content only, so plans of several apps share nodes; see Join.
	Nodes []graph.Node
	// Tree is the node whose output is the app's directory with its node_modules, and with those
	// of its workspaces.
	Tree graph.ID
	// Roots deliver it into the app's directory, or what the scripts of Options.Run left.
	Roots []graph.Root
	// Secrets maps the names of secrets that nodes ask for to the values of Authorization
	// headers, and to credentials for npm inside nodes. Don't print it.
	Secrets map[string]string
	// Scripts lists the packages with install scripts by location, allowed or not.
	Scripts []Script
	// Warnings are remarks that npm would make too, one sentence each.
	Warnings []string
	// Packages is the number of places in the tree that hold a package or a link to one.
	Packages int
	// Why returns the way from the app to the package that a node of the graph is of, by dependencies, with
	// the node itself in the end; nil for other nodes. IDs between are those of packages, not of nodes.
	Why func(graph.ID) []graph.ID
	// App is the name in package.json, or the directory's.
	App string
}

// Join puts several plans into one graph. Nodes that are the same are there once.
func Join(plans ...*Plan) ([]graph.Node, []graph.Root) {
	var nodes []graph.Node
	var roots []graph.Root
	seen := map[graph.ID]bool{}
	for _, p := range plans {
		for _, n := range p.Nodes {
			if !seen[n.ID] {
				seen[n.ID] = true
				nodes = append(nodes, n)
			}
		}
		roots = append(roots, p.Roots...)
	}
	return nodes, roots
}

// or takes what s leaves open from a project's own policy.
func (s ScriptPolicy) or(project ScriptPolicy) ScriptPolicy {
	if !s.says() {
		s.None, s.All, s.Only = project.None, project.All, project.Only
	}
	if s.Network == nil {
		s.Network = project.Network
	}
	return s
}

// says reports whether the policy is one, and doesn't leave it to others.
func (s ScriptPolicy) says() bool { return s.None || s.All || s.Only != nil }

// flag names what sets the policy.
func (s ScriptPolicy) flag() string {
	if s.Flag == "" {
		return "a policy of its own"
	}
	return s.Flag
}

// decide applies the policy to a package.
func (s ScriptPolicy) decide(name string) (run, network bool) {
	run = !s.None && (s.Only == nil || contains(s.Only, name))
	return run, run && contains(s.Network, name)
}

// unknown remarks on names of the policy that no package with scripts has.
func (s ScriptPolicy) unknown(scripts []Script) []string {
	var out []string
	if s.source != "" && len(scripts) > 0 {
		out = append(out, fmt.Sprintf("%s leaves all install scripts out; %s wins over it", s.source, s.flag()))
	}
	for _, name := range sortedUnique(append(append([]string(nil), s.Only...), s.Network...)) {
		if name != "." && !slices.ContainsFunc(scripts, func(sc Script) bool { return sc.Package == name }) {
			out = append(out, fmt.Sprintf("the policy for install scripts names %q, and no package of that name has any", name))
		}
	}
	return out
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
