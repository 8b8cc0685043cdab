// Profile-guided optimisation: a profile recompiles everything that a program is made of.
package gobuild

import (
	"os"
	"path"
	"path/filepath"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// profile is a CPU profile that packages are compiled with.
type profile struct {
	file string // on the client; absolute
	name string // the program it belongs to; empty if it is that of all
	id   graph.ID
}

// base is what the build info records.
func (f *profile) base() string { return filepath.Base(f.file) }

// out is the preprocessed profile in the output of its node.
func (f *profile) out() string { return "pgo/preprofile" }

func (f *profile) input() graph.Input {
	return graph.Input{From: f.id, Path: f.out(), Target: f.seen()}
}

// seen is where compiles find it.
func (f *profile) seen() string { return path.Join(action.InDir, f.out()) }

// profileOf gives the profile of a root, as cmd/go's setPGOProfilePath: a file for everything, or
// default.pgo of a main package.
func (p *planner) profileOf(q *Package, known map[string]*profile) (*profile, error) {
	switch p.flags.PGO {
	case "off":
		return nil, nil
	case "", "auto":
		if q.Name != "main" {
			return nil, nil
		}
		file := filepath.Join(q.Dir, "default.pgo")
		if _, err := os.Stat(file); err != nil {
			return nil, nil // as the go command
		}
		return p.addProfile(&profile{file: file, name: q.ImportPath}), nil
	}
	if f := known[""]; f != nil {
		return f, nil
	}
	file := p.flags.PGO
	if !filepath.IsAbs(file) {
		file = filepath.Join(p.cfg.Dir, file)
	}
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return nil, usagef("-pgo=%s: it is not a file", p.flags.PGO)
	}
	known[""] = p.addProfile(&profile{file: file})
	return known[""], nil
}

// addProfile adds the nodes that deliver a profile to compiles.
func (p *planner) addProfile(f *profile) *profile {
	name := f.name
	if name == "" {
		name = filepath.Base(f.file)
	}
	rootName, rootDir := "", p.root
	if !within(p.root, f.file) { // that of a downloaded program is in the client's module cache
		rootName, rootDir = "pgo:"+name, filepath.Dir(f.file)
		p.locals[rootName] = rootDir
	}
	src := p.add(graph.Node{
		ID:     graph.ID{Ecosystem: "go", Kind: "source", Package: name, Variant: "pgo"},
		Action: &graph.Local{Root: rootName, Files: []graph.LocalFile{{Path: "profile", Source: slashRel(rootDir, f.file), Mode: 0o644}}},
	})
	f.id = graph.ID{Ecosystem: "go", Kind: "pgo", Package: name}
	r := p.newRun()
	r.mount(graph.Input{From: src, Path: "profile", Target: "/in/profile"})
	out := path.Join(action.OutDir, f.out())
	commands := []action.Command{{Args: []string{"@mkdir", path.Dir(out)}}}
	if p.atLeast("go1.23") {
		commands = append(commands, action.Command{Args: []string{r.tool("preprofile"), "-o", out, "-i", "/in/profile"}, Env: p.env(goroot)})
	} else { // the compiler of older versions reads the profile itself
		commands = append(commands, action.Command{Args: []string{"@copy", "/in/profile", out}})
	}
	r.action.Tasks = []action.Task{{Name: f.base(), Commands: commands}}
	r.action.Outputs = []action.Output{{Path: f.out()}}
	p.add(r.node(f.id))
	return f
}
