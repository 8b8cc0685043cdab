// Programs built from plans are those of the go command, byte for byte.
package gobuild

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	store := toolchain.OpenStore(filepath.Join(os.Getenv(rootVar), "toolchains"))
	g, err := store.Host(t.Context(), goEnv(t, "", "GOROOT"), goEnv(t, "", "GOVERSION"), "linux/"+goEnv(t, "", "GOHOSTARCH"))
	if err != nil {
		t.Fatal(err)
	}
	return store, g
}

// oracle builds with the go command.
func oracle(t testing.TB, dir string, env, args []string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	all := []string{"build", "-trimpath", "-o", out}
	noID := "-ldflags=-buildid="
	for _, a := range args {
		if flags, ok := strings.CutPrefix(a, "-ldflags="); ok && strings.HasPrefix(flags, "-") {
			a, noID = a+" -buildid=", ""
		}
		if noID != "" && !strings.HasPrefix(a, "-") {
			all, noID = append(all, noID), ""
		}
		all = append(all, a)
	}
	if noID != "" {
		all = append(all, noID)
	}
	cmd := exec.CommandContext(t.Context(), "go", all...)
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

// directives are the lines "key: value" of a case's comment.
func directives(t testing.TB, file string) map[string]string {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(a.Comment)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(key, "#") {
			out[key] = value
		}
	}
	return out
}

// configure reads build flags as the go command would.
func configure(t testing.TB, cfg *Config, args []string) {
	t.Helper()
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		switch name {
		case "-tags":
			cfg.Flags.Tags = splitTags(value)
		case "-ldflags":
			cfg.Flags.LDFlags = append(cfg.Flags.LDFlags, value)
		case "-gcflags":
			cfg.Flags.GCFlags = append(cfg.Flags.GCFlags, value)
		case "-asmflags":
			cfg.Flags.ASMFlags = append(cfg.Flags.ASMFlags, value)
		case "-pgo":
			cfg.Flags.PGO = value
		case "-mod":
			cfg.Flags.Mod = value
		case "-modfile":
			cfg.Flags.ModFile = value
		case "-buildvcs":
			cfg.Flags.BuildVCS = value
		case "-buildmode":
			cfg.Flags.BuildMode = value
		default:
			if strings.HasPrefix(a, "-") {
				t.Fatalf("flag %s", a)
			}
			cfg.Patterns = append(cfg.Patterns, a)
		}
	}
}

// git makes dir a repository with one tagged commit and one more.
func git(t testing.TB, dir string) {
	t.Helper()
	for _, args := range [][]string{
		{"init", "-q"}, {"add", "."}, {"commit", "-q", "-m", "one"}, {"tag", "v1.2.3"},
		{"commit", "-q", "--allow-empty", "-m", "two"},
	} {
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		cmd.Dir = dir
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git: %v\n%s", err, msg)
		}
	}
}

// TestSameProgram compares with the go command. One file of testdata/build is one case; in its
// comment, "args" are those of go build after -trimpath, "env" is added to the environment, "dir"
// is where it runs, and "git" makes a repository first. GOBUILD_TEST_CASES names another directory
// of cases.
func TestSameProgram(t *testing.T) {
	store, tc := hostToolchain(t)
	dir := "testdata/build"
	if other := os.Getenv("GOBUILD_TEST_CASES"); other != "" {
		dir = other // more cases than a test run has time for
	}
	files, err := filepath.Glob(dir + "/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	e := newExecutor(t, store)
	goproxy := proxy(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			set := directives(t, file)
			root := project(t, file)
			if set["git"] != "" {
				git(t, root)
			}
			dir := filepath.Join(root, set["dir"])
			env := append(strings.Fields(set["env"]), "CGO_ENABLED=0", "GOFLAGS=", "GOSUMDB=off")
			args, err := splitQuoted(set["args"])
			if err != nil {
				t.Fatal(err)
			}
			cfg := Config{Dir: dir, Env: append(append(os.Environ(), env...), "GOPROXY="+goproxy), Output: true, Toolchain: tc}
			configure(t, &cfg, args)
			plan, err := Make(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			e.t = t
			got, err := e.build(plan)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 {
				t.Fatalf("got %d programs, want one", len(got))
			}
			for name, file := range got {
				same(t, name, file, oracle(t, dir, env, args))
			}
		})
	}
}

func same(t *testing.T, name, file string, want []byte) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(data, want) {
		return
	}
	other := filepath.Join(t.TempDir(), "want")
	if err := os.WriteFile(other, want, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Errorf("%s isn't the program of go build (%d bytes, want %d); build info:\n%s\nwant:\n%s", name, len(data), len(want), versionM(file), versionM(other))
	if keep := os.Getenv("KEEP"); keep != "" {
		os.WriteFile(filepath.Join(keep, "want"), want, 0o755)
		os.WriteFile(filepath.Join(keep, "got"), data, 0o755)
	}
}

func versionM(file string) string {
	out, err := exec.Command("go", "version", "-m", file).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	_, info, _ := strings.Cut(string(out), "\n")
	return info
}
