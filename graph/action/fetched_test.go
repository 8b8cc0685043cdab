package action

import "testing"

func TestFetched(t *testing.T) {
	for _, name := range []string{"lodash@4.17.21", "a: 3 bytes", ""} {
		got, bytes, ok := ParseFetched(Fetched(name, 1<<40))
		if got != name || bytes != 1<<40 || !ok {
			t.Errorf("%q: got %q, %d, %v", name, got, bytes, ok)
		}
	}
	for _, line := range []string{"", "mergefest-helper: downloaded", "mergefest-helper: downloaded x: -1 bytes", "mergefest-helper: downloaded x: 1", "downloaded x: 1 bytes"} {
		if _, _, ok := ParseFetched(line); ok {
			t.Errorf("%q was accepted", line)
		}
	}
}
