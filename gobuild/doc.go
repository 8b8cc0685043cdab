// Package gobuild turns Go packages into a graph with a compile node for each package and a link
// node for each program.
//
// It does what cmd/go's work package does: the same programs with the same flags, so that a
// program equals, byte for byte, the one that "go build -trimpath -ldflags=-buildid=" makes with
// the same version of Go. Three things differ on purpose:
//
//   - Paths are always trimmed, because a path of the host in a result would make the result of
//     one machine useless on another. -trimpath=false is refused.
//   - The build ID is empty, in archives and programs. It would carry the identity of every input
//     into the output and defeat early cutoff.
//   - cgo is off unless the user sets CGO_ENABLED=1. The default that the go command derives from
//     a C compiler being installed doesn't count, because there is none where the build runs.
//
// Export data and object code are separate files (compile -o X -linkobj A). A compile node sees
// the export data of its direct imports and nothing else of them, so a change that leaves a
// package's export data alone recompiles that package only; the link node sees all object code.
//
// Planning has two steps. A Loader answers what the packages are (Facts, plain data); the rest is
// a pure function from facts to nodes. Results are in canonical order: the same facts give the
// same plan.
//
// What is not supported is refused with *Unsupported, which names the package, the file, the
// feature and what to do: cgo, SWIG, Fortran, Objective-C, -race, -msan, -asan, overlays,
// build modes other than exe and pie, external linking, GOPATH mode, compilers other than gc, and
// Go before 1.22.
package gobuild
