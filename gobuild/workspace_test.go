package gobuild

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/tools/txtar"

	"github.com/mergefest/mergefest/gomod"
)

// TestWorkspaceSums: the hashes of a workspace are those of all its modules, wherever they are and
// whether or not they have a package in the build.
func TestWorkspaceSums(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "go.sum", "example.com/out v1.0.0 h1:outside\n")
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(`
-- my.work --
go 1.25
use (
	./a
	"` + outside + `"
	./b
	./none
)
-- my.work.sum --
example.com/work v1.0.0 h1:work
-- a/go.sum --
example.com/dep v1.0.0 h1:a
-- b/go.sum --
example.com/dep v1.1.0 h1:b
`)).Files {
		write(t, dir, f.Name, string(f.Data))
	}
	p := &planner{cfg: Config{Dir: filepath.Join(dir, "a")}, facts: &Facts{}, s: &Settings{GOWORK: filepath.Join(dir, "my.work")}, locals: map[string]string{}}
	if err := p.openModule(gomod.Env{}); err != nil {
		t.Fatal(err)
	}
	for m, want := range map[module.Version]string{
		{Path: "example.com/work", Version: "v1.0.0"}: "h1:work",
		{Path: "example.com/dep", Version: "v1.0.0"}:  "h1:a",
		{Path: "example.com/dep", Version: "v1.1.0"}:  "h1:b",
		{Path: "example.com/out", Version: "v1.0.0"}:  "h1:outside",
	} {
		if got := p.sums.Zip(m); got != want {
			t.Errorf("%s: %q, want %q", m, got, want)
		}
	}

	write(t, dir, "my.work", "go 1.25\nuse (./a\n")
	var fault *gomod.Error
	if err := p.openModule(gomod.Env{}); !errors.As(err, &fault) || fault.File != "../my.work" || fault.Line == 0 {
		t.Errorf("a broken go.work: %v", err)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}
