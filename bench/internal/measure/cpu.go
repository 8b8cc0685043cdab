// Processor time: of this process, of its ended children, and of daemons by /proc.

package measure

import (
	"os"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// meter reads the processor time that a contestant has used since newMeter.
type meter struct {
	c       *Contestant
	self    times
	ended   times
	daemons map[procKey]times
}

// times is user and system time.
type times struct{ user, system time.Duration }

func (t times) minus(o times) times { return times{t.user - o.user, t.system - o.system} }
func (t times) plus(o times) times  { return times{t.user + o.user, t.system + o.system} }

// procKey tells a process from a later one with the same number.
type procKey struct {
	pid   int
	start uint64 // in ticks since boot
}

func newMeter(c *Contestant) (*meter, error) {
	m := &meter{c: c}
	var err error
	if m.daemons, err = daemonTimes(c); err != nil {
		return nil, err
	}
	if m.ended, err = rusage(syscall.RUSAGE_CHILDREN); err != nil {
		return nil, err
	}
	if m.self, err = rusage(syscall.RUSAGE_SELF); err != nil {
		return nil, err
	}
	return m, nil
}

// used returns the time since newMeter.
func (m *meter) used() (user, system time.Duration, err error) {
	self, err := rusage(syscall.RUSAGE_SELF)
	if err != nil {
		return 0, 0, err
	}
	ended, err := rusage(syscall.RUSAGE_CHILDREN)
	if err != nil {
		return 0, 0, err
	}
	daemons, err := daemonTimes(m.c)
	if err != nil {
		return 0, 0, err
	}
	sum := ended.minus(m.ended)
	if m.c.InProcess {
		sum = sum.plus(self.minus(m.self))
	}
	for _, t := range daemons {
		sum = sum.plus(t)
	}
	for _, t := range m.daemons {
		// A descendant that has ended since is part of its parent's time now, so the sums over the
		// whole tree are compared, and not process by process.
		sum = sum.minus(t)
	}
	// A daemon that was replaced during the run takes its time with it.
	return max(0, sum.user), max(0, sum.system), nil
}

func rusage(who int) (times, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(who, &r); err != nil {
		return times{}, os.NewSyscallError("getrusage", err)
	}
	return times{time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())}, nil
}

// tick is the unit of times in /proc: USER_HZ is 100 on every architecture that Go runs on.
const tick = time.Second / 100

// daemonTimes returns the time of the contestant's daemons and their descendants, with that of
// their ended children.
func daemonTimes(c *Contestant) (map[procKey]times, error) {
	out := map[procKey]times{}
	if c.Daemons == nil {
		return out, nil
	}
	tree := map[int]bool{}
	for _, pid := range c.Daemons() {
		tree[pid] = true
	}
	if len(tree) == 0 {
		return out, nil
	}
	procs, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	var all []procfs.ProcStat
	for _, p := range procs {
		if st, err := p.Stat(); err == nil { // one that has ended meanwhile is nobody's
			all = append(all, st)
		}
	}
	for grown := true; grown; {
		grown = false
		for _, st := range all {
			if tree[st.PPID] && !tree[st.PID] {
				tree[st.PID], grown = true, true
			}
		}
	}
	for _, st := range all {
		if tree[st.PID] {
			out[procKey{st.PID, st.Starttime}] = times{
				user:   time.Duration(int(st.UTime)+st.CUTime) * tick,
				system: time.Duration(int(st.STime)+st.CSTime) * tick,
			}
		}
	}
	return out, nil
}
