//go:build linux

// A pool of goroutines for jobs that find more jobs.

package export

import (
	"context"
	"sync"
)

// pool runs jobs, the newest first, until none is left or one fails.
type pool struct {
	ctx    context.Context
	mu     sync.Mutex
	wake   *sync.Cond
	jobs   []func() error
	active int
	err    error
}

// runPool runs the jobs that seed adds, and those that they add, on n goroutines. It returns the
// first error, or the cause if ctx ends.
func runPool(ctx context.Context, n int, seed func(*pool)) error {
	p := &pool{ctx: ctx}
	p.wake = sync.NewCond(&p.mu)
	seed(p)
	var wg sync.WaitGroup
	for range n {
		wg.Go(p.work)
	}
	wg.Wait()
	return p.err
}

func (p *pool) add(job func() error) {
	p.mu.Lock()
	p.jobs = append(p.jobs, job)
	p.mu.Unlock()
	p.wake.Signal()
}

func (p *pool) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.jobs) == 0 && p.active > 0 && p.err == nil {
			p.wake.Wait()
		}
		if len(p.jobs) == 0 || p.err != nil {
			p.wake.Broadcast()
			return
		}
		job := p.jobs[len(p.jobs)-1]
		p.jobs = p.jobs[:len(p.jobs)-1]
		p.active++
		p.mu.Unlock()
		err := context.Cause(p.ctx)
		if err == nil {
			err = job()
		}
		p.mu.Lock()
		p.active--
		if err != nil && p.err == nil {
			p.err = err
		}
	}
}
