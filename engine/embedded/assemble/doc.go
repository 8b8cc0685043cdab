//go:build linux

// Package assemble makes the directories of merges that are mounted.
//
// BuildKit makes the tree of a MergeOp when something reads it: it links every file of every layer,
// each time one of them changes, and then reads every file again for the key by content. For a
// merge of a thousand packages that costs seconds. This package does the same work ahead of
// BuildKit, which finds the snapshot made: the first time by linking files from the layers' own
// directories, and after a change as a small snapshot on top of the last one, with what was added,
// and whiteouts for what was removed. It tells BuildKit's index of content digests the same
// difference, so that only new files are read.
//
// What a mount shows and what its digest is don't differ from what BuildKit would make: a test
// compares. Where a merge isn't one of plain layers (a difference, something lazy, a device, a
// snapshotter without overlayfs), BuildKit makes it, as without this package.
package assemble
