// Package llbgen lowers a graph to BuildKit's LLB. It knows no ecosystem: a node's action says all
// that there is to do.
//
// The laws of the lowering:
//
//   - The same graph gives the same bytes on every machine.
//   - An op depends on exactly the inputs that its node names. Inputs are read-only mounts below
//     "/", so that an op whose inputs have changed but not their content is not run again.
//   - Only fetches (and runs that were allowed to) have a network; secrets are mounted only where
//     a node asks, and are part of no key.
//   - A merge of nothing is the empty directory, a merge of one part is that part.
//
// How each action is lowered stands in docs/architecture.md.
package llbgen
