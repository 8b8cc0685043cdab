// Building: plan, lower, solve, export, report.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/session/secrets"
	digest "github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/internal/localfs"
	"github.com/mergefest/mergefest/llbgen"
	"github.com/mergefest/mergefest/progress"
)

// Result is what a build did.
type Result struct {
	Totals progress.Totals
	// Report describes every node.
	Report *progress.Report
}

// Build plans and runs a build. A failing node is a *ShownError around an *engine.VertexError,
// after it has been shown; other errors are those of the analyzers and of package engine.
func Build(ctx context.Context, o Options) (*Result, error) {
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	display, err := progress.Open(progress.Options{Mode: o.Progress, Out: o.Stderr})
	if err != nil {
		return nil, &UsageError{err.Error()}
	}
	if o.Engine.Log == nil {
		o.Engine.Log = func(line string) { display.Printf("%s", line) }
	}
	b := &building{o: o, display: display}
	err = b.run(ctx)
	switch {
	case err == nil:
		display.Close(progress.Succeeded)
	case ctx.Err() != nil:
		display.Close(progress.Interrupted)
	default:
		display.Close(progress.Unsuccessful)
	}
	if b.tracker == nil { // nothing was reached
		b.tracker = progress.NewTracker(progress.Config{})
	}
	res := &Result{Totals: b.tracker.Totals(), Report: b.tracker.Report()}
	if err != nil {
		res.Report.Error = err.Error()
	}
	if o.Report != "" {
		if werr := res.Report.WriteFile(o.Report); werr != nil {
			err = errors.Join(err, fmt.Errorf("the report: %w", werr))
		}
	}
	return res, b.shown(err)
}

// building is one call of Build.
type building struct {
	o       Options
	display *progress.Display
	engine  *engine.Engine
	target  target
	planned *Planned
	here    bool // fetches run in a process of this machine
	tracker *progress.Tracker
	files   *localfs.FS
	store   content.Store
}

// shown marks an error that the display has told in full. What to do about a full disk is known to
// the error alone.
func (b *building) shown(err error) error {
	var full *engine.DiskFullError
	if err == nil || errors.As(err, &full) {
		return err
	}
	var v *engine.VertexError
	failures := b.tracker.Failures()
	if errors.As(err, &v) && len(failures) > 0 || slices.ContainsFunc(failures, func(f progress.Failure) bool {
		return f.Cause != "" && strings.HasSuffix(err.Error(), f.Cause) // an export is no operation
	}) {
		return &ShownError{err}
	}
	return err
}

func (b *building) run(ctx context.Context) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer b.engine.Close()
	plan, nodeOf, err := b.lower(ctx)
	if err != nil {
		return err
	}
	config := progress.Config{Nodes: b.planned.Graph.Nodes(), NodeOf: nodeOf, Chain: b.planned.Chain, PathMap: b.planned.Translate}
	if info := b.engine.Info(); info.Embedded || strings.HasPrefix(info.URL, "unix:") { // its clock is ours
		config.Begun = time.Now()
	}
	b.tracker = progress.NewTracker(config)
	b.display.Attach(b.tracker)
	err = b.solve(ctx, plan)
	b.transferred()
	b.tracker.Finish(err == nil)
	return err
}

// prepare plans while the engine starts.
func (b *building) prepare(ctx context.Context) (err error) {
	b.display.Phase("planning")
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		b.engine, err = engine.Open(gctx, b.o.Engine)
		return err
	})
	embedded := b.o.Engine.URL == ""
	if embedded { // its platform is this machine's
		if b.target, err = b.o.target(nil); err != nil {
			return err
		}
		g.Go(func() (err error) {
			b.planned, err = plan(gctx, b.o, b.target)
			return err
		})
	}
	err = g.Wait()
	if err == nil && !embedded {
		if b.target, err = b.o.target(b.engine); err == nil {
			b.planned, err = plan(ctx, b.o, b.target)
		}
	}
	if err != nil && b.engine != nil {
		b.engine.Close()
	}
	if err == nil {
		for _, note := range b.planned.Notes {
			b.display.Printf("%s", note)
		}
	}
	return err
}

// lower turns the graph into definitions for the engine. nodeOf finds the nodes of a vertex.
func (b *building) lower(ctx context.Context) (plan *llbgen.Plan, nodeOf func(digest.Digest) ([]graph.ID, bool), err error) {
	b.files, err = b.planned.localFiles(ctx)
	if err != nil {
		return nil, nil, err
	}
	info := b.engine.Info()
	lo := llbgen.Options{
		Platform: b.target.platform, LocalDigest: b.files.Digest(), NoMerge: !info.Merge, MaxBytes: info.MaxMessage,
	}
	if lo.KnownHosts, err = knownHosts(b.o.getenv); err != nil {
		return nil, nil, err
	}
	if b.store, lo.Helper, err = openImports(ctx, b.target.stateDir, b.target.platform); err != nil {
		return nil, nil, err
	}
	b.here = info.Embedded && inProcess(lo.Helper, info)
	g, err := b.o.bucketed(b.planned.Graph, lo.Helper, &info)
	if err != nil {
		return nil, nil, err
	}
	plan, err = llbgen.Lower(ctx, g.graph, lo)
	if err != nil {
		return nil, nil, err
	}
	return plan, g.nodeOf(plan), nil
}

// localFiles reads the files of all Local nodes.
func (p *Planned) localFiles(ctx context.Context) (*localfs.FS, error) {
	var dirs []localfs.Dir
	var errs []error
	var unknown []string
	for _, n := range p.Graph.Nodes() {
		l, ok := n.Action.(*graph.Local)
		if !ok {
			continue
		}
		root, ok := p.Locals[l.Root]
		if !ok {
			if !slices.Contains(unknown, l.Root) {
				unknown = append(unknown, l.Root)
				errs = append(errs, fmt.Errorf("%s: the local directory %q isn't known; name it with --local %s=DIR", n.ID, l.Root, l.Root))
			}
			continue
		}
		dirs = append(dirs, localfs.Dir{Name: llbgen.LocalDir(n.ID), Node: n.ID, Root: root, Files: l.Files})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return localfs.New(ctx, dirs)
}

// solve runs all definitions. Those of different directories run at once.
func (b *building) solve(ctx context.Context, plan *llbgen.Plan) error {
	store, err := b.secrets(plan)
	if err != nil {
		return err
	}
	agent, err := sshAgent(plan, b.o.getenv)
	if err != nil {
		return err
	}
	// A file that changes while it is sent ends the build with its name.
	ctx, release := b.files.Guard(ctx)
	defer release()
	if b.o.Output != "" {
		for _, note := range b.overlaps(plan.Exports) {
			b.display.Printf("%s", note)
		}
	}
	var done delivered
	g, gctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(gctx, b.tracker.Stop)()
	for _, e := range plan.Exports {
		g.Go(func() error {
			for _, def := range e.Definitions {
				r := engine.Request{
					Definition: def, Secrets: store, SharedKey: b.planned.Locals[""],
					Locals: map[string]fsutil.FS{llbgen.LocalName: b.files},
					Stores: map[string]content.Store{llbgen.StoreName: b.store},
					Status: b.display.Solve(), Attachables: agent, Repeat: pinned(plan.Images),
				}
				if b.o.Output != "" && !e.Discard {
					r.Output = &engine.Output{Dir: filepath.Join(b.o.Output, filepath.FromSlash(e.Dir)), Results: b.deliveries(e)}
				}
				res, err := b.engine.Solve(gctx, r)
				if err != nil {
					return err
				}
				if r.Output != nil {
					done.add(r.Output.Dir, res)
				}
			}
			return nil
		})
	}
	err = g.Wait()
	for _, line := range done.lines(b.o.Output) {
		b.display.Printf("%s", line)
	}
	return err
}

// pinned says that no image can change behind its name.
func pinned(images []string) bool {
	return !slices.ContainsFunc(images, func(ref string) bool { return !strings.Contains(ref, "@sha256:") })
}

// secrets collects what the definitions may ask for.
func (b *building) secrets(plan *llbgen.Plan) (secrets.SecretStore, error) {
	values, err := networkSecrets(b.o.getenv, b.here)
	if err != nil {
		return nil, err
	}
	gitSecrets(values, b.o.environ())
	for _, names := range [][]string{plan.Secrets, plan.OptionalSecrets} {
		for _, name := range names {
			if v, ok := b.planned.Secrets[name]; ok {
				values[name] = v
			}
		}
	}
	return values, nil
}

// transferred tells the tracker which Local nodes' files the engine asked for.
func (b *building) transferred() {
	sent := b.files.Sent()
	for _, n := range b.planned.Graph.Nodes() {
		if bytes, ok := sent[llbgen.LocalDir(n.ID)]; ok {
			b.tracker.Transferred(n.ID, 1, bytes)
		}
	}
}
