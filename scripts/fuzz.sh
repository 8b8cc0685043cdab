#!/bin/sh
# Runs every fuzz target of the module for the given time each (default 3s).
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
time=${1:-3s}

found=
for file in $(git grep -l '^func Fuzz' -- '*_test.go'); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		found=yes
		$GO test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "./$(dirname "$file")"
	done
done
if [ -z "$found" ]; then
	echo "fuzz: no fuzz target found" >&2
	exit 1
fi
