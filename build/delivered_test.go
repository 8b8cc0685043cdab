package build

import (
	"slices"
	"testing"

	"github.com/mergefest/mergefest/engine"
)

func TestDelivered(t *testing.T) {
	for _, c := range []struct {
		name string
		sums []engine.Summary
		want []string
	}{
		{"nothing to do", []engine.Summary{{Files: 3, Unchanged: 3}}, nil},
		{"written", []engine.Summary{{Files: 3, Written: 1, Bytes: 1500}, {Files: 2, Written: 2, Bytes: 500}}, []string{"out: wrote 3 of 5 files (2kB)"}},
		{"removed", []engine.Summary{{Files: 3, Removed: 2}}, []string{"out: wrote 0 of 3 files (0B), removed 2"}},
		{"noted", []engine.Summary{{Files: 1, Unchanged: 1, Notes: []string{"a", "b"}}}, []string{"out/x: a", "out/x: b"}},
	} {
		var d delivered
		for _, s := range c.sums {
			d.add("out/x", &engine.Result{Response: s.Response()})
		}
		if got := d.lines("out/"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	var d delivered
	d.add("out", &engine.Result{Response: map[string]string{"containerimage.digest": "sha256:0"}})
	if got := d.lines("out"); got != nil {
		t.Errorf("a stock engine: %q", got)
	}
}
