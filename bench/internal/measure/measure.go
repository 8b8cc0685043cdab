// Package measure compares ways of doing the same job: contestants take turns, round by round,
// so that whatever else the machine does meets all of them, and medians are compared.
//
// It runs on Linux only, because it reads the processor time of daemons from /proc.
package measure

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Contestant is one way of doing a job.
type Contestant struct {
	Name string
	// Prepare brings the contestant into the state that the scenario begins with. Its cost doesn't
	// count. Nil does nothing. round counts from 0; warm-up rounds are negative.
	Prepare func(ctx context.Context, round int) error
	// Run does the job; it is what is measured.
	Run func(ctx context.Context) error
	// Check looks at the result, unmeasured: a wrong result ends the comparison. Nil accepts.
	Check func(ctx context.Context, round int) error
	// Daemons returns the processes that work for the contestant and outlive Run. Processor time
	// that they, their descendants and their ended children use during Run counts. A process that
	// appears during Run counts from its start. Nil is none.
	Daemons func() []int
	// InProcess says that Run works inside this process, whose processor time then counts. The
	// time of child processes that Run has waited for always counts.
	InProcess bool
}

// Options are the options of a comparison.
type Options struct {
	// Rounds is how often each contestant runs; 0 is 5.
	Rounds int
	// Warmup is how many further rounds come first and don't count.
	Warmup int
	// Baseline names the contestant that ratios refer to; empty is the first.
	Baseline string
	// Log receives a line for each run; nil is none.
	Log io.Writer
}

// Sample is one measured run.
type Sample struct {
	Round  int           `json:"round"`
	Wall   time.Duration `json:"wallNs"`
	User   time.Duration `json:"userNs"`
	System time.Duration `json:"systemNs"`
}

// CPU is the processor time, user and system together.
func (s Sample) CPU() time.Duration { return s.User + s.System }

// Result is what one contestant did in one scenario.
type Result struct {
	Contestant string   `json:"contestant"`
	Samples    []Sample `json:"samples"`
}

// Scenario is a finished comparison.
type Scenario struct {
	Name     string   `json:"scenario"`
	Baseline string   `json:"baseline"`
	Results  []Result `json:"results"` // in the order of the contestants
}

// RunError says that a contestant couldn't do its job, or did it wrongly.
type RunError struct {
	Scenario, Contestant, Step string
	Round                      int
	Err                        error
}

func (e *RunError) Error() string {
	return fmt.Sprintf("%s: %s: %s in round %d: %v", e.Scenario, e.Contestant, e.Step, e.Round, e.Err)
}

// Unwrap returns the cause.
func (e *RunError) Unwrap() error { return e.Err }

// Compare lets the contestants do one scenario in turns. In each round another one begins. An
// error ends it; it is a *RunError, or the context's.
func Compare(ctx context.Context, name string, o Options, contestants ...Contestant) (*Scenario, error) {
	if len(contestants) == 0 {
		return nil, fmt.Errorf("%s: no contestants", name)
	}
	if o.Rounds <= 0 {
		o.Rounds = 5
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	s := &Scenario{Name: name, Baseline: o.Baseline}
	if s.Baseline == "" {
		s.Baseline = contestants[0].Name
	}
	for _, c := range contestants {
		s.Results = append(s.Results, Result{Contestant: c.Name})
	}
	if !slices.ContainsFunc(contestants, func(c Contestant) bool { return c.Name == s.Baseline }) {
		return nil, fmt.Errorf("%s: the baseline %q is no contestant", name, s.Baseline)
	}
	for round := -o.Warmup; round < o.Rounds; round++ {
		for i := range contestants {
			k := (i + max(0, round)) % len(contestants)
			sample, err := once(ctx, name, &contestants[k], round)
			if err != nil {
				return nil, err
			}
			if round < 0 {
				continue
			}
			s.Results[k].Samples = append(s.Results[k].Samples, sample)
			fmt.Fprintf(o.Log, "%s: round %d: %s: %s wall, %s CPU\n", name, round+1, contestants[k].Name, seconds(sample.Wall), seconds(sample.CPU()))
		}
	}
	return s, nil
}

// once runs a contestant once.
func once(ctx context.Context, name string, c *Contestant, round int) (Sample, error) {
	fail := func(step string, err error) (Sample, error) {
		return Sample{}, &RunError{Scenario: name, Contestant: c.Name, Step: step, Round: round, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return Sample{}, err
	}
	if c.Prepare != nil {
		if err := c.Prepare(ctx, round); err != nil {
			return fail("prepare", err)
		}
	}
	meter, err := newMeter(c)
	if err != nil {
		return fail("measure", err)
	}
	start := time.Now()
	runErr := c.Run(ctx)
	wall := time.Since(start)
	if runErr != nil {
		return fail("run", runErr)
	}
	user, system, err := meter.used()
	if err != nil {
		return fail("measure", err)
	}
	if c.Check != nil {
		if err := c.Check(ctx, round); err != nil {
			return fail("check", err)
		}
	}
	return Sample{Round: max(0, round), Wall: wall, User: user, System: system}, nil
}

// Stat summarises a quantity over the rounds.
type Stat struct {
	Median time.Duration `json:"medianNs"`
	Min    time.Duration `json:"minNs"`
	Max    time.Duration `json:"maxNs"`
}

// Stats returns the median, minimum and maximum of a quantity of the samples; of none, zeros. The
// median of an even number is the mean of the two in the middle.
func Stats(samples []Sample, of func(Sample) time.Duration) Stat {
	if len(samples) == 0 {
		return Stat{}
	}
	v := make([]time.Duration, len(samples))
	for i, s := range samples {
		v[i] = of(s)
	}
	slices.Sort(v)
	n := len(v)
	return Stat{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1]}
}

// Wall is the quantity of wall-clock time, for Stats.
func Wall(s Sample) time.Duration { return s.Wall }

// CPU is the quantity of processor time, for Stats.
func CPU(s Sample) time.Duration { return s.CPU() }
