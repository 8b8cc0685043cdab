// Package run carries out action.Run inside a container: it writes files, runs tasks in the order
// that they allow, and sees that the declared outputs are there.
//
// Commands get exactly the environment of the plan, no standard input, and a process group of
// their own. What they print appears when they fail, take longer than a second or print much, and
// in any case at the end; lines of different tasks are never mixed. Everything in the output
// directory gets the modification time place.Time.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/place"
)

// Doc is the document of a run.
type Doc struct {
	action.Run
	// Links maps absolute paths below action.InDir, where symbolic links are made, to the absolute
	// paths below action.OutDir that they lead to: one task's output is another's input.
	Links map[string]string `json:"links,omitempty"`
}

// Env is where a document is carried out.
type Env struct {
	InDir  string // what action.InDir stands for
	OutDir string // what action.OutDir stands for; it exists
	// Console receives what commands print.
	Console io.Writer
	// Procs is the number of tasks at a time; 0 means one per processor.
	Procs int
	// Unpack carries out the document in a file, for @unpack.
	Unpack func(ctx context.Context, file string) error
	// Reap waits for orphaned processes, which is the duty of a container's first process.
	Reap bool
}

// DocError is a document that can't be carried out.
type DocError struct{ Reason string }

func (e *DocError) Error() string { return "run document: " + e.Reason }

// OutputError is a declared output that could not be delivered.
type OutputError struct {
	Path string // of the output, relative
	Err  error
}

func (e *OutputError) Error() string { return fmt.Sprintf("output %q: %v", e.Path, e.Err) }
func (e *OutputError) Unwrap() error { return e.Err }

// ErrMissing means that no command made a declared output.
var ErrMissing = errors.New("the commands succeeded but did not make it")

// Do carries out a document. The error of a command that failed is a *CommandError, of which
// several can be joined.
func Do(ctx context.Context, doc *Doc, env Env) error {
	if err := check(doc); err != nil {
		return err
	}
	if env.Procs <= 0 {
		env.Procs = runtime.GOMAXPROCS(0)
	}
	if err := prepare(doc, env); err != nil {
		return err
	}
	if err := newRunner(doc, env).run(ctx); err != nil {
		return err
	}
	for _, o := range doc.Outputs {
		if err := deliver(o, env.OutDir); err != nil {
			return err
		}
	}
	return place.SetTimes(env.OutDir)
}

func check(doc *Doc) error {
	fail := func(format string, args ...any) error { return &DocError{fmt.Sprintf(format, args...)} }
	if err := place.Check(doc.Files); err != nil {
		return fail("%v", err)
	}
	for _, f := range doc.Files {
		if !filepath.IsAbs(f.Path) {
			return fail("file %q is not an absolute path", f.Path)
		}
	}
	for i, t := range doc.Tasks {
		if len(t.Commands) == 0 {
			return fail("task %q has no commands", t.Name)
		}
		for _, c := range t.Commands {
			if err := checkCommand(c); err != nil {
				return fail("task %q: %v", t.Name, err)
			}
		}
		for _, a := range t.After {
			if a < 0 || a >= len(doc.Tasks) || a == i {
				return fail("task %q comes after task %d, of %d tasks", t.Name, a, len(doc.Tasks))
			}
		}
	}
	if c := cycle(doc.Tasks); c != nil {
		return fail("tasks wait for each other: %s", strings.Join(c, " → "))
	}
	for _, in := range slices.Sorted(maps.Keys(doc.Links)) {
		if !below(in, action.InDir) || !below(doc.Links[in], action.OutDir) {
			return fail("link from %q to %q: want a path below %s and one below %s", in, doc.Links[in], action.InDir, action.OutDir)
		}
	}
	for _, o := range doc.Outputs {
		if _, err := place.Split(o.Path); err != nil {
			return fail("output: %v", err)
		}
		if o.From != "" && !filepath.IsAbs(o.From) {
			return fail("output %q comes from %q, which is not absolute", o.Path, o.From)
		}
	}
	return nil
}

// below reports whether a clean absolute path is below a directory.
func below(path, dir string) bool {
	return strings.HasPrefix(path, dir+"/") && filepath.Clean(path) == path
}

// cycle returns the names of tasks that wait for each other, or nil.
func cycle(tasks []action.Task) []string {
	const (
		visiting = 1
		done     = 2
	)
	state := make([]int, len(tasks))
	var path []int
	var visit func(i int) []string
	visit = func(i int) []string {
		switch state[i] {
		case done:
			return nil
		case visiting:
			var names []string
			for _, j := range append(path[slices.Index(path, i):], i) {
				names = append(names, tasks[j].Name)
			}
			return names
		}
		state[i] = visiting
		path = append(path, i)
		for _, a := range tasks[i].After {
			if c := visit(a); c != nil {
				return c
			}
		}
		path = path[:len(path)-1]
		state[i] = done
		return nil
	}
	for i := range tasks {
		if c := visit(i); c != nil {
			return c
		}
	}
	return nil
}

// prepare makes what must be there before the first command.
func prepare(doc *Doc, env Env) error {
	for _, f := range doc.Files {
		if err := writeFile(f); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	for _, o := range doc.Outputs {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(env.OutDir, o.Path)), 0o755); err != nil {
			return &OutputError{o.Path, err}
		}
	}
	for _, in := range slices.Sorted(maps.Keys(doc.Links)) {
		from, to := replace(in, action.InDir, env.InDir), replace(doc.Links[in], action.OutDir, env.OutDir)
		if err := os.MkdirAll(filepath.Dir(from), 0o755); err != nil {
			return fmt.Errorf("link %s: %w", in, err)
		}
		if err := os.Symlink(to, from); err != nil {
			return fmt.Errorf("link %s: %w", in, err)
		}
	}
	return nil
}

// replace exchanges the parent of a path that checkLinks has accepted.
func replace(path, parent, by string) string {
	return filepath.Join(by, strings.TrimPrefix(path, parent+"/"))
}

// writeFile makes a file of the plan's. It may lead through links of the root file system, which
// is the container's own.
func writeFile(f action.File) error {
	mode := fs.FileMode(f.Mode)
	if f.Dir {
		if mode == 0 {
			mode = 0o755
		}
		if err := os.MkdirAll(f.Path, 0o755); err != nil {
			return err
		}
		return os.Chmod(f.Path, mode)
	}
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	if f.Link != "" {
		return os.Symlink(f.Link, f.Path)
	}
	if mode == 0 {
		mode = 0o644
	}
	data := f.Data
	if f.Text != "" {
		data = []byte(f.Text)
	}
	if err := os.WriteFile(f.Path, data, 0o600); err != nil {
		return err
	}
	return os.Chmod(f.Path, mode)
}

// deliver moves an output to its place, if need be, and checks that it is there.
func deliver(o action.Output, outDir string) error {
	to := filepath.Join(outDir, o.Path)
	if o.From != "" {
		err := move(o.From, to)
		if err != nil && !(errors.Is(err, fs.ErrNotExist) && missing(o.From)) {
			return &OutputError{o.Path, fmt.Errorf("move it from %s: %w", o.From, err)}
		}
	}
	if !missing(to) || o.Optional {
		return nil
	}
	if o.From != "" {
		return &OutputError{o.Path, fmt.Errorf("%w (looked for %s)", ErrMissing, o.From)}
	}
	return &OutputError{o.Path, fmt.Errorf("%w (looked for %s)", ErrMissing, to)}
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}
