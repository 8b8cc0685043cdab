package progress

import "testing"

// What fails after the solves were stopped is neither shown nor counted; what failed before is.
func TestStop(t *testing.T) {
	stream := record(t, "fail")
	nodes := recordedNodes(mainNodes...)
	follow := func(stop bool) *Tracker {
		tr := NewTracker(Config{Nodes: values(nodes), NodeOf: byName(nodes, stream)})
		feed := tr.Solve()
		if stop {
			tr.Stop()
		}
		for _, s := range stream {
			feed(s)
		}
		tr.Stop()
		again := tr.Solve() // another solve tells of the same failure
		for _, s := range stream {
			again(s)
		}
		tr.Finish(false)
		return tr
	}
	if tr := follow(false); len(tr.Failures()) != 1 || tr.Totals().Failed != 1 {
		t.Errorf("stopped in the end: failures %v, totals %+v", tr.Failures(), tr.Totals())
	}
	if tr := follow(true); len(tr.Failures()) != 0 || tr.Totals().Failed != 0 {
		t.Errorf("stopped before: failures %v, totals %+v", tr.Failures(), tr.Totals())
	}
}
