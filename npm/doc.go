// Package npm turns a project with package-lock.json or npm-shrinkwrap.json (lockfile versions 1,
// 2 and 3) into a graph whose result is the tree that npm ci makes: files, modes, links, the .bin
// directories, and the hidden lockfile node_modules/.package-lock.json byte by byte.
//
// No Node.js is needed to plan, fetch or lay out; Load reads files only. (Version 1 lockfiles lack
// what packages' manifests say; Facts asks a registry for that.)
//
// # The graph of an app
//
//	npm/fetch/NAME@VERSION[digest]     one tarball, unpacked at each of its places, with its .bin links
//	npm/local/FILE                     a tarball that is a file of the project
//	npm/unpack/NAME@VERSION[digest]    such a tarball in place of a fetch
//	npm/git/NAME@VERSION[digest]       the files of a commit; of a directory: npm/local/DIR
//	npm/pack/NAME@VERSION[digest]      those packed as npm does, and unpacked, in place of a fetch
//	npm/deps/NAME@VERSION[digest]      what the install scripts of a package see
//	npm/scripts/NAME@VERSION[digest]   the package after its scripts ran
//	npm/files/APP[DIR]                 links to workspaces and the hidden lockfile
//	npm/tree/APP[DIR]                  the merge of all, delivered into the app's directory
//
// Places are relative to the app's directory ("node_modules/a/node_modules/b", "packages/w/node_modules/c").
// The digest in an ID is that of the action, so apps share what is the same (Join), and a fetch is
// repeated only if its tarball, its places or its commands change. Deeper places are merged later.
//
// # What decides
//
// The tree is npm's: the lockfile's entries, connected as Node.js resolves names (tree.go), with
// package.json of the app and of linked directories in place of the lockfile's copies. It is
// checked as npm ci does (check.go, peers.go, absent.go), flags are computed afresh (flags.go), overrides apply
// (overrides.go), what nothing needs is pruned, and optional packages that don't suit os, cpu,
// libc or engines fall away with what only they need (platform.go). Reference: npm 11.
//
// Modes are those under the umask 022. Of a .bin link's target only unpacking can tell whether it
// exists, so the links are conditional files of the fetch.
//
// # Install scripts
//
// A package with install scripts gets a node that runs preinstall, install and postinstall (or
// node-gyp rebuild for a binding.gyp) with scripts.cjs on a runtime's root file system. It sees a
// private copy of what it can require, at the same places below /app, where packages that it
// depends on ran their scripts before; in a cycle one of them sees the other as it was unpacked.
// The package's directory afterwards is the result and replaces what was unpacked. There is no
// network unless the policy allows it by name. Optional packages with scripts, and what only they
// need, don't go into the merge themselves: npm/settle/APP[DIR] has what is left of them once it is known
// which scripts failed, and npm/record/APP[DIR] the hidden lockfile.
//
// # The project's own scripts
//
// Its install scripts run as npm/install/APP[DIR] on npm/packages/APP[DIR], and npm/tree is the merge
// of both. A script of package.json (Options.Run) is npm/run/PACKAGE[DIR:SCRIPT] on the tree and on
// npm/source nodes; its outputs are the roots then. The object "mergefest" of package.json declares
// what scripts read and leave (declare.go).
//
// # Refused, with a typed Error
//
// Repositories that no engine can read, git in lockfiles of version 1, the linked install strategy,
// files outside the project, client certificates, URLs with passwords, names that differ by case
// only, downloads without a usable integrity. Packages from git that have to be prepared with
// dependencies of their own are refused when they are packed, unless the policy lets them have a network
// (prepare.go).
package npm
