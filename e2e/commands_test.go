// The commands that scripts have beside testscript's own.
package e2e

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// buildReport is what the scripts read of `--report`.
type buildReport struct {
	Version int
	Totals  map[string]int
	Nodes   []struct {
		ID, Ecosystem, Kind, Package, Status string
	}
}

func readReport(ts *testscript.TestScript, file string) buildReport {
	var r buildReport
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &r))
	if r.Version == 0 || len(r.Nodes) == 0 || len(r.Nodes) != r.Totals["nodes"] {
		ts.Fatalf("%s is not a complete report", file)
	}
	return r
}

// cmdReport checks totals: report FILE executed=2 failed=0.
func cmdReport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: report FILE total=N...")
	}
	r := readReport(ts, args[0])
	for _, want := range args[1:] {
		name, value, _ := strings.Cut(want, "=")
		n, err := strconv.Atoi(value)
		ts.Check(err)
		got, ok := r.Totals[name]
		if !ok || got != n {
			ts.Fatalf("%s: %s is %d, want %d; executed: %s", args[0], name, got, n, withStatus(r, "executed"))
		}
	}
}

// cmdExecuted checks exactly which nodes ran: executed FILE REGEXP... needs one node for each
// expression, and no other.
func cmdExecuted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: executed FILE REGEXP...")
	}
	matchAll(ts, "executed", withStatus(readReport(ts, args[0]), "executed"), args[1:])
}

// matchAll pairs nodes and expressions. An expression after a "?" may match none: whether merges run
// depends on the engine.
func matchAll(ts *testscript.TestScript, status string, ids, exprs []string) {
	left := slices.Clone(ids)
	for _, expr := range exprs {
		expr, optional := strings.CutPrefix(expr, "?")
		re, err := regexp.Compile("^(?:" + expr + ")$")
		ts.Check(err)
		at := slices.IndexFunc(left, re.MatchString)
		if at < 0 && optional {
			continue
		}
		if at < 0 {
			ts.Fatalf("no %s node matches %q; %s: %q", status, expr, status, ids)
		}
		left = slices.Delete(left, at, at+1)
	}
	if len(left) > 0 {
		ts.Fatalf("%s too: %q", status, left)
	}
}

// cmdFailed checks exactly which nodes failed: failed FILE REGEXP... needs one node for each
// expression, and no other. A build that failed doesn't reach all nodes.
func cmdFailed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: failed FILE REGEXP...")
	}
	var r buildReport
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	matchAll(ts, "failed", withStatus(r, "failed"), args[1:])
}

func withStatus(r buildReport, status string) []string {
	var ids []string
	for _, n := range r.Nodes {
		if n.Status == status {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// cmdEdit replaces text in a file: edit FILE OLD NEW. OLD must occur.
func cmdEdit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s doesn't contain %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o644))
}
