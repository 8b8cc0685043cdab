package gobuild

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/mergefest/mergefest/gomod"
	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/toolchain"
)

// fakeToolchain is enough for planning.
func fakeToolchain(t testing.TB) *toolchain.Go {
	t.Helper()
	return &toolchain.Go{
		Version: goEnv(t, "", "GOVERSION"), Platform: "linux/amd64", Root: ".",
		Node: graph.Node{
			ID:     graph.ID{Ecosystem: "go", Kind: "toolchain", Package: "go", Version: "test"},
			Action: &graph.Import{Digest: "sha256:" + strings.Repeat("0", 64), Name: "test"},
		},
	}
}

// TestErrors reads the cases of testdata/errors: what is wrong with a project, and "want". In the
// comment, "args" and "env" are as in TestSameProgram.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	tc := fakeToolchain(t)
	goroot, goversion := goEnv(t, "", "GOROOT"), goEnv(t, "", "GOVERSION")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set := directives(t, file)
			dir := project(t, file)
			want, err := os.ReadFile(filepath.Join(dir, "want"))
			if err != nil {
				t.Fatal(err)
			}
			os.Remove(filepath.Join(dir, "want"))
			env := append(os.Environ(), "CGO_ENABLED=", "GOFLAGS=", "GOPROXY=off", "GOENV=off")
			cfg := Config{Dir: dir, Env: append(env, strings.Fields(set["env"])...), Toolchain: tc, Output: set["output"] != ""}
			args, err := splitQuoted(set["args"])
			if err != nil {
				t.Fatal(err)
			}
			configure(t, &cfg, args)
			_, err = Make(t.Context(), cfg)
			if err == nil {
				t.Fatal("no error")
			}
			got := kindOf(err) + "\n" + strings.NewReplacer(dir, "$DIR", goroot, "$GOROOT", goversion, "$GOVERSION").Replace(err.Error()) + "\n"
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
				if os.Getenv("UPDATE") != "" {
					a.Files[len(a.Files)-1].Data = []byte(got)
					os.WriteFile(file, txtar.Format(a), 0o644)
				}
			}
		})
	}
}

func kindOf(err error) string {
	var (
		load        *LoadError
		unsupported *Unsupported
		usage       *UsageError
		goError     *GoError
		file        *gomod.Error
	)
	switch {
	case errors.As(err, &load):
		return "load"
	case errors.As(err, &unsupported):
		return "unsupported"
	case errors.As(err, &usage):
		return "usage"
	case errors.As(err, &goError):
		return "go"
	case errors.As(err, &file):
		return "file"
	}
	return "untyped"
}
