// Package gomod reads go.mod and go.sum and gives the graph that downloads the modules they name.
//
// There is one fetch node for each module version, "go/fetch/<module>@<version>", verified by the
// two hashes of go.sum. Its output is a part of GOMODCACHE:
//
//	<escaped module>@<escaped version>/…                   the extracted files, mode 0444
//	cache/download/<escaped module>/@v/<version>.mod
//	cache/download/<escaped module>/@v/<version>.info      {"Version":"v1.2.3"}, without a time
//	cache/download/<escaped module>/@v/<version>.ziphash
//
// The go.mod files of versions that only take part in the choice of versions have nodes
// of their own, one for each module, "go/modfile/<module>". The merge of all of them,
// "go/modcache", is accepted by the go command as GOMODCACHE with GOPROXY=off.
//
// The zip itself is left out: "go mod verify" needs it, and no build.
//
// The package doesn't choose versions. It takes go.mod and go.sum as complete, which is what the
// go command's default, -mod=readonly, demands too.
package gomod
