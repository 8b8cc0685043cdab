// Package embedded is BuildKit assembled in one process: its solver, worker and stores with an
// executor and an exporter of mergefest's own, served on a Unix socket in a state directory.
//
// # How it stays fast
//
// Every store is opened without fsync. That is right for a cache: the death of the process loses
// nothing, because the kernel has all writes, and the death of the machine loses time only,
// because state that may be torn is recognised by its boot id and thrown away (see state.go).
// Containers are run by crun, if it is installed, with a seccomp program that is compiled once
// (seccomp.go). Actions of mergefest's own helper need no container at all (inprocess.go).
//
// # How it stays right when it dies
//
// The server holds a lock for its life, so there is one per state directory. It mounts in a mount
// namespace of its own, which the kernel takes down with it. What a killed server leaves besides,
// containers and their bundles, is swept by the next one before it opens the stores (sweep.go).
package embedded
