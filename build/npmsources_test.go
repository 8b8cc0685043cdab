package build

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mergefest/mergefest/npm"
)

func TestNPMNames(t *testing.T) {
	for _, c := range [][2]string{
		{"file: /app/src/main.ts:3:5", "file: src/main.ts:3:5"},
		{"at f (/app/node_modules/x/y.js:1:2)", "at f (node_modules/x/y.js:1:2)"},
		{"at file:///app/packages/a/b.mjs:1", "at packages/a/b.mjs:1"},
		{"in /app", "in ."},
		{"'/app': no such file", "'.': no such file"},
		{"$ node /mergefest-scripts.cjs /mergefest-run.json build:css", "$ npm run build:css"},
		{"./app/x.js lib/app/x.js http://h/app/x /apps/x /app-server", "./app/x.js lib/app/x.js http://h/app/x /apps/x /app-server"},
	} {
		if got := npmNames("build:css")(c[0]); got != c[1] {
			t.Errorf("%q: got %q, want %q", c[0], got, c[1])
		}
	}
}

// TestProjectFiles: results inside the project are no sources, and .gitignore files above it count.
func TestProjectFiles(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "apps", "one")
	for _, d := range []string{filepath.Join(top, ".git"), dir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{top, filepath.Join(top, "apps"), dir} {
		if err := os.WriteFile(filepath.Join(d, ".gitignore"), []byte(filepath.Base(d)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var lo npm.Options
	o := Options{Dir: dir, Output: filepath.Join(dir, "out"), Report: filepath.Join(top, "report.json")}
	if err := projectFiles(&lo, o, target{stateDir: filepath.Join(dir, "state", "s")}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"out", "state/s"}; !slices.Equal(lo.Exclude, want) {
		t.Errorf("got %q, want %q", lo.Exclude, want)
	}
	var dirs []string
	for _, f := range lo.IgnoreFiles {
		dirs = append(dirs, f.Dir)
	}
	if want := []string{".", "apps"}; lo.Prefix != "apps/one" || !slices.Equal(dirs, want) {
		t.Errorf("got %q below %q, want %q", dirs, lo.Prefix, want)
	}
}
