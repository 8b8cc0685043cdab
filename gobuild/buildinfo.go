// The build info of a program, as cmd/go's setBuildInfo makes it for "go build -trimpath".
package gobuild

import (
	"cmp"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// The linker takes the build info between these marks, which the runtime looks for.
const (
	infoStart = "\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6"
	infoEnd   = "\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2"
)

// modinfo frames a build info for the linker.
func modinfo(info *debug.BuildInfo) string {
	return infoStart + info.String() + infoEnd
}

func (p *planner) buildInfo(q *pkg) *debug.BuildInfo {
	info := &debug.BuildInfo{Path: q.ImportPath}
	if q.Module != nil {
		info.Main = *p.debugModule(q.Module)
	}
	deps := map[module.Version]*debug.Module{}
	for _, d := range closure([]*pkg{q}) {
		if m := d.Module; m != nil && m.Path != info.Main.Path {
			deps[module.Version{Path: m.Path, Version: m.Version}] = p.debugModule(m)
		}
	}
	order := make([]module.Version, 0, len(deps))
	for m := range deps {
		order = append(order, m)
	}
	slices.SortFunc(order, func(a, b module.Version) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), semver.Compare(a.Version, b.Version), strings.Compare(a.Version, b.Version))
	})
	for _, m := range order {
		info.Deps = append(info.Deps, deps[m])
	}
	p.settings(q, info)
	return info
}

func (p *planner) debugModule(m *Module) *debug.Module {
	out := &debug.Module{Path: m.Path, Version: cmp.Or(m.Version, "(devel)")}
	switch {
	case m.Replace != nil:
		out.Replace = p.debugModule(m.Replace)
	case m.Version != "" && !p.vendoring():
		out.Sum = p.sums.Zip(module.Version{Path: m.Path, Version: m.Version})
	}
	return out
}

// settings adds the flags and variables, sorted as the go command has them: flags, then the rest.
func (p *planner) settings(q *pkg, info *debug.BuildInfo) {
	add := func(key, value string) {
		info.Settings = append(info.Settings, debug.BuildSetting{Key: key, Value: value})
	}
	if len(p.as.values) > 0 {
		add("-asmflags", p.as.raw)
	}
	mode := p.flags.BuildMode
	if mode == "" || mode == "default" {
		mode = "exe"
	}
	add("-buildmode", mode)
	add("-compiler", "gc")
	if p.gc.raw != "" {
		add("-gcflags", p.gc.raw)
	}
	if q.profile != nil {
		add("-pgo", q.profile.base())
	}
	if len(p.flags.Tags) > 0 {
		add("-tags", strings.Join(p.flags.Tags, ","))
	}
	add("-trimpath", "true")
	if q.GODEBUG != "" {
		add("DefaultGODEBUG", q.GODEBUG)
	}
	cgo := "0"
	if p.s.CGOEnabled { // and no package uses it
		cgo = "1"
	}
	add("CGO_ENABLED", cgo)
	add("GOARCH", p.s.GOARCH)
	if p.s.GOEXPERIMENT != "" {
		add("GOEXPERIMENT", p.s.GOEXPERIMENT)
	}
	add("GOOS", p.s.GOOS)
	if p.s.ArchVar != "" && p.s.ArchValue != "" {
		add(p.s.ArchVar, p.s.ArchValue)
	}
	if q.Module == nil || q.Module.Version != "" {
		return
	}
	if vcs, ok := p.facts.VCS[q.Module.Path]; ok {
		for _, s := range vcs.Settings {
			add(s.Key, s.Value)
		}
		info.Main.Version = cmp.Or(vcs.Version, info.Main.Version)
	}
	if q.profile != nil {
		// The go command sorts once more when it adds a profile.
		slices.SortFunc(info.Settings, func(a, b debug.BuildSetting) int { return strings.Compare(a.Key, b.Key) })
	}
}
