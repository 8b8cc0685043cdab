package npm

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestRangesAgreeWithNode compares with a table that node-semver made (testdata/semver.cjs).
func TestRangesAgreeWithNode(t *testing.T) {
	data, err := os.ReadFile("testdata/semver.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Versions []string
		Rows     []struct {
			Range string
			Sat   []*string
		}
	}
	if err := json.Unmarshal(data, &table); err != nil {
		t.Fatal(err)
	}
	modes := []mode{{}, {loose: true}, {prerelease: true}}
	if len(table.Rows) < 100 {
		t.Fatalf("the table has only %d rows", len(table.Rows))
	}
	for _, row := range table.Rows {
		for i, m := range modes {
			_, err := parseRange(row.Range, m)
			if row.Sat[i] == nil {
				if err == nil {
					t.Errorf("%q %+v: read, but node-semver refuses it", row.Range, m)
				}
				continue
			}
			if err != nil {
				t.Errorf("%q %+v: %v, but node-semver reads it", row.Range, m, err)
				continue
			}
			var got []string
			for _, v := range table.Versions {
				if satisfies(v, row.Range, m) {
					got = append(got, v)
				}
			}
			if g := strings.Join(got, " "); g != *row.Sat[i] {
				t.Errorf("%q %+v:\n got %s\nwant %s", row.Range, m, g, *row.Sat[i])
			}
		}
	}
}

func TestRangesIntersectAsInNode(t *testing.T) {
	data, err := os.ReadFile("testdata/semver.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Intersects [][2]any }
	if err := json.Unmarshal(data, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Intersects) < 50 {
		t.Fatalf("the table has only %d rows", len(table.Intersects))
	}
	for _, row := range table.Intersects {
		a := row[0].(string)
		with := map[string]bool{}
		for _, b := range row[1].([]any) {
			with[b.(string)] = true
		}
		for _, other := range table.Intersects {
			b := other[0].(string)
			if got := rangesIntersect(a, b); got != with[b] {
				t.Errorf("%q and %q: got %v, want %v", a, b, got, with[b])
			}
		}
	}
}
