// The module graph that the in-container helper is built with, in place of the module's go.mod
// (go build -modfile). It is separate so that the helper's bytes, and with them the cache keys of
// everything that it carries out, change only when somebody means them to: an update of a
// dependency of mergefest changes go.mod and leaves this file alone.
//
// The go line names the exact toolchain. After a change: go generate ./internal/helperbin.
module github.com/mergefest/mergefest

go 1.26.8

require (
	github.com/klauspost/compress v1.20.3
	github.com/ulikunitz/xz v0.5.17
	golang.org/x/mod v0.40.0
	golang.org/x/net v0.58.0
	golang.org/x/sys v0.47.0
	golang.org/x/text v0.41.0
)
