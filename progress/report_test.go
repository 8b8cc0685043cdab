// Tests of the report.

package progress

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	stream := record(t, "fail")
	nodes := recordedNodes(mainNodes...)
	tr := NewTracker(Config{Nodes: values(nodes), NodeOf: byName(nodes, stream)})
	feed := tr.Solve()
	for _, s := range stream {
		feed(s)
	}
	tr.Transferred(nodes["src"].ID, 2, 345)
	tr.Finish(false)
	path := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tr.Report().WriteFile(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", b)
	back, err := ReadReport(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(tr.Report(), back); d != "" {
		t.Errorf("read back (-want +got):\n%s", d)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("temporary files are left: %v", left)
	}
	var re *ReportError
	if err := tr.Report().WriteFile(filepath.Join(path, "below-a-file")); !errors.As(err, &re) || !strings.Contains(err.Error(), "--report") {
		t.Errorf("unwritable report: %v, want a *ReportError that says what to do", err)
	}
	if _, err := ReadReport(strings.NewReader(`{"version":2}`)); err == nil {
		t.Error("a report of version 2 was read")
	}
}
