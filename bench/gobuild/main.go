// Gobuild compares ways of building a Go project: the go command with its build cache, a
// Dockerfile-like build with cache mounts on a stock buildkitd, mergefest with its embedded engine,
// and mergefest on a stock buildkitd. All use the same toolchain, the same module proxy on the
// loopback interface and the same edits, and all outputs must be equal byte for byte.
//
//	go run ./bench/gobuild [-mergefest PATH] [-buildkitd PATH] [-packages 200]
//	    [-module PATH@VERSION -main ./cmd/x] [-scenarios cold,nochange,…] [-rounds 5] [-json FILE]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/mergefest/mergefest/bench/internal/measure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "gobuild:", err)
		os.Exit(1)
	}
}

type config struct {
	mergefest, buildkitd string
	packages             int
	module, main         string
	scenarios            []string
	rounds, coldRounds   int
	jsonFile, dir        string
	keep                 bool
}

func parse(args []string) (*config, error) {
	var c config
	var list string
	fs := flag.NewFlagSet("gobuild", flag.ContinueOnError)
	fs.StringVar(&c.mergefest, "mergefest", "", "`path` of mergefest; empty leaves it out")
	fs.StringVar(&c.buildkitd, "buildkitd", "", "`path` of a stock buildkitd; empty leaves out what needs one")
	fs.IntVar(&c.packages, "packages", 200, "size of the generated project")
	fs.StringVar(&c.module, "module", "", "build this `module@version` from the module cache instead of a generated project")
	fs.StringVar(&c.main, "main", "./...", "`pattern` that is built")
	fs.StringVar(&list, "scenarios", strings.Join(scenarioNames(), ","), "what to measure, in order")
	fs.IntVar(&c.rounds, "rounds", 5, "rounds of each scenario but cold")
	fs.IntVar(&c.coldRounds, "coldrounds", 3, "rounds of the scenario cold")
	fs.StringVar(&c.jsonFile, "json", "", "also write all samples to this `file`")
	fs.StringVar(&c.dir, "dir", "", "working directory; empty is a temporary one")
	fs.BoolVar(&c.keep, "keep", false, "keep the working directory")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	c.scenarios = strings.Split(list, ",")
	for _, s := range c.scenarios {
		if !slices.Contains(scenarioNames(), s) {
			return nil, fmt.Errorf("-scenarios: unknown scenario %q; there are %s", s, strings.Join(scenarioNames(), ", "))
		}
	}
	for _, p := range []*string{&c.mergefest, &c.buildkitd} {
		if *p != "" {
			abs, err := filepath.Abs(*p)
			if err != nil {
				return nil, err
			}
			*p = abs
		}
	}
	return &c, nil
}

func run(ctx context.Context, args []string) (err error) {
	c, err := parse(args)
	if err != nil {
		return err
	}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "bench-gobuild-"); err != nil {
			return err
		}
	}
	if c.dir, err = filepath.Abs(c.dir); err != nil {
		return err
	}
	if c.keep {
		fmt.Fprintln(os.Stderr, "working directory:", c.dir)
	} else {
		defer func() { err = errors.Join(err, removeAll(c.dir)) }()
	}
	host, err := hostGo(ctx)
	if err != nil {
		return err
	}
	proxy, err := serveProxy(filepath.Join(c.dir, "proxy"), host.modCache)
	if err != nil {
		return err
	}
	defer proxy.Close()
	project, err := newProject(ctx, c, host, proxy)
	if err != nil {
		return err
	}
	teams, closeAll, err := newTeams(ctx, c, host, proxy, project)
	defer func() { err = errors.Join(err, closeAll()) }()
	if err != nil {
		return err
	}
	book := measure.NewBook("building "+project.title(), notes(c, host)...)
	if err := compareAll(ctx, c, project, teams, book); err != nil {
		return err
	}
	if err := book.WriteText(os.Stdout); err != nil {
		return err
	}
	if c.jsonFile == "" {
		return nil
	}
	f, err := os.Create(c.jsonFile)
	if err != nil {
		return err
	}
	return errors.Join(book.WriteJSON(f), f.Close())
}

// notes are what a reader must know.
func notes(c *config, host *goHost) []string {
	return []string{
		"Toolchain of all: " + host.version + ". All build with CGO_ENABLED=0 -trimpath -buildvcs=false -ldflags=-buildid=, and all outputs were equal.",
		"cold: no build cache, no module cache, no engine state. It includes starting mergefest's engine and importing the toolchain from the host. It doesn't include starting the stock buildkitd.",
		"The other scenarios follow on a finished build, with running engines and outputs in place. Edits are new in each round.",
		"Cache mounts: one RUN go build ./... with cache mounts for the build cache and the module cache, sources bind-mounted, no layer caching lost to COPY.",
	}
}
