// go.mod, go.work and the graph that downloads everything they name.
package gomod

import (
	"cmp"
	"errors"
	"fmt"
	"go/version"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/mergefest/mergefest/graph"
)

// Project is what go.mod and go.sum, or those of a workspace, say about modules.
type Project struct {
	// Mains are the main modules, by path.
	Mains []Main
	Sums  *Sums
	// Zips are the module versions that a build may need the files of, and Mods those of which
	// only go.mod is needed to choose versions. Both are sorted and disjoint.
	Zips, Mods []module.Version
}

// Main is a main module.
type Main struct {
	Dir       string // relative to the project, "." for the top
	Path      string
	Go        string // of the go line: "1.25.0"; empty without one
	Toolchain string // of the toolchain line: "go1.26.0"; empty without one
	Mod       *modfile.File
}

// Parse reads the go.mod and go.sum at the top of fsys or, if there is a go.work, those of its
// modules. The faults of the files are Errors, all of them.
func Parse(fsys fs.FS) (*Project, error) {
	dirs, replaced, err := workspace(fsys)
	if err != nil {
		return nil, err
	}
	p := &Project{Sums: &Sums{File: "go.sum"}}
	var errs Errors
	for _, dir := range dirs {
		m, err := parseMain(fsys, dir)
		if errs, err = collect(errs, err); err != nil {
			return nil, err
		}
		if m != nil {
			p.Mains = append(p.Mains, *m)
		}
		if errs, err = collect(errs, p.readSums(fsys, path.Join(dir, "go.sum"))); err != nil {
			return nil, err
		}
	}
	if errs, err = collect(errs, p.readSums(fsys, "go.work.sum")); err != nil {
		return nil, err
	}
	if len(errs) > 0 {
		return nil, errs
	}
	slices.SortFunc(p.Mains, func(a, b Main) int { return cmp.Compare(a.Path, b.Path) })
	if err := p.choose(replaced); err != nil {
		return nil, err
	}
	return p, nil
}

// collect adds the faults that err is made of; another error is given back.
func collect(errs Errors, err error) (Errors, error) {
	var more Errors
	var one *Error
	switch {
	case err == nil:
		return errs, nil
	case errors.As(err, &more):
		return append(errs, more...), nil
	case errors.As(err, &one):
		return append(errs, one), nil
	}
	return errs, err
}

// workspace gives the directories of the main modules, and the replacements of go.work.
func workspace(fsys fs.FS) (dirs []string, replaced []*modfile.Replace, err error) {
	data, err := fs.ReadFile(fsys, "go.work")
	if errors.Is(err, fs.ErrNotExist) {
		return []string{"."}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	w, err := modfile.ParseWork("go.work", data, nil)
	if err != nil {
		return nil, nil, fileErrors("go.work", err)
	}
	for _, u := range w.Use {
		dir := useDir(u)
		if !fs.ValidPath(dir) {
			return nil, nil, Errors{{File: "go.work", Line: u.Syntax.Start.Line, Msg: "the module " + u.Path + " is outside the project",
				Hint: "build from a directory that holds all modules of the workspace"}}
		}
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), w.Replace, nil
}

// useDir is the directory of a module of a workspace: relative to go.work, or absolute.
func useDir(u *modfile.Use) string { return path.Clean(strings.ReplaceAll(u.Path, `\`, "/")) }

// WorkspaceDirs gives the directories of the modules that a go.work uses, sorted: relative to the
// file's, or absolute. The faults of the file are Errors.
func WorkspaceDirs(file string, data []byte) ([]string, error) {
	w, err := modfile.ParseWork(file, data, nil)
	if err != nil {
		return nil, fileErrors(file, err)
	}
	var dirs []string
	for _, u := range w.Use {
		dirs = append(dirs, useDir(u))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), nil
}

// fileErrors gives the faults that package modfile reports their places.
func fileErrors(file string, err error) error {
	var list modfile.ErrorList
	if !errors.As(err, &list) {
		return Errors{{File: file, Msg: err.Error()}}
	}
	var out Errors
	for _, e := range list {
		msg := e.Err.Error()
		if e.ModPath != "" && !strings.Contains(msg, e.ModPath) {
			msg = e.ModPath + ": " + msg
		}
		out = append(out, &Error{File: file, Line: e.Pos.Line, Msg: msg})
	}
	return out
}

func parseMain(fsys fs.FS, dir string) (*Main, error) {
	name := path.Join(dir, "go.mod")
	data, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{File: name, Msg: "the file doesn't exist", Hint: "to make a module: go mod init"}
	}
	if err != nil {
		return nil, err
	}
	f, err := modfile.Parse(name, data, nil)
	if err != nil {
		return nil, fileErrors(name, err)
	}
	if f.Module == nil {
		return nil, &Error{File: name, Msg: "there is no module line", Hint: "to specify the module path: go mod edit -module=example.com/mod"}
	}
	m := &Main{Dir: dir, Path: f.Module.Mod.Path, Mod: f}
	if f.Go != nil {
		m.Go = f.Go.Version
	}
	if f.Toolchain != nil {
		m.Toolchain = f.Toolchain.Name
	}
	return m, nil
}

// readSums adds a go.sum; a project without dependencies has none.
func (p *Project) readSums(fsys fs.FS, name string) error {
	data, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := ParseSum(name, data)
	if err != nil {
		return err
	}
	if p.Sums.zip == nil {
		p.Sums.File = name
	}
	p.Sums.Add(s)
	return nil
}

// choose says which versions to download. go.mod lists every module that provides a package (of
// go 1.17 and later; before, the zips in go.sum are the only record), and go.sum has the hash of
// every file that the go command will look at.
func (p *Project) choose(replaced []*modfile.Replace) error {
	zips := map[module.Version]bool{}
	var errs Errors
	local := map[string]bool{}
	for _, m := range p.Mains {
		local[m.Path] = true
	}
	for _, m := range p.Mains {
		rules := append(slices.Clone(replaced), m.Mod.Replace...)
		for _, r := range m.Mod.Require {
			v := replace(rules, r.Mod)
			if v.Version == "" || local[r.Mod.Path] {
				continue // the user's own files
			}
			if p.Sums.Zip(v) != "" {
				zips[v] = true
			} else if p.Sums.Mod(v) == "" {
				errs = append(errs, &Error{File: path.Join(m.Dir, "go.mod"), Line: line(r.Syntax),
					Msg: fmt.Sprintf("missing go.sum entry for %s", v), Hint: "to add it: go mod tidy"})
			}
		}
		if m.Go == "" || version.Compare("go"+m.Go, "go1.17") < 0 {
			for _, v := range modules(p.Sums.zip) {
				zips[v] = true
			}
		}
	}
	if len(errs) > 0 {
		return errs
	}
	for v := range zips {
		p.Zips = append(p.Zips, v)
	}
	module.Sort(p.Zips)
	for _, v := range modules(p.Sums.mod) {
		if !zips[v] {
			p.Mods = append(p.Mods, v)
		}
	}
	return nil
}

func line(l *modfile.Line) int {
	if l == nil {
		return 0
	}
	return l.Start.Line
}

// replace applies the rules of go.mod: one for the version wins over one for the whole module. A
// directory has no version.
func replace(rules []*modfile.Replace, m module.Version) module.Version {
	var found *modfile.Replace
	for _, r := range rules {
		if r.Old.Path == m.Path && (r.Old.Version == m.Version || r.Old.Version == "" && found == nil) {
			found = r
		}
	}
	if found == nil {
		return m
	}
	return found.New
}

// CacheID is the node of the whole module cache.
func CacheID() graph.ID { return graph.ID{Ecosystem: "go", Kind: "modcache", Package: "all"} }

// Graph downloads all modules of the project. Its root, "gomodcache", is laid out like GOMODCACHE.
func (p *Project) Graph(env Env) (*graph.Graph, map[string][]byte, error) {
	f := NewFetcher(env, p.Sums)
	var nodes []graph.Node
	var parts []graph.ID
	for _, m := range p.Zips {
		made, err := f.Module(m)
		if err != nil {
			return nil, nil, err
		}
		nodes, parts = append(nodes, made...), append(parts, made[len(made)-1].ID)
	}
	for rest := p.Mods; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(m module.Version) bool { return m.Path != rest[0].Path })
		if n < 0 {
			n = len(rest)
		}
		made, err := f.modFiles(rest[:n])
		if err != nil {
			return nil, nil, err
		}
		nodes, parts, rest = append(nodes, made...), append(parts, made[len(made)-1].ID), rest[n:]
	}
	merge := &graph.Merge{}
	for _, id := range parts {
		merge.Parts = append(merge.Parts, graph.Input{From: id, Path: ".", Target: "."})
	}
	nodes = append(nodes, graph.Node{ID: CacheID(), Action: merge})
	g, err := graph.New(nodes, []graph.Root{{Name: "gomodcache", From: CacheID(), Path: ".", Dest: "gomodcache"}})
	return g, f.Secrets(), err
}
