package npm

// The files of a project that its scripts read: all that somebody keeps, or what a script declares.

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/mergefest/mergefest/graph"
)

// defaultInputs stands in a list of inputs for what is taken where there is no list.
const defaultInputs = "$DEFAULT$"

// inputs finds files of the app. Paths are those of the file system that Load reads.
type inputs struct {
	app *app
	// never lists files and directories that no script reads: results, and a cache.
	never []string
	rules []ignoreRule // of the directories above the file system
	units map[string][]string
}

// inputs returns what finds the app's files.
func (a *app) inputs() *inputs {
	if a.files != nil {
		return a.files
	}
	in := &inputs{app: a, never: a.opt.Exclude, units: map[string][]string{}}
	for _, f := range a.opt.IgnoreFiles {
		in.rules = append(in.rules, parseIgnore(f.Dir, f.Data)...)
	}
	a.files = in
	return in
}

// ancestors lists the directories above dir, the top (".") first.
func ancestors(dir string) []string {
	var out []string
	for dir != "." {
		dir = path.Dir(dir)
		out = append([]string{dir}, out...)
	}
	return out
}

// ignoreFile reads the .gitignore file of a directory, if there is one.
func (in *inputs) ignoreFile(dir string) ([]ignoreRule, error) {
	data, err := fs.ReadFile(in.app.fsys, path.Join(dir, ".gitignore"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Reason: Malformed, File: path.Join(dir, ".gitignore"), Err: err, Msg: "cannot read the file"}
	}
	return parseIgnore(in.inRepository(dir), data), nil
}

// inRepository is a path as .gitignore files see it.
func (in *inputs) inRepository(p string) string { return path.Join(in.app.opt.Prefix, p) }

// unit lists the files of the package at loc that nobody ignores: without those of workspaces below
// it, what packages make, and .npmrc, which may have credentials.
func (in *inputs) unit(loc string) ([]string, error) {
	if files, ok := in.units[loc]; ok {
		return files, nil
	}
	top := path.Join(in.app.dir, loc)
	skip := map[string]bool{}
	for _, dir := range in.never {
		skip[dir] = true
	}
	for _, ws := range in.app.tree.workspaces {
		if ws != loc {
			skip[path.Join(in.app.dir, ws)] = true
		}
	}
	for _, p := range in.app.made(loc) {
		skip[path.Join(in.app.dir, p)] = true
	}
	var files []string
	rules := in.rules
	for _, dir := range ancestors(top) {
		more, err := in.ignoreFile(dir)
		if err != nil {
			return nil, err
		}
		rules = append(rules[:len(rules):len(rules)], more...)
	}
	err := in.walk(top, rules, skip, &files)
	in.units[loc] = files
	return files, err
}

// walk adds the files below dir.
func (in *inputs) walk(dir string, rules []ignoreRule, skip map[string]bool, files *[]string) error {
	more, err := in.ignoreFile(dir)
	if err != nil {
		return err
	}
	rules = append(rules[:len(rules):len(rules)], more...)
	entries, err := fs.ReadDir(in.app.fsys, dir)
	if err != nil {
		return &Error{Reason: Malformed, File: dir, Err: err, Msg: "cannot list the directory"}
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case skip[name] || e.Name() == "node_modules" || e.Name() == ".git" || e.Name() == ".npmrc":
		case ignored(rules, in.inRepository(name), e.IsDir()):
		case e.IsDir():
			if err := in.walk(name, rules, skip, files); err != nil {
				return err
			}
		case sendable(e):
			*files = append(*files, name)
		}
	}
	return nil
}

// localFile is a file of the project as scripts see it. As npm does when it links them, it makes
// the commands of linked packages executable.
func (a *app) localFile(name string) graph.LocalFile {
	f := graph.LocalFile{Path: name}
	if !a.commands[name] {
		return f
	}
	if info, err := fs.Lstat(a.fsys, name); err == nil && info.Mode().IsRegular() {
		f.Mode = 0o755
	}
	return f
}

// sendable leaves out sockets, pipes and devices, which are no sources.
func sendable(e fs.DirEntry) bool { return e.Type() == 0 || e.Type() == fs.ModeSymlink }

// declared lists the files that a declaration's inputs name, and the package's manifest.
func (in *inputs) declared(loc string, d *declaration) ([]string, error) {
	dir := path.Join(in.app.dir, loc)
	set := map[string]bool{path.Join(dir, "package.json"): true}
	positive := len(d.inputs) == 0 // then it reads the manifest alone
	for _, p := range d.inputs {
		positive = positive || !strings.HasPrefix(p, "!")
	}
	patterns := d.inputs
	if !positive {
		patterns = append([]string{defaultInputs}, patterns...)
	}
	for _, p := range patterns {
		if p == defaultInputs {
			files, err := in.unit(loc)
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				set[f] = true
			}
			continue
		}
		bare, not := strings.CutPrefix(p, "!")
		full := path.Join(escapeGlob(dir), path.Clean(bare))
		if full == ".." || strings.HasPrefix(full, "../") {
			return nil, d.error("inputs", &Error{Reason: BadDeclaration, Msg: fmt.Sprintf("%q leads out of the project", p), Advice: "name a directory above it with -C"})
		}
		if not {
			for f := range set {
				if matches(full, f) {
					delete(set, f)
				}
			}
			continue
		}
		if err := in.glob(full, set); err != nil {
			return nil, d.error("inputs", &Error{Reason: BadDeclaration, Err: err, Msg: fmt.Sprintf("cannot match %q", p)})
		}
	}
	return sortedKeys(set), nil
}

// matches says whether a pattern takes a file: by its name, or by that of a directory around it.
func matches(pattern, file string) bool {
	if ok, _ := doublestar.Match(pattern, file); ok {
		return true
	}
	ok, _ := doublestar.Match(pattern+"/**", file)
	return ok
}

// glob adds the files that a pattern takes, ignored ones too.
func (in *inputs) glob(pattern string, into map[string]bool) error {
	base, rest := doublestar.SplitPattern(pattern)
	if !strings.ContainsAny(rest, `*?[{\\`) { // a name: nothing else can match
		base = path.Join(base, rest)
	}
	return fs.WalkDir(in.app.fsys, base, func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "node_modules" || e.Name() == ".git" || contains(in.never, name)):
			return fs.SkipDir
		case contains(in.never, name):
		case !e.IsDir() && sendable(e) && matches(pattern, name):
			into[name] = true
		}
		return nil
	})
}

// made lists what the scripts of the package at loc leave, relative to the app.
func (a *app) made(loc string) []string {
	names := map[string]bool{}
	for _, s := range []*settings{a.settings[""], a.settings[loc]} {
		if s != nil {
			for name := range s.scripts {
				names[name] = true
			}
		}
	}
	var out []string
	for name := range names {
		for _, o := range a.declaration(loc, name).outputs {
			out = append(out, path.Join(loc, o))
		}
	}
	if a.declaration(loc, a.opt.Run.Script).outputs == nil {
		for _, o := range a.opt.Run.Outputs {
			out = append(out, path.Join(loc, o))
		}
	}
	return sortedUnique(out)
}
