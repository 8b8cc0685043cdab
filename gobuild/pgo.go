// Profile-guided optimisation: a profile recompiles everything that a program is made of.
package gobuild

import (
	"fmt"
	"go/version"
	"os"
	"path"
	"path/filepath"
	"slices"

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
		return p.addProfile(&profile{file: file, name: q.ImportPath}, q), nil
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
	known[""] = p.addProfile(&profile{file: file}, q)
	return known[""], nil
}

// addProfile adds the nodes that deliver a profile to compiles.
func (p *planner) addProfile(f *profile, q *Package) *profile {
	name := f.name
	if name == "" {
		name = filepath.Base(f.file)
	}
	rootName, rootDir := "", p.root
	switch {
	case within(p.root, f.file):
	case p.fetched(q) && f.name != "":
		// The profile of a downloaded program comes from the client's copy of the module.
		fallthrough
	default:
		rootName, rootDir = "pgo:"+name, filepath.Dir(f.file)
		p.locals[rootName] = rootDir
	}
	src := p.add(graph.Node{
		ID:     graph.ID{Ecosystem: "go", Kind: "source", Package: name, Variant: "pgo"},
		Action: &graph.Local{Root: rootName, Files: []graph.LocalFile{{Path: "profile", Source: slashRel(rootDir, f.file)}}},
	})
	f.id = graph.ID{Ecosystem: "go", Kind: "pgo", Package: name}
	r := p.newRun()
	r.mount(graph.Input{From: src, Path: "profile", Target: "/in/profile"})
	out := path.Join(action.OutDir, f.out())
	commands := []action.Command{{Args: []string{"@mkdir", path.Dir(out)}}}
	if version.Compare(p.tc.Version, "go1.23") >= 0 {
		commands = append(commands, action.Command{Args: []string{r.tool("preprofile"), "-o", out, "-i", "/in/profile"}, Env: p.env(goroot)})
	} else { // the compiler of older versions reads the profile itself
		commands = append(commands, action.Command{Args: []string{"@copy", "/in/profile", out}})
	}
	r.action.Tasks = []action.Task{{Name: f.base(), Commands: commands}}
	r.action.Outputs = []action.Output{{Path: f.out()}}
	p.add(r.node(f.id))
	return f
}

// plan makes all nodes and roots of the target.
func (p *planner) plan() error {
	p.add(p.tc.Node)
	byProfile := map[*profile][]*pkg{}
	var profiles []*profile
	known := map[string]*profile{}
	var roots []*pkg
	for _, path := range p.facts.Roots {
		facts := p.byPath[path]
		if facts == nil {
			return fmt.Errorf("package %s was asked for but not loaded", path)
		}
		if p.cfg.Output && facts.Name != "main" {
			continue
		}
		prof, err := p.profileOf(facts, known)
		if err != nil {
			return err
		}
		q, err := p.instance(path, prof)
		if err != nil {
			return err
		}
		if !slices.Contains(profiles, prof) {
			profiles = append(profiles, prof)
		}
		byProfile[prof] = append(byProfile[prof], q)
		roots = append(roots, q)
	}
	if len(roots) == 0 {
		return &LoadError{Msg: "no main packages to build", Hint: "name a package main, or leave -o out to compile only"}
	}
	for _, prof := range profiles {
		if err := p.planUnits(byProfile[prof], prof); err != nil {
			return err
		}
	}
	return p.planRoots(roots)
}

// planUnits makes the compile nodes of roots that share a profile.
func (p *planner) planUnits(roots []*pkg, prof *profile) error {
	for _, path := range p.implicit() {
		if !slices.ContainsFunc(roots, func(q *pkg) bool { return q.Name == "main" }) {
			break
		}
		q, err := p.instance(path, prof)
		if err != nil {
			return err
		}
		roots = append(roots, q)
	}
	p.units = nil
	if err := p.makeUnits(closure(roots), prof); err != nil {
		return err
	}
	for _, u := range p.units {
		if err := p.compile(u); err != nil {
			return err
		}
	}
	return nil
}

// planRoots links programs and says what is delivered.
func (p *planner) planRoots(roots []*pkg) error {
	platform := p.s.platform()
	names := map[string]string{}
	for _, q := range roots {
		if q.Name != "main" {
			p.roots = append(p.roots, graph.Root{Name: q.ImportPath, From: p.compileID(q.unit), Path: q.out("x"), Platform: platform})
			continue
		}
		id, out, err := p.link(q)
		if err != nil {
			return err
		}
		root := graph.Root{Name: q.ImportPath, From: id, Path: out, Platform: platform}
		if p.cfg.Output {
			if other, ok := names[out]; ok {
				return &LoadError{Package: q.ImportPath, Msg: fmt.Sprintf("the programs %s and %s would both be written to %s", other, q.ImportPath, out), Hint: "build them one by one"}
			}
			names[out] = q.ImportPath
			root.Name, root.Dest = out, out
		}
		p.roots = append(p.roots, root)
	}
	return nil
}
