#!/bin/sh
# Writes the lockfiles of the corpus again with the npm that is installed:
#
#	corpus.sh [NAME...]
#
# Only what names no registry can be committed, so URLs are left out.
set -eu
cd "$(dirname "$0")/corpus"
[ $# -gt 0 ] || set -- *
for app in "$@"; do
	flags=
	case $app in
	lock-v1) flags=--lockfile-version=1 ;;
	lock-v2) flags=--lockfile-version=2 ;;
	esac
	(cd "$app" && rm -f package-lock.json npm-shrinkwrap.json &&
		npm install --package-lock-only --no-audit --no-fund --omit-lockfile-registry-resolved $flags >/dev/null &&
		{ [ "$app" != shrinkwrap ] || mv package-lock.json npm-shrinkwrap.json; }) ||
		{ echo "$app: npm failed" >&2; exit 1; }
	echo "$app"
done
