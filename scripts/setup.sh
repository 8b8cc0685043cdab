#!/bin/sh
# Brings in what a build needs and this machine lacks: an OCI runtime (crun, else runc).
# With --test, also what the test suite needs.
set -eu

sudo=
if [ "$(id -u)" != 0 ]; then sudo=sudo; fi

has() { command -v "$1" >/dev/null 2>&1; }

updated=
install() {
	if [ -z "$updated" ]; then
		$sudo apt-get update -q >/dev/null || return 1
		updated=yes
	fi
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends "$@" >/dev/null
}

if ! has crun && ! has runc; then
	echo "setup: installing an OCI runtime (crun)"
	install crun || install runc || {
		echo "setup: neither crun nor runc could be installed; install one of them by hand" >&2
		exit 1
	}
fi

if [ "${1:-}" = --test ]; then
	# Both runtimes are tested, the stock daemon needs runc, and build info is compared in a
	# repository made with git.
	for p in crun runc git; do
		has $p || { echo "setup: installing $p"; install $p; }
	done
fi
