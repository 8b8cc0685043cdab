# Two commands for a fresh Debian 12 machine that has Go:
#
#   make run     brings in what is missing, builds mergefest, builds and runs an example with it
#   make test    passes the whole test suite (make test LONG=1 adds the long suites)
#
# Everything that is made lands in bin/ and .cache/.

GO ?= go

.PHONY: run build test setup generate clean

run: build
	bin/mergefest build -C examples/hello -o $(CURDIR)/bin/example ./...
	bin/example/bin/hello

build: setup
	CGO_ENABLED=0 $(GO) build -o bin/mergefest ./cmd/mergefest

setup:
	@scripts/setup.sh

test:
	@LONG=$(LONG) GO=$(GO) scripts/test.sh

# generate rebuilds the in-container helper's embedded binaries.
generate:
	$(GO) generate ./...

clean:
	rm -rf bin .cache
