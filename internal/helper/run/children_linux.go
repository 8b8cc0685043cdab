// The duty of a container's first process: waiting for orphans.

package run

import (
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// children knows the processes that package os/exec waits for, so that the reaper leaves them.
type children struct {
	mu  sync.Mutex
	own map[int]bool
}

// start starts a command. The lock keeps the reaper away until its process is known.
func (c *children) start(cmd *exec.Cmd) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	if c.own == nil {
		c.own = map[int]bool{}
	}
	c.own[cmd.Process.Pid] = true
	return nil
}

func (c *children) done(cmd *exec.Cmd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.own, cmd.Process.Pid)
}

// reap waits for orphans until stop is called.
func (c *children) reap() (stop func()) {
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, unix.SIGCHLD)
	end := make(chan struct{})
	go func() {
		// A child of ours that has ended hides orphans behind it until package os/exec has
		// waited for it, hence the ticks.
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-sig:
			case <-tick.C:
			case <-end:
				return
			}
			for c.reapOne() {
			}
		}
	}()
	return func() {
		signal.Stop(sig)
		close(end)
	}
}

// siginfoPid is the offset of si_pid in siginfo_t on 64-bit Linux.
const siginfoPid = 16

// reapOne waits for an ended process that isn't ours, if there is one in front.
func (c *children) reapOne() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
		return false
	}
	pid := int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), siginfoPid)))
	if pid <= 0 || c.own[pid] {
		return false
	}
	_, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return err == nil
}
