package npm

import (
	"path"
	"strings"
	"testing"
)

// FuzzSettings: whatever stands in package.json, reading the object "mergefest" ends, every mistake has
// its line, and what is taken for outputs is relative and clean.
func FuzzSettings(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"mergefest": 1}`, `{"mergefest": {"npm": {"scripts": "none", "network": ["a"]}}}`,
		`{"mergefest": {"scripts": {"b": {"outputs": ["dist/**", "!dist/x", "a/../..", "./", "x//y/"], "inputs": ["$DEFAULT$", "!{"]}}}}`,
		`{"mergefest": {"scripts": {"b": {"env": ["A*", "=", ""], "network": "x", "dependsOn": [1]}, "c": null}}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := parseJSON("package.json", []byte(text))
		if err != nil {
			return
		}
		s, errs := readSettings(doc)
		for _, e := range errs {
			if e.Line < 1 || e.File != "package.json" {
				t.Errorf("a mistake without its place: %v", e)
			}
		}
		for _, d := range s.scripts {
			for _, o := range append(append([]string{}, d.outputs...), d.removed...) {
				if path.IsAbs(o) || path.Clean(o) != o || o == "." || strings.ContainsAny(o, "*?[") {
					t.Errorf("%q was taken for an output", o)
				}
			}
		}
	})
}

func TestOutputs(t *testing.T) {
	for _, c := range []struct{ list, kept, removed, err string }{
		{"dist/** lib/ a.js", "a.js dist lib", "", ""},
		{"dist dist/types dist-es ./dist", "dist dist-es", "", ""},
		{"dist/**/* !dist/cache/** !dist/stats.json", "dist", "dist/cache dist/stats.json", ""},
		{"../shared/gen", "../shared/gen", "", ""},
		{"dist/*.js", "", "", "no pattern but a final /**"},
		{".", "", "", "isn't a path below the package"},
		{"/dist", "", "", "isn't a path below the package"},
	} {
		kept, removed, err := parseOutputs(strings.Fields(c.list))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got %v, want %q", c.list, err, c.err)
			}
			continue
		}
		if err != nil || strings.Join(kept, " ") != c.kept || strings.Join(removed, " ") != c.removed {
			t.Errorf("%s: got %q without %q, %v", c.list, kept, removed, err)
		}
	}
	if kept, _, err := parseOutputs(nil); kept != nil || err != nil {
		t.Error("no list is taken for an empty one")
	}
	if kept, _, err := parseOutputs([]string{}); kept == nil || err != nil {
		t.Error("an empty list is taken for none")
	}
}
