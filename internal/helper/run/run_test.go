package run

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/place"
)

// buffer is a console that commands may write to at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// bench is a place to run documents in. Paths in documents are written with $IN, $OUT and $TMP.
type bench struct {
	Env
	tmp     string
	console *buffer
}

func newBench(t *testing.T) *bench {
	dir := t.TempDir()
	b := &bench{console: &buffer{}, tmp: filepath.Join(dir, "tmp")}
	b.Env = Env{InDir: filepath.Join(dir, "in"), OutDir: filepath.Join(dir, "out"), Console: b.console, Procs: 4}
	for _, d := range []string{b.InDir, b.OutDir, b.tmp} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *bench) expand(s string) string {
	return strings.NewReplacer("$IN", b.InDir, "$OUT", b.OutDir, "$TMP", b.tmp).Replace(s)
}

func (b *bench) sh(script string) action.Command {
	return action.Command{Args: []string{"sh", "-c", b.expand(script)}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: b.tmp}
}

func (b *bench) task(name string, script string, after ...int) action.Task {
	return action.Task{Name: name, Commands: []action.Command{b.sh(script)}, After: after}
}

func (b *bench) do(t *testing.T, r action.Run) error { return Do(t.Context(), &Doc{Run: r}, b.Env) }

func (b *bench) out(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.OutDir, path))
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

func TestRun(t *testing.T) {
	b := newBench(t)
	doc := &Doc{
		Run: action.Run{
			Files: []action.File{{Path: b.tmp + "/deep/cfg", Text: "config"}, {Path: b.tmp + "/dir", Dir: true, Mode: 0o700}, {Path: b.tmp + "/link", Link: "deep"}},
			Tasks: []action.Task{
				b.task("second", "cat $IN/lib/a.x > $OUT/bin/result; echo warning >&2", 1),
				b.task("first", "cp $TMP/link/cfg $OUT/lib/a.x; umask > $OUT/umask; env > $OUT/env; cat > $OUT/stdin; mkdir $TMP/made; echo moved > $TMP/made/f; ln -s f $TMP/made/l"),
				{Name: "stdout", Commands: []action.Command{{Args: []string{"/bin/echo", "hi"}, Stdout: b.OutDir + "/s/o"}}},
			},
			Outputs: []action.Output{{Path: "lib/a.x"}, {Path: "bin/result"}, {Path: "moved/here", From: b.tmp + "/made"}, {Path: "none", Optional: true},
				{Path: "none2", From: b.tmp + "/none", Optional: true}},
		},
		Links: map[string]string{"/in/lib/a.x": "/out/lib/a.x"},
	}
	syscall.Umask(0o022)
	if err := Do(t.Context(), doc, b.Env); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"bin/result": "config", "umask": "0022\n", "stdin": "", "s/o": "hi\n", "moved/here/f": "moved\n", "moved/here/l": "moved\n",
	} {
		if got := b.out(t, path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if got := b.out(t, "env"); strings.Contains(got, "HOME=") || !strings.Contains(got, "PATH=/usr/bin:/bin\n") {
		t.Errorf("environment %q", got)
	}
	if got := b.console.String(); got != "warning\n" {
		t.Errorf("console %q", got)
	}
	filepath.WalkDir(b.OutDir, func(p string, d fs.DirEntry, err error) error {
		if fi, err := os.Lstat(p); err != nil || fi.ModTime().Unix() != place.Time {
			t.Errorf("%s: %v %v", p, fi.ModTime(), err)
		}
		return nil
	})
}

func TestFailures(t *testing.T) {
	b := newBench(t)
	script := filepath.Join(b.tmp, "script")
	os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755)
	os.WriteFile(b.tmp+"/text", []byte("just text"), 0o755)
	os.WriteFile(b.tmp+"/plain", []byte("x"), 0o644)
	one := func(args ...string) action.Task {
		return action.Task{Name: "task", Commands: []action.Command{{Args: args, Env: []string{"PATH=/usr/bin:/bin"}}}}
	}
	tests := []struct {
		name    string
		task    action.Task
		code    int
		err     string
		console string
	}{
		{"exit status", b.task("example.com/p", "echo out; echo err >&2; exit 7"), 7, "example.com/p: sh: exit status 7",
			"# example.com/p\n$ sh -c 'echo out; echo err >&2; exit 7'\nout\nerr\n"},
		{"no newline at the end", b.task("t", "printf x; exit 1"), 1, "exit status 1", "\nx\n"},
		{"signal", b.task("t", "kill -TERM $$"), 143, "killed by signal 15 (terminated)", ""},
		{"killed", b.task("t", "kill -KILL $$"), 137, "run out of memory?", ""},
		{"not in PATH", one("no-such-program"), 127, `not in PATH ("/usr/bin:/bin")`, ""},
		{"not there", one("/no/such/program"), 127, "the program is not there", ""},
		{"no interpreter", one(script), 127, "its interpreter or dynamic loader is missing", ""},
		{"no program", one(b.tmp + "/text"), 126, "no program of this machine's architecture", ""},
		{"not executable", one(b.tmp + "/plain"), 126, "permission denied", ""},
		{"no such directory", action.Task{Name: "t", Commands: []action.Command{{Args: []string{"/bin/true"}, Dir: "/no/such/dir"}}}, 126, "/no/such/dir", ""},
		{"first of two", action.Task{Name: "t", Commands: []action.Command{b.sh("exit 3"), b.sh("echo never")}}, 3, "exit status 3", ""},
		{"built-in", one("@copy", "/no/such/file", b.tmp+"/x"), 1, "no such file", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.console.b.Reset()
			err := b.do(t, action.Run{Tasks: []action.Task{tt.task}})
			var ce *CommandError
			if !errors.As(err, &ce) {
				t.Fatalf("got %v (%T)", err, err)
			}
			if ce.Code != tt.code || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got status %d, %q; want %d, %q", ce.Code, err, tt.code, tt.err)
			}
			if got := b.console.String(); !strings.Contains(got, tt.console) || strings.Contains(got, "never\n") {
				t.Errorf("console %q, want %q", got, tt.console)
			}
		})
	}
}

// TestMerge delivers a directory to where the commands have written already: all of the output.
func TestMerge(t *testing.T) {
	b := newBench(t)
	err := b.do(t, action.Run{
		Tasks:   []action.Task{b.task("t", "mkdir -p $TMP/tree/d $OUT/d; echo a > $TMP/tree/d/a; echo b > $OUT/d/b")},
		Outputs: []action.Output{{Path: ".", From: b.tmp + "/tree"}},
	})
	if err != nil || b.out(t, "d/a") != "a\n" || b.out(t, "d/b") != "b\n" {
		t.Error(err)
	}
}

func TestOutputs(t *testing.T) {
	for _, o := range []action.Output{{Path: "lib/a"}, {Path: "b", From: "/no/such/place"}} {
		b := newBench(t)
		err := b.do(t, action.Run{Tasks: []action.Task{b.task("t", "true")}, Outputs: []action.Output{o}})
		var oe *OutputError
		if !errors.As(err, &oe) || oe.Path != o.Path || !errors.Is(err, ErrMissing) {
			t.Errorf("got %v", err)
		}
	}
}

func TestDocuments(t *testing.T) {
	ok := []action.Command{{Args: []string{"/bin/true"}}}
	for want, r := range map[string]action.Run{
		"has no commands":               {Tasks: []action.Task{{Name: "t"}}},
		"no program":                    {Tasks: []action.Task{{Name: "t", Commands: []action.Command{{}}}}},
		"comes after task 1, of 1":      {Tasks: []action.Task{{Name: "t", Commands: ok, After: []int{1}}}},
		"comes after task 0":            {Tasks: []action.Task{{Name: "t", Commands: ok, After: []int{0}}}},
		"a → b → a":                     {Tasks: []action.Task{{Name: "a", Commands: ok, After: []int{1}}, {Name: "b", Commands: ok, After: []int{0}}}},
		"not an absolute path":          {Files: []action.File{{Path: "x"}}},
		"written twice":                 {Files: []action.File{{Path: "/x"}, {Path: "/x"}}},
		`"x", which is not absolute`:    {Outputs: []action.Output{{Path: "o", From: "x"}}},
		"output: path \"../x\" has":     {Outputs: []action.Output{{Path: "../x"}}},
		`unknown built-in command "@x"`: {Tasks: []action.Task{{Name: "t", Commands: []action.Command{{Args: []string{"@x"}}}}}},
		"@copy wants":                   {Tasks: []action.Task{{Name: "t", Commands: []action.Command{{Args: []string{"@copy", "a"}}}}}},
		"working directory":             {Tasks: []action.Task{{Name: "t", Commands: []action.Command{{Args: []string{"x"}, Dir: "a"}}}}},
	} {
		b := newBench(t)
		err := b.do(t, r)
		var de *DocError
		if !errors.As(err, &de) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestLinks(t *testing.T) {
	for in, out := range map[string]string{"lib/a": "/out/a", "/in/a": "a", "/in": "/out/a", "/in/../x": "/out/a", "/in/b": "/out/../x"} {
		b := newBench(t)
		err := Do(t.Context(), &Doc{Links: map[string]string{in: out}}, b.Env)
		var de *DocError
		if !errors.As(err, &de) || !strings.Contains(err.Error(), "link from") {
			t.Errorf("%s → %s: got %v", in, out, err)
		}
	}
}

// TestOrder runs a graph of tasks that record when they begin and end.
func TestOrder(t *testing.T) {
	b := newBench(t)
	log := func(name string) string {
		return "echo +" + name + " >> $OUT/log; sleep 0.05; echo -" + name + " >> $OUT/log"
	}
	tasks := []action.Task{b.task("a", log("a")), b.task("b", log("b"), 0), b.task("c", log("c"), 0, 0), b.task("d", log("d"), 1, 2), b.task("e", log("e"))}
	b.Procs = 2
	if err := b.do(t, action.Run{Tasks: tasks}); err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	running, most := 0, 0
	for i, l := range strings.Fields(b.out(t, "log")) {
		at[l] = i
		if l[0] == '+' {
			running++
		} else {
			running--
		}
		most = max(most, running)
	}
	for _, order := range [][2]string{{"-a", "+b"}, {"-a", "+c"}, {"-b", "+d"}, {"-c", "+d"}} {
		if at[order[0]] > at[order[1]] {
			t.Errorf("%s came after %s", order[0], order[1])
		}
	}
	if most != 2 {
		t.Errorf("%d tasks at a time, want 2", most)
	}
}

func TestFailureStopsOthers(t *testing.T) {
	b := newBench(t)
	tasks := []action.Task{b.task("slow", "sleep 0.3; echo done > $OUT/slow"), b.task("bad", "exit 5"), b.task("dependent", "echo x > $OUT/never", 1), b.task("late", "echo x > $OUT/never", 0)}
	err := b.do(t, action.Run{Tasks: tasks})
	var ce *CommandError
	if !errors.As(err, &ce) || ce.Code != 5 || ce.Task != "bad" {
		t.Errorf("got %v", err)
	}
	if b.out(t, "slow") != "done\n" {
		t.Error("a task that was running was not waited for")
	}
	if _, err := os.Stat(b.OutDir + "/never"); err == nil {
		t.Error("a task was started after the failure")
	}
}

// TestConsole has two tasks print at once: lines stay whole, a long output is shown early.
// TestBackground leaves a process behind that holds the output open.
// TestAppend compares with the toolchain's own pack.

func TestEnvironmentPassesNamedVariablesOn(t *testing.T) {
	t.Setenv("SECRET_FOR_TEST", "s3cret")
	t.Setenv("OTHER_FOR_TEST", "x")
	got := environment([]string{"A=1", "SECRET_FOR_TEST", "UNSET_FOR_TEST", "B="})
	if want := []string{"A=1", "SECRET_FOR_TEST=s3cret", "B="}; !slices.Equal(got, want) {
		t.Errorf("environment = %q, want %q", got, want)
	}
	if environment(nil) == nil {
		t.Error("no variables must not mean all of this process")
	}
}
