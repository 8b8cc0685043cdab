// Npm compares ways of installing the dependencies of an npm app: npm ci, npm install on a tree that
// is there, pnpm, a Dockerfile-like build with a cache mount on a stock buildkitd, mergefest with its
// embedded engine, and mergefest on a stock buildkitd. All download from the same caching registry
// on the loopback interface, no install scripts run, and all trees but pnpm's, which has a layout of
// its own, must be equal: files, modes and links.
//
//	go run ./bench/npm [-mergefest PATH] [-buildkitd PATH] [-pnpm PATH] [-project DIR]
//	    [-scenarios cold,nochange,…] [-rounds 3] [-cache DIR] [-json FILE]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
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
		fmt.Fprintln(os.Stderr, "npm:", err)
		os.Exit(1)
	}
}

type config struct {
	mergefest, buildkitd string
	pnpm                 string
	project, cache       string
	scenarios            []string
	contestants          *regexp.Regexp
	rounds, coldRounds   int
	jsonFile, dir        string
	keep                 bool
}

func parse(args []string) (*config, error) {
	var c config
	var list, only string
	fs := flag.NewFlagSet("npm", flag.ContinueOnError)
	fs.StringVar(&c.mergefest, "mergefest", "", "`path` of mergefest; empty leaves it out")
	fs.StringVar(&c.buildkitd, "buildkitd", "", "`path` of a stock buildkitd, with buildctl beside it; empty leaves out what needs one")
	fs.StringVar(&c.pnpm, "pnpm", "", "`path` of pnpm; empty leaves it out")
	fs.StringVar(&c.project, "project", "npm/testdata/corpus/cra", "`directory` with package.json and package-lock.json (version 2 or 3)")
	fs.StringVar(&c.cache, "cache", "", "`directory` that keeps what was downloaded for the next run; empty is below -dir")
	fs.StringVar(&list, "scenarios", strings.Join(scenarioNames(), ","), "what to measure, in order")
	fs.StringVar(&only, "contestants", "", "measure only those whose names match this `regexp`")
	fs.IntVar(&c.rounds, "rounds", 3, "rounds of each scenario but cold")
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
	var err error
	if c.contestants, err = regexp.Compile(only); err != nil {
		return nil, fmt.Errorf("-contestants: %w", err)
	}
	c.scenarios = strings.Split(list, ",")
	for _, s := range c.scenarios {
		if !slices.Contains(scenarioNames(), s) {
			return nil, fmt.Errorf("-scenarios: unknown scenario %q; there are %s", s, strings.Join(scenarioNames(), ", "))
		}
	}
	for _, p := range []*string{&c.mergefest, &c.buildkitd, &c.pnpm, &c.project, &c.cache, &c.dir} {
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
		if c.dir, err = os.MkdirTemp("", "bench-npm-"); err != nil {
			return err
		}
	}
	if c.keep {
		fmt.Fprintln(os.Stderr, "working directory:", c.dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	}
	if c.cache == "" {
		c.cache = filepath.Join(c.dir, "registry")
	}
	host, err := hostNPM(ctx)
	if err != nil {
		return err
	}
	reg, err := serveRegistry(c.cache, host.registry)
	if err != nil {
		return err
	}
	defer reg.Close()
	app, err := readApp(c.project, reg)
	if err != nil {
		return err
	}
	if err := reg.fill(ctx, app.urls); err != nil {
		return err
	}
	made, err := newTeams(ctx, c, app, reg)
	defer func() { err = errors.Join(err, made.close()) }()
	if err != nil {
		return err
	}
	book := measure.NewBook(fmt.Sprintf("installing %s, %d packages", filepath.Base(c.project), app.packages), append(notes(host), made.notes...)...)
	err = compareAll(ctx, c, made.teams, book)
	if werr := book.WriteText(os.Stdout); err != nil || werr != nil {
		return errors.Join(err, werr) // what was measured before a failure is worth seeing
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
func notes(host *npmHost) []string {
	return []string{
		"npm " + host.npm + ", Node.js " + host.node + ". Install scripts are off for all, and all trees but pnpm's were equal.",
		"The registry is a proxy on the loopback interface that has every tarball in a file already.",
		"cold: no caches (but for \"warm cache\"), no tree, no engine state. It includes starting mergefest's engine; it doesn't include starting the stock buildkitd.",
		"The other scenarios follow on a finished installation, with warm caches, running engines and the tree in place. What is bumped, added and removed is a made-up package of 60 files, new in each round.",
		"npm install doesn't look at files that it has installed, and neither does pnpm, so they take no part where somebody edited the tree.",
		"Nothing is deleted when a stock engine's result is laid over a directory: where something has to go, mergefest on one removes the tree first, as part of what is measured.",
		"pnpm links files to its store and packages to each other, so that its tree isn't the same one. Its lockfile is the imported one.",
		"Edited: one installed file was changed and another one removed. mergefest leaves files that it didn't write alone, npm ci doesn't; so none is added.",
		"Cache mount: one RUN npm ci with a cache mount for npm's cache, after a COPY of package.json and package-lock.json; its result is exported to a directory.",
	}
}
