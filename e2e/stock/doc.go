// Package stock pins the unmodified BuildKit daemon and client that the end-to-end tests and the
// benchmarks compare with. It is a module of its own, so that what the daemon needs doesn't become
// a requirement of mergefest's importers.
//
//	go build -o DIR github.com/moby/buildkit/cmd/buildkitd github.com/moby/buildkit/cmd/buildctl
package stock
