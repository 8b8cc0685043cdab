// Link nodes: what cmd/go's gcToolchain.ld does for a program.
package gobuild

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// pie tells whether the program is position-independent, by choice or by the platform's default.
func (s *Settings) pie(f *Flags) bool {
	switch f.BuildMode {
	case "pie":
		return true
	case "exe":
		return false
	}
	switch s.GOOS {
	case "android", "ios", "windows", "darwin":
		return true
	}
	return false
}

// internalPIE tells where Go's own linker can make such a program (internal/platform's
// InternalLinkPIESupported).
func internalPIE(goos, goarch string) bool {
	switch goos + "/" + goarch {
	case "android/arm64", "darwin/amd64", "darwin/arm64", "linux/amd64", "linux/arm64", "linux/loong64", "linux/ppc64le",
		"windows/386", "windows/amd64", "windows/arm64":
		return true
	}
	return false
}

// shared tells whether packages are compiled for such a program (-shared).
func (s *Settings) shared(f *Flags) bool {
	return s.pie(f) && s.GOOS != "windows" && s.GOOS != "aix"
}

// linkMode is the linker's -buildmode.
func (s *Settings) linkMode(f *Flags) string {
	if s.pie(f) {
		return "pie"
	}
	return "exe"
}

// programName is the name of a program's file, as "go build -o DIR/" has it.
func (p *planner) programName(q *pkg) string {
	name := path.Base(q.ImportPath)
	if q.ImportPath == commandLine {
		name = strings.TrimSuffix(path.Base(q.GoFiles[0]), ".go")
	} else if isMajor(name) && q.ImportPath != name {
		// The last element of example.com/tool/v2 isn't a name.
		if prefix, _, ok := module.SplitPathVersion(q.ImportPath); ok {
			name = path.Base(prefix)
		}
	}
	if p.s.GOOS == "windows" {
		name += ".exe"
	} else if p.s.GOOS == "js" || p.s.GOOS == "wasip1" {
		return name
	}
	return name
}

// isMajor tells version elements of import paths, v2 and up.
func isMajor(elem string) bool {
	n, ok := strings.CutPrefix(elem, "v")
	return ok && n != "" && strings.Trim(n, "0123456789") == "" && n[0] != '0' && n != "1"
}

// link makes the node of a program and gives its ID and the program's path in its output.
func (p *planner) link(q *pkg) (graph.ID, string, error) {
	r := p.newRun()
	deps, err := p.linked(q)
	if err != nil {
		return graph.ID{}, "", err
	}
	own := &unit{}
	var cfg strings.Builder
	for _, d := range deps {
		r.see(d, "a")
		fmt.Fprintf(&cfg, "packagefile %s=%s\n", d.ImportPath, own.see(d, "a"))
	}
	fmt.Fprintf(&cfg, "modinfo %q\n", modinfo(p.buildInfo(q)))
	r.file(workDir+"/importcfg.link", cfg.String())

	out := "bin/" + p.programName(q)
	args := []string{r.tool("link"), "-o", path.Join(action.OutDir, out), "-importcfg", workDir + "/importcfg.link"}
	if q.GODEBUG != "" {
		args = append(args, "-X=runtime.godebugDefault="+q.GODEBUG)
	}
	args = append(args, "-buildmode="+p.s.linkMode(&p.flags), "-buildid=")
	args = append(args, p.l.forPackage(q.Package, q.named)...)
	args = append(args, own.see(q, "a"))
	r.action.Tasks = []action.Task{{Name: q.ImportPath, Commands: []action.Command{
		{Args: []string{"@mkdir", action.OutDir + "/bin"}},
		{Args: args, Dir: workDir, Env: p.linkEnv()},
	}}}
	r.action.Outputs = []action.Output{{Path: out}}
	id := graph.ID{Ecosystem: "go", Kind: "link", Package: q.ImportPath, Version: moduleVersion(q), Variant: p.variant(q.profile)}
	p.add(r.node(id))
	return id, out, nil
}

// linkEnv keeps the linker from recording a GOROOT.
func (p *planner) linkEnv() []string {
	env := p.env("")
	if !p.atLeast("go1.23") {
		env = append(env, "GOROOT_FINAL=$GOROOT") // literally; later linkers take the empty GOROOT for it
	}
	return env
}

// linked lists the packages of a program: what it imports, and what every program has.
func (p *planner) linked(q *pkg) ([]*pkg, error) {
	roots := []*pkg{q}
	for _, path := range p.implicit() {
		d, err := p.instance(path, q.profile)
		if err != nil {
			return nil, err
		}
		roots = append(roots, d)
	}
	all := closure(roots)
	slices.SortFunc(all, func(a, b *pkg) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return all, nil
}

// implicit are the packages that the linker needs though nobody imports them (cmd/go's LinkerDeps).
func (p *planner) implicit() []string {
	if p.s.GOARCH == "arm" {
		return []string{"math", "runtime"} // floating point in software
	}
	return []string{"runtime"}
}
