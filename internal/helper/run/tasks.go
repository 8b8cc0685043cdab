// Scheduling: tasks run as soon as those before them have succeeded, some at a time.

package run

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/mergefest/mergefest/graph/action"
)

type runner struct {
	doc      *Doc
	env      Env
	console  *console
	children *children
}

func newRunner(doc *Doc, env Env) *runner {
	return &runner{doc: doc, env: env, console: &console{w: env.Console}, children: &children{}}
}

type result struct {
	task int
	err  error
}

// run starts tasks in the order of their indices as far as After allows. After a failure nothing
// new is started; what runs is waited for. The error joins those of the tasks, by index.
func (r *runner) run(ctx context.Context) error {
	if r.env.Reap {
		stop := r.children.reap()
		defer stop()
	}
	tasks := r.doc.Tasks
	waits := make([]int, len(tasks))
	next := make([][]int, len(tasks))
	var ready []int
	for i, t := range tasks {
		after := slices.Compact(slices.Sorted(slices.Values(t.After)))
		waits[i] = len(after)
		for _, a := range after {
			next[a] = append(next[a], i)
		}
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	var (
		wg      sync.WaitGroup
		results = make(chan result, len(tasks))
		errs    = make([]error, len(tasks))
		running int
		failed  bool
	)
	for {
		for len(ready) > 0 && running < r.env.Procs && !failed && ctx.Err() == nil {
			i := ready[0]
			ready = ready[1:]
			running++
			wg.Go(func() { results <- result{i, r.task(ctx, tasks[i])} })
		}
		if running == 0 {
			break
		}
		res := <-results
		running--
		if errs[res.task] = res.err; res.err != nil {
			failed = true
			continue
		}
		for _, n := range next[res.task] {
			if waits[n]--; waits[n] == 0 {
				at, _ := slices.BinarySearch(ready, n)
				ready = slices.Insert(ready, at, n)
			}
		}
	}
	wg.Wait()
	if err := ctx.Err(); err != nil && !failed {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

func (r *runner) task(ctx context.Context, t action.Task) error {
	for _, c := range t.Commands {
		if err := r.command(ctx, t.Name, c); err != nil {
			return err
		}
	}
	return nil
}
