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
	has ssh || { echo "setup: installing openssh-client"; install openssh-client; }
	has newuidmap || { echo "setup: installing uidmap"; install uidmap; }
	# The embedded engine is tested as a user other than root, too. On a machine that isn't CI's
	# there may be such a user already; none is made without being asked for.
	if [ -n "${CI:-}" ] && [ "$(id -u)" = 0 ] && ! grep -q '^mergefest-test:' /etc/subuid 2>/dev/null; then
		id mergefest-test >/dev/null 2>&1 || useradd --create-home mergefest-test
		grep -q '^mergefest-test:' /etc/subuid || usermod --add-subuids 300000-365535 --add-subgids 300000-365535 mergefest-test
	fi
	# Trees are compared with npm's.
	has npm || { echo "setup: installing npm"; install npm; }
fi
