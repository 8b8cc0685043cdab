package npm

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// ignoreCases are .gitignore files by directory, and paths of files.
var ignoreCases = []struct {
	name  string
	rules map[string]string
	files []string
}{
	{"names", map[string]string{".": "*.log\nbuild\n"}, []string{"a.log", "d/a.log", "build", "d/build", "builds", "a.logs"}},
	{"directories", map[string]string{".": "build/\n"}, []string{"build/x", "d/build/x", "d/e/build"}},
	{"anchored", map[string]string{".": "/build\nd/out\n"}, []string{"build/x", "d/build", "d/out/x", "e/d/out"}},
	{"again", map[string]string{".": "*.log\n!keep.log\n/d/\n!d/x\n"}, []string{"a.log", "keep.log", "e/keep.log", "d/x"}},
	{"contents", map[string]string{".": "d/**\n!d/x\na/**/z\n"}, []string{"d/x", "d/y", "d/e/x", "a/z", "a/b/c/z", "z"}},
	{"deeper wins", map[string]string{".": "*.txt\n", "d": "!a.txt\nb\n/c\n"}, []string{"a.txt", "d/a.txt", "d/e/a.txt", "b", "d/b", "d/e/b", "d/c", "d/e/c", "c"}},
	{"odd lines", map[string]string{".": "# x\n\n\\#y\n\\!z\ntrailing   \nspace\\ \n{a,b}\n[ab]c\nq?\r\n"},
		[]string{"# x", "#y", "!z", "trailing", "space ", "{a,b}", "a", "b", "ac", "cc", "q1", "q"}},
	{"stars", map[string]string{".": "a*b\n**/x/y\nfoo**bar\n"}, []string{"ab", "a/b", "d/acb", "x/y", "d/x/y", "d/e/x/y", "fooxbar", "foo/bar"}},
}

// TestIgnore compares with git, which tests need anyway.
func TestIgnore(t *testing.T) {
	for _, c := range ignoreCases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for d, text := range c.rules {
				write(t, filepath.Join(dir, d, ".gitignore"), text)
			}
			for _, f := range c.files {
				write(t, filepath.Join(dir, f), "x")
			}
			git(t, dir, "init", "-q")
			kept := git(t, dir, "-c", "core.excludesFile=", "ls-files", "-z", "--others", "--exclude-standard")
			want := map[string]bool{}
			for _, f := range strings.Split(kept, "\x00") {
				want[f] = true
			}
			for _, f := range c.files {
				if got := !ignoredIn(c.rules, f); got != want[f] {
					t.Errorf("%q: kept=%v, git says %v", f, got, want[f])
				}
			}
		})
	}
}

// ignoredIn goes down the directories to a file as planning does.
func ignoredIn(files map[string]string, name string) bool {
	var rules []ignoreRule
	dir := "."
	parts := strings.Split(name, "/")
	for i, part := range parts {
		rules = append(rules, parseIgnore(dir, []byte(files[dir]))...)
		dir = path.Join(dir, part)
		if ignored(rules, dir, i < len(parts)-1) {
			return true
		}
	}
	return false
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v (%s)", strings.Join(args, " "), err, fmt.Sprint(cmd.Err))
	}
	return string(out)
}
