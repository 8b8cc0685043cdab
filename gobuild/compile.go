// Compile nodes: the commands that cmd/go's work.build runs for a package.
package gobuild

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// Places in the root file system of a compile or link.
const (
	goroot  = "/go"
	workDir = "/tmp/w" // one numbered directory below it for each package
)

// backends is the value of -c, how many functions are compiled at a time. It doesn't change the
// result, so it must not depend on the machine; the go command uses 4 on most.
const backends = 4

// run collects what a node's action needs.
type run struct {
	p      *planner
	action graph.Run
	mounts map[string]graph.Input // by target
}

func (p *planner) newRun() *run {
	r := &run{p: p, mounts: map[string]graph.Input{}}
	r.mountGo(p.tc.ToolDir())
	return r
}

func (r *run) mount(in graph.Input) { r.mounts[in.Target] = in }

// mountGo makes a part of GOROOT visible.
func (r *run) mountGo(rel string) { r.mount(r.p.tc.Input(rel, path.Join(goroot, rel))) }

func (r *run) file(name, text string) {
	r.action.Files = append(r.action.Files, action.File{Path: name, Text: text})
}

func (r *run) dir(name string) {
	r.action.Files = append(r.action.Files, action.File{Path: name, Dir: true})
}

func (r *run) tool(name string) string { return path.Join(goroot, r.p.tc.ToolDir(), name) }

// node finishes the action.
func (r *run) node(id graph.ID) graph.Node {
	targets := make([]string, 0, len(r.mounts))
	for t := range r.mounts {
		targets = append(targets, t)
	}
	slices.Sort(targets)
	for _, t := range targets {
		r.action.Mounts = append(r.action.Mounts, r.mounts[t])
	}
	slices.SortFunc(r.action.Files, func(a, b action.File) int { return strings.Compare(a.Path, b.Path) })
	return graph.Node{ID: id, Platform: r.p.tc.Platform, Action: &r.action}
}

// env is the whole environment of a tool. The settings are always given, because a tool's own
// defaults are those of the machine it was built for.
func (p *planner) env(goroot string) []string {
	env := []string{"GOOS=" + p.s.GOOS, "GOARCH=" + p.s.GOARCH}
	if p.s.ArchVar != "" {
		env = append(env, p.s.ArchVar+"="+p.s.ArchValue)
	}
	if p.s.GOEXPERIMENT != "" {
		env = append(env, "GOEXPERIMENT="+p.s.GOEXPERIMENT)
	}
	return append(env, "GOROOT="+goroot, "TMPDIR=/tmp", "TZ=UTC", "LC_ALL=C")
}

// variant is what tells apart the nodes of one package in a graph.
func (p *planner) variant(prof *profile) string {
	if prof == nil || prof.name == "" {
		return p.s.platform()
	}
	return p.s.platform() + " pgo=" + prof.name
}

func (p *planner) compileID(u *unit) graph.ID {
	return graph.ID{Ecosystem: "go", Kind: "compile", Package: u.name, Version: u.version, Variant: p.variant(u.pkgs[0].profile)}
}

// compile makes the node of a unit.
func (p *planner) compile(u *unit) error {
	r := p.newRun()
	src, err := p.sources(u, r)
	if err != nil {
		return err
	}
	index := map[*pkg]int{}
	for i, q := range u.pkgs {
		index[q] = i
		c := &compiler{run: r, u: u, q: q, obj: fmt.Sprintf("%s/%d", workDir, i), src: src[i]}
		task, err := c.task()
		if err != nil {
			return err
		}
		for _, d := range q.deps {
			if j, ok := index[d]; ok {
				task.After = append(task.After, j)
			}
		}
		slices.Sort(task.After)
		r.action.Tasks = append(r.action.Tasks, task)
	}
	r.action.Outputs = u.outputs()
	p.add(r.node(p.compileID(u)))
	return nil
}

// outputs are declared one by one for a package, and as two directories for a group.
func (u *unit) outputs() []action.Output {
	var out []action.Output
	for _, q := range u.pkgs {
		out = append(out, action.Output{Path: q.out("a")}, action.Output{Path: q.out("x")})
	}
	return out
}

// compiler makes the task of one package.
type compiler struct {
	*run
	u   *unit
	q   *pkg
	obj string // the package's work directory
	src source
	cmd []action.Command
}

func (c *compiler) do(dir string, args ...string) {
	cmd := action.Command{Args: args}
	if !strings.HasPrefix(args[0], "@") {
		cmd.Dir, cmd.Env = dir, c.p.env(goroot)
	}
	c.cmd = append(c.cmd, cmd)
}

func (c *compiler) task() (action.Task, error) {
	q := c.q
	asm := q.asm()
	c.dir(c.obj)
	object := path.Join(action.OutDir, q.out("a"))
	c.do("", "@mkdir", path.Dir(object), path.Dir(path.Join(action.OutDir, q.out("x"))))
	var objects []string
	if len(asm) > 0 {
		c.symabis(asm)
	}
	if err := c.gc(object, len(asm) > 0); err != nil {
		return action.Task{}, err
	}
	if len(asm) > 0 {
		c.copyHeaders()
		objects = c.assemble(asm)
	}
	for _, f := range q.files(".syso") {
		objects = append(objects, path.Join(c.src.dir, f))
	}
	if len(objects) > 0 {
		c.do("", slices.Concat([]string{"@append", object}, objects)...)
	}
	return action.Task{Name: q.ImportPath, Commands: c.cmd}, nil
}

// trimpath makes results name the package's recorded directory in place of the real one.
func (c *compiler) trimpath() string {
	return c.src.dir + "=>" + recorded(c.q.Package) + ";" + c.obj + "=>"
}

// forwardDeclared lists the packages of the standard library whose functions without a body are
// supplied by package runtime, as in cmd/go's gc.go.
func forwardDeclared(importPath string) bool {
	switch importPath {
	case "bytes", "internal/poll", "net", "os", "runtime/metrics", "runtime/pprof", "runtime/trace", "sync", "syscall", "time":
		return true
	}
	return false
}

func (c *compiler) gc(object string, asm bool) error {
	q, p := c.q, c.p
	args := []string{
		c.tool("compile"), "-o", path.Join(action.OutDir, q.out("x")), "-linkobj", object, "-trimpath", c.trimpath(),
		"-p", q.symbol(), "-lang=" + p.langVersion(q.Package),
	}
	if q.Standard {
		args = append(args, "-std")
	}
	if !asm && len(q.files(".syso")) == 0 && !(q.Standard && forwardDeclared(q.ImportPath)) {
		args = append(args, "-complete")
	}
	if p.s.GOOS == "plan9" || p.s.GOARCH == "wasm" {
		args = append(args, "-dwarf=false")
	}
	if strings.HasPrefix(p.tc.Version, "go1") {
		args = append(args, "-goversion", p.tc.Version)
	}
	if q.profile != nil {
		c.mount(q.profile.input())
		args = append(args, "-pgoprofile="+q.profile.seen())
	}
	if asm {
		args = append(args, "-symabis", c.obj+"/symabis")
	}
	if p.s.shared(&p.flags) {
		args = append(args, "-shared")
	}
	user := p.gc.forPackage(q.Package, q.named)
	args = append(args, user...)
	if len(user) == 0 { // some flags exclude it
		args = append(args, fmt.Sprintf("-c=%d", backends))
	}
	c.file(c.obj+"/importcfg", c.importcfg())
	args = append(args, "-nolocalimports", "-importcfg", c.obj+"/importcfg")
	if len(q.EmbedPatterns) > 0 {
		cfg, err := embedcfg(q.Package, c.src.dir)
		if err != nil {
			return err
		}
		c.file(c.obj+"/embedcfg", cfg)
		args = append(args, "-embedcfg", c.obj+"/embedcfg")
	}
	args = append(args, "-pack")
	if asm {
		args = append(args, "-asmhdr", c.obj+"/go_asm.h")
	}
	c.do(c.src.cwd, append(args, c.src.names(q.GoFiles)...)...)
	return nil
}

// importcfg names the export data of the direct imports, and mounts it.
func (c *compiler) importcfg() string {
	var b strings.Builder
	b.WriteString("# import config\n")
	for _, raw := range sortedKeys(c.q.Imports) {
		if final := c.q.Imports[raw]; final != raw {
			fmt.Fprintf(&b, "importmap %s=%s\n", raw, final)
		}
	}
	for _, d := range c.q.deps {
		if d.unit != c.u {
			c.see(d, "x")
		}
		fmt.Fprintf(&b, "packagefile %s=%s\n", d.ImportPath, c.u.see(d, "x"))
	}
	return b.String()
}

// see mounts the export data or object code of a package of another unit. What never changes
// apart is one mount: a tier, and all object code of a group.
func (r *run) see(d *pkg, ext string) {
	from := r.p.compileID(d.unit)
	rel := d.out(ext)
	if d.unit.tier || ext == "a" && d.unit.prefix != "" {
		rel = path.Join(d.unit.prefix, ext)
	}
	r.mount(graph.Input{From: from, Path: rel, Target: path.Join(action.InDir, rel)})
}
