// The projects that are built: a generated one, or a real module of the module cache.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/module"
)

// project is something to build and to edit.
type project interface {
	title() string
	// pattern is what is built.
	pattern() string
	// write makes a copy of the original in dir.
	write(dir string) error
	supports(edit) bool
	// apply makes the n-th change of a kind to a copy; each n gives other bytes.
	apply(dir string, e edit, n int) error
}

func newProject(ctx context.Context, c *config, host *goHost, p *proxy) (project, error) {
	if c.module == "" {
		return newGenerated(c.packages, c.coldRounds+c.rounds+4, c.main, p)
	}
	return newReal(ctx, c.module, c.main, host)
}

// real is a copy of a module of the module cache.
type real struct {
	name, dir, main string
	core            string // file of a widely imported package, relative
	pkg             string // its import path
}

// newReal finds the module and the package of it that most of its packages depend on.
func newReal(ctx context.Context, name, main string, host *goHost) (*real, error) {
	path, version, ok := strings.Cut(name, "@")
	if !ok {
		return nil, fmt.Errorf("-module %q: want path@version", name)
	}
	escPath, err := module.EscapePath(path)
	if err != nil {
		return nil, fmt.Errorf("-module: %w", err)
	}
	escVersion, err := module.EscapeVersion(version)
	if err != nil {
		return nil, fmt.Errorf("-module: %w", err)
	}
	r := &real{name: name, main: main, dir: filepath.Join(host.modCache, escPath+"@"+escVersion)}
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,Deps,Module", main)
	cmd.Dir, cmd.Env, cmd.Stderr = r.dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w", r.dir, err)
	}
	type pkg struct {
		ImportPath, Dir string
		GoFiles, Deps   []string
		Module          *struct{ Main bool }
	}
	users, own := map[string]int{}, map[string]pkg{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			return nil, err
		}
		if p.Module == nil || !p.Module.Main {
			continue
		}
		own[p.ImportPath] = p
		for _, d := range p.Deps {
			users[d]++
		}
	}
	best := -1
	for path, p := range own {
		if n := users[path]; len(p.GoFiles) > 0 && (n > best || n == best && path < r.pkg) {
			best, r.pkg = n, path
			rel, err := filepath.Rel(r.dir, filepath.Join(p.Dir, p.GoFiles[0]))
			if err != nil {
				return nil, err
			}
			r.core = rel
		}
	}
	if r.core == "" {
		return nil, fmt.Errorf("%s: no packages of the module itself match %s", name, main)
	}
	return r, nil
}

func (r *real) title() string {
	return fmt.Sprintf("%s of %s; edits in %s", r.main, r.name, r.pkg)
}
func (r *real) pattern() string        { return r.main }
func (r *real) supports(e edit) bool   { return e != bumpEdit }
func (r *real) write(dir string) error { return copyWritable(dir, r.dir) }

func (r *real) apply(dir string, e edit, n int) error {
	return editFile(filepath.Join(dir, r.core), e, n)
}

// copyWritable copies a tree; everything in the copy can be written.
func copyWritable(dst, src string) error {
	if err := os.CopyFS(dst, os.DirFS(src)); err != nil {
		return err
	}
	return filepath.WalkDir(dst, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if d.IsDir() {
			mode = 0o755
		}
		return os.Chmod(path, mode)
	})
}

// editMark begins what earlier edits have appended.
var editMark = regexp.MustCompile(`(?s)\n// bench: .*$`)

// editFile replaces the last edit of a Go file by another one at its end, where it changes no
// position of what is there. A body edit keeps the package's API, but not its code: it changes the
// body of an unexported function that an initialiser keeps in the program.
func editFile(path string, e edit, n int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := editMark.ReplaceAllString(string(b), "")
	switch e {
	case commentEdit:
		text += fmt.Sprintf("\n// bench: comment %d\n", n)
	case bodyEdit:
		text += fmt.Sprintf("\n// bench: body\nvar benchKeep = benchBody\n\n//go:noinline\nfunc benchBody() int { return len(\"body %d\") + %d }\n\nfunc init() { if benchKeep() < 0 { panic(\"bench\") } }\n", n, n)
	case apiEdit:
		text += fmt.Sprintf("\n// bench: api\n//go:noinline\nfunc BenchAPI%d() int { return %d }\n\nfunc init() { if BenchAPI%d() < 0 { panic(\"bench %d\") } }\n", n, n, n, n)
	default:
		return fmt.Errorf("no edit %q", e)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
