#!/bin/sh
# The whole test suite, in the order in which a mistake is cheapest to find. LONG=1 adds the long
# suites (real projects of thousands of nodes). Nothing here is skipped for want of a tool: what is
# missing is installed, or the run fails.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}

stage() { printf '\n== %s\n' "$*"; }

stage setup
scripts/setup.sh --test

stage format and vet
bad=$(gofmt -l $(git ls-files '*.go'))
if [ -n "$bad" ]; then
	echo "gofmt would change:" >&2
	echo "$bad" >&2
	exit 1
fi
$GO vet ./...

stage go.mod is tidy
$GO mod tidy -diff

stage stock buildkitd and the binary under test
mkdir -p .cache/bin
out=$PWD/.cache/bin
(cd e2e/stock && CGO_ENABLED=0 $GO build -o "$out/" github.com/moby/buildkit/cmd/buildkitd github.com/moby/buildkit/cmd/buildctl)
CGO_ENABLED=0 $GO build -o "$out/mergefest" ./cmd/mergefest
export MERGEFEST_BUILDKITD="$out/buildkitd" MERGEFEST_BUILDCTL="$out/buildctl" MERGEFEST_BIN="$out/mergefest"
export MERGEFEST_E2E=1 MERGEFEST_LONG="${LONG:-}"

stage tests
$GO test -timeout 40m ./...

stage race detector
$GO test -race ./graph/... ./internal/localfs ./internal/helper/... ./progress/...

stage fuzzing, a few seconds each
scripts/fuzz.sh "${FUZZTIME:-3s}"
