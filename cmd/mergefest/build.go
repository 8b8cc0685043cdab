// mergefest build, graph and llb: three depths of the same pipeline.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/mergefest/mergefest/build"
	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/gobuild"
	"github.com/mergefest/mergefest/progress"
)

// planFlags decide what is planned; they are common to build, graph and llb.
type planFlags struct {
	dir     string
	opt     build.Options
	engine  engineFlags
	tags    tags
	ldflags repeated
	gcflags repeated
	asm     repeated
	locals  repeated
}

func (p *planFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&p.dir, "C", "", "change to `DIR` first; other paths are taken from there")
	fs.Var((*list)(&p.opt.Platforms), "platform", "build for these `PLATFORMS`: os/arch, comma separated (default: GOOS/GOARCH)")
	fs.StringVar(&p.opt.GraphFile, "graph", "", "take the graph from the JSON `FILE` instead of analysing the project")
	fs.Var(&p.locals, "local", "with --graph: `[NAME=]DIR`, a directory that the file's local nodes name (default for those without a name: -C's, or else the file's directory)")
	fs.StringVar(&p.opt.Granularity, "granularity", "auto", "how much one operation does: `auto`, package or module (docs/granularity.md)")
	p.engine.declare(fs)

	fs.Var((*list)(&p.opt.Ecosystems), "ecosystem", "look only for projects of these `ECOSYSTEMS`: go, npm (default: all)")

	n := &p.opt.NPM
	fs.Var(once{&n.Script}, "npm-script", "npm: run the script `NAME` of package.json on the installed tree; its outputs are the result")
	fs.Var((*list)(&n.Workspaces), "npm-workspace", "npm: run it in these `WORKSPACES` (names or directories, . is the app; default: all that have it)")
	fs.Var((*list)(&n.Outputs), "npm-outputs", "npm: the files and directories, `PATHS`, that it leaves in a package that declares none")
	fs.Var(words{&n.Scripts}, "npm-scripts", "npm: whose install scripts run: `all` (the default), none, or names of packages")
	fs.Var((*list)(&n.Network), "npm-network", "npm: `PACKAGES` whose install scripts, or preparation from git, get a network")
	fs.Var((*list)(&n.Omit), "omit", "npm: leave out dependencies of these `TYPES`: dev, optional, peer")
	fs.Var((*list)(&n.Include), "include", "npm: keep dependencies of these `TYPES`, whatever leaves them out")
	fs.BoolVar(&n.AllowMissingIntegrity, "npm-allow-missing-integrity", false, "npm: download what the lockfile has no integrity for")
	fs.StringVar(&n.Image, "npm-image", "", "npm: run install scripts in the image `REF` (default: the host's Node.js)")

	g := &p.opt.Go
	// What GOFLAGS may say has no default here, which would count as given.
	fs.Var(&p.tags, "tags", "Go: build `TAGS`, comma separated")
	fs.Var(&p.ldflags, "ldflags", "Go: `[PATTERN=]FLAGS` for the linker")
	fs.Var(&p.gcflags, "gcflags", "Go: `[PATTERN=]FLAGS` for the compiler")
	fs.Var(&p.asm, "asmflags", "Go: `[PATTERN=]FLAGS` for the assembler")
	fs.Var(&boolText{&g.Trimpath}, "trimpath", "Go: always on, accepted for compatibility")
	fs.BoolVar(&g.Race, "race", false, "Go: enable the race detector")
	fs.StringVar(&g.PGO, "pgo", "", "Go: profile `FILE` for optimisation, auto (the default) or off")
	fs.StringVar(&g.Mod, "mod", "", "Go: `MODE` of module downloading: readonly, vendor or mod")
	fs.StringVar(&g.ModFile, "modfile", "", "Go: alternative go.mod `FILE`")
	fs.Var(&boolText{&g.BuildVCS}, "buildvcs", "Go: stamp version control information: `auto` (the default), true or false")
	fs.StringVar(&p.opt.GoToolchain, "toolchain", "", "Go: take the compiler from the `host` or the proxy (default: the host if it fits the engine)")
	fs.BoolVar(&p.opt.GoModCache, "modcache", false, "Go: deliver the module cache instead of programs")
	fs.StringVar(&g.BuildMode, "buildmode", "", "Go: `MODE` of the program: default, exe or pie")
}

// collectLess makes this process collect garbage less often, unless the user has decided: it plans a
// few hundred milliseconds long, and collecting would be a quarter of that.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// options completes what was parsed.
func (p *planFlags) options(args []string) (build.Options, error) {
	collectLess()
	if err := chdir(p.dir); err != nil {
		return build.Options{}, err
	}
	o := p.opt
	o.Patterns = args
	o.Env = os.Environ()
	o.Engine = p.engine.options()
	o.Go.Tags = p.tags
	o.Go.LDFlags, o.Go.GCFlags, o.Go.ASMFlags = p.ldflags, p.gcflags, p.asm
	if o.NPM.Script == "" && (len(o.NPM.Workspaces) > 0 || len(o.NPM.Outputs) > 0) {
		return o, usagef("--npm-workspace and --npm-outputs are about the script of --npm-script")
	}
	return o, p.graphFile(&o)
}

// graphFile completes the options of --graph.
func (p *planFlags) graphFile(o *build.Options) error {
	switch {
	case o.GraphFile == "" && len(p.locals) > 0:
		return usagef("--local is for --graph")
	case o.GraphFile == "":
		return nil
	case len(o.Patterns) > 0:
		return usagef("--graph takes no patterns: the file says what is built")
	}
	o.Locals = map[string]string{}
	if p.dir != "" {
		o.Locals[""] = "."
	}
	for _, l := range p.locals {
		name, dir, ok := strings.Cut(l, "=")
		if !ok {
			name, dir = "", l
		}
		if dir == "" {
			return usagef("--local %q: no directory is named", l)
		}
		o.Locals[name] = dir
	}
	return nil
}

func buildCommand() command {
	return command{
		name: "build", args: "[flags] [patterns]", short: "build the packages that the patterns name",
		setup: func(fs *flag.FlagSet, std stdio) runFunc {
			var p planFlags
			p.declare(fs)
			var mode, report string
			fs.StringVar(&p.opt.Output, "o", "", "write results to the directory `OUT` (programs to OUT/bin)")
			alias(fs, "output", "o")
			fs.StringVar(&mode, "progress", "auto", "how to show `PROGRESS`: auto, tty, plain, rawjson or quiet")
			fs.StringVar(&report, "report", "", "write a JSON report of all nodes to `FILE`")
			return func(ctx context.Context, args []string) error {
				o, err := p.options(args)
				if err != nil {
					return err
				}
				view, err := progress.ParseMode(mode)
				if err != nil {
					return usagef("--progress: %v", err)
				}
				o.Progress, o.Report, o.Stderr = view, report, std.err
				_, err = build.Build(ctx, o)
				return planError(err)
			}
		},
	}
}

func graphCommand() command {
	return command{
		name: "graph", args: "[flags] [patterns]", short: "print the graph that build would run",
		setup: func(fs *flag.FlagSet, std stdio) runFunc {
			var p planFlags
			p.declare(fs)
			format := fs.String("format", "text", "notation: `text`, json or dot")
			return func(ctx context.Context, args []string) error {
				o, err := p.options(args)
				if err != nil {
					return err
				}
				write, ok := build.Notations()[*format]
				if !ok {
					return usagef("--format %q: it is text, json or dot", *format)
				}
				o.Stderr = std.err
				plan, err := build.Plan(ctx, o)
				if err != nil {
					return planError(err)
				}
				return write(std.out, plan.Graph)
			}
		},
	}
}

func llbCommand() command {
	return command{
		name: "llb", args: "[flags] [patterns]", short: "write the LLB that build would solve, for buildctl",
		setup: func(fs *flag.FlagSet, std stdio) runFunc {
			var p planFlags
			p.declare(fs)
			var out string
			fs.StringVar(&out, "o", "", "write the definition and what it needs to the directory `OUT` (default: the definition alone, to standard output)")
			alias(fs, "output", "o")
			return func(ctx context.Context, args []string) error {
				o, err := p.options(args)
				if err != nil {
					return err
				}
				o.Stderr = std.err
				if out == "" {
					return planError(build.WriteLLB(ctx, o, std.out))
				}
				note, err := build.WriteLLBDir(ctx, o, out)
				if err != nil {
					return planError(err)
				}
				fmt.Fprintln(std.out, note)
				return nil
			}
		},
	}
}

// planError tells mistakes in the arguments from failures.
func planError(err error) error {
	var usage *gobuild.UsageError
	var own *build.UsageError
	var url *engine.URLError
	var shown *build.ShownError
	switch {
	case errors.As(err, &usage), errors.As(err, &own), errors.As(err, &url):
		return usagef("%v", err)
	case errors.As(err, &shown):
		return reported{err}
	}
	return err
}
