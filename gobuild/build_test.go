// Programs built from plans are those of the go command, byte for byte.
package gobuild

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/mergefest/mergefest/toolchain"
)

// project writes a txtar file's files to a new directory.
func project(t testing.TB, file string) string {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range a.Files {
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// hostToolchain imports the host's Go. The store is shared by the tests of a run.
func hostToolchain(t testing.TB) (*toolchain.Store, *toolchain.Go) {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "mergefest-gobuild-test")
	store := toolchain.OpenStore(dir)
	g, err := store.Host(t.Context(), goEnv(t, "", "GOROOT"), goEnv(t, "", "GOVERSION"), "linux/"+goEnv(t, "", "GOHOSTARCH"))
	if err != nil {
		t.Fatal(err)
	}
	return store, g
}

// oracle builds with the go command.
func oracle(t testing.TB, dir string, env []string, args ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	cmd := exec.CommandContext(context.Background(), "go", append([]string{"build", "-trimpath", "-o", out}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, msg)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestHello(t *testing.T) {
	store, tc := hostToolchain(t)
	dir := project(t, "testdata/build/hello.txtar")
	env := append(os.Environ(), "GOPROXY="+proxy(t))
	plan, err := Make(t.Context(), Config{Dir: dir, Env: env, Output: true, Toolchain: tc})
	if err != nil {
		t.Fatal(err)
	}
	e := newExecutor(t, store)
	got, err := e.build(plan)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(got["bin/hello"])
	if err != nil {
		t.Fatal(err)
	}
	if want := oracle(t, dir, []string{"CGO_ENABLED=0"}, "-ldflags=-buildid="); !bytes.Equal(data, want) {
		t.Errorf("the program isn't that of go build")
	}
}
