// Package llbgen lowers a graph to LLB, BuildKit's input. It knows no ecosystem: only what the
// actions of package graph mean.
//
// The same graph and the same options give the same bytes on every machine: nothing of the host is
// read, all order is canonical, and what BuildKit's client would fill in (a platform, a random
// identity of local sources) is given explicitly.
//
// # How actions are lowered
//
//   - Fetch and Run become one exec op each, which runs the helper program: "helper fetch DOC" or
//     "helper run DOC". DOC is JSON; from InlineLimit on it is a file that a file op writes, mounted
//     and given as "@/path". A run of a graph isn't the same op with a longer document: the limit is
//     part of the lowering, and changing it runs every op again.
//   - Inputs are mounts below "/" that have no output, so that BuildKit keys them by content (early
//     cutoff); action.OutDir is a scratch mount and the only result.
//   - Write becomes a file op; with very many files it is an exec op, "helper write DOC".
//   - Local becomes a directory of one local source, named LocalName, that all nodes share.
//   - Merge becomes a MergeOp of its parts; a part with a path or target is copied by a file op first.
//   - Image, Git and Import become sources; a file system of the client is an OCI layout in the store
//     named Options.Store.
//
// # Keys
//
// BuildKit keys an exec op by its process, by the targets of its mounts, and by the content that the
// mounts select; neither the selected path nor which of several selected paths is mounted where is
// part of that key. (In v0.33.1: ops/exec.go clears the selectors, and solver/edge.go doesn't put
// them into the key made from content.) Where one source is mounted with several selectors, the op
// therefore gets an environment variable, SelectorsEnv, that says which is which. The helper doesn't
// pass its environment on.
package llbgen
