package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummary(t *testing.T) {
	for _, s := range []Summary{{}, {Files: 1, Written: 2, Unchanged: 3, Removed: 4, Bytes: 5 << 40, Notes: []string{"a", "b"}}} {
		got, ok := ParseSummary(s.Response())
		if diff := cmp.Diff(s, got); !ok || diff != "" {
			t.Error(ok, diff)
		}
	}
	if _, ok := ParseSummary(map[string]string{"containerimage.digest": "sha256:0"}); ok {
		t.Error("took another exporter's response for its own")
	}
}
