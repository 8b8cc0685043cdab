// From the packages that the user asked for to nodes and results.
package gobuild

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/graph"
)

// plan makes all nodes and roots of the target.
func (p *planner) plan() error {
	p.add(p.tc.Node)
	byProfile := map[*profile][]*pkg{}
	var profiles []*profile
	known := map[string]*profile{}
	var roots []*pkg
	testsOnly := 0
	for _, path := range p.facts.Roots {
		facts := p.byPath[path]
		if facts == nil {
			return fmt.Errorf("package %s was asked for but not loaded", path)
		}
		if len(facts.GoFiles) == 0 { // only tests: the go command passes over those that a wildcard matched
			if literal(p.cfg.Patterns, path, p.cfg.Dir, facts.Dir) {
				return &LoadError{Package: path, Msg: "no non-test Go files in " + facts.Dir}
			}
			testsOnly++
			continue
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
	if len(roots) == 0 && testsOnly > 0 && !p.cfg.Output {
		return nil
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

// literal says whether a pattern names the package itself, by its path or its directory.
func literal(patterns []string, path, cwd, dir string) bool {
	return slices.ContainsFunc(patterns, func(s string) bool {
		return s == path || !strings.Contains(s, "...") && filepath.Join(cwd, s) == dir
	})
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
			p.roots = append(p.roots, graph.Root{Name: q.ImportPath, From: p.compileID(q.unit), Path: q.out("x"), Platform: platform, Discard: true})
			continue
		}
		id, out, err := p.link(q)
		if err != nil {
			return err
		}
		root := graph.Root{Name: out, From: id, Path: out, Platform: platform, Dest: out}
		if other, ok := names[out]; ok {
			if p.cfg.Output {
				return &LoadError{Package: q.ImportPath, Msg: fmt.Sprintf("the programs %s and %s would both be written to %s", other, q.ImportPath, out), Hint: "build them one by one"}
			}
			// Without output both are built; the name is the first one's.
			root.Name, root.Dest, root.Discard = q.ImportPath, "", true
		}
		names[out] = q.ImportPath
		p.roots = append(p.roots, root)
	}
	return nil
}
