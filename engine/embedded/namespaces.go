// The namespaces that a server process lives in.
//
// A server has a process namespace and a mount namespace of its own. When it dies, of whatever
// cause, the kernel ends every process in the former, containers included, and takes down every
// mount in the latter. So nothing of a killed server keeps running or stays mounted.
//
// It takes two processes: the first is what others see, what has the process id in the engine's
// status, and the parent; the second is process 1 of the namespace, and does the work. The first
// ends with the second, and the kernel ends the second with the first.

package embedded

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// pidEnv tells the second process the process id of the first.
const pidEnv = "MERGEFEST_ENGINE_PID"

// exitStatus is the end of the second process as the first passes it on.
type exitStatus int

func (e exitStatus) Error() string { return "exit status " + strconv.Itoa(int(e)) }

// enterNamespaces returns nil in a process that lives in namespaces of its own. In the process that
// was started by a client it starts that one, waits for its end, and returns it as an exitStatus.
// readyFD is passed on if it isn't negative.
func enterNamespaces(readyFD int) error {
	if fd := os.Getenv(mapEnv); fd != "" && os.Getpid() == 1 {
		return awaitIDs(fd)
	}
	if Inside() {
		return prepareNamespace()
	}
	if os.Geteuid() != 0 {
		return enterUserNamespace(readyFD)
	}
	return runInside(readyFD, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}, inherited{}, nil)
}

// inherited is a file that the second process gets, and the variable that tells it.
type inherited struct {
	file *os.File
	fd   int
	env  string
}

// runInside runs this program once more, with the same arguments, in new namespaces, and returns
// its end as an exitStatus. started, if not nil, is called with its process id when it runs; its
// error ends it.
func runInside(readyFD int, attr *syscall.SysProcAttr, extra inherited, started func(pid int) error) error {
	// The kernel sends Pdeathsig when the thread that started the child ends.
	runtime.LockOSThread()
	attr.Pdeathsig = syscall.SIGKILL
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), pidEnv+"="+strconv.Itoa(os.Getpid()))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = attr
	if readyFD >= 3 {
		dup, err := unix.FcntlInt(uintptr(readyFD), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("descriptor %d: %w", readyFD, err)
		}
		ready := os.NewFile(uintptr(dup), "ready")
		defer ready.Close()
		pass(cmd, ready, readyFD)
	}
	if extra.file != nil {
		pass(cmd, extra.file, extra.fd)
		cmd.Env = append(cmd.Env, extra.env)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start in namespaces of its own: %w", err)
	}
	if extra.file != nil {
		extra.file.Close()
	}
	if started != nil {
		if err := started(cmd.Process.Pid); err != nil {
			cmd.Process.Kill()
			cmd.Wait()
			return err
		}
	}
	if readyFD >= 3 {
		// So that its end is seen when the child is done with it. It was kept to report errors.
		cmd.ExtraFiles[readyFD-3].Close()
		syscall.Close(readyFD)
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return exitStatus(0)
	case errors.As(err, &exit):
		return exitStatus(max(exit.ExitCode(), 1))
	}
	return err
}

// pass gives a command a file as a certain descriptor.
func pass(cmd *exec.Cmd, f *os.File, fd int) {
	for len(cmd.ExtraFiles) < fd-3 {
		cmd.ExtraFiles = append(cmd.ExtraFiles, nil)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, f)
}

// prepareNamespace makes a new mount namespace fit for use.
func prepareNamespace() error {
	// What others mount from now on is seen here, but not the other way round.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("take the mount namespace apart: %w", err)
	}
	// /proc must show this process namespace: runtimes look their containers up by process id.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return detachUnified()
}

// processID is the id by which others know this server.
func processID() int {
	if n, err := strconv.Atoi(os.Getenv(pidEnv)); err == nil && Inside() {
		return n
	}
	return os.Getpid()
}

// detachUnified unmounts the unified hierarchy of a hybrid cgroup set-up, in this mount namespace
// only: crun refuses to run beside it.
func detachUnified() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(unifiedDir, &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil // there is none
	}
	if unix.Unmount(unifiedDir, unix.MNT_DETACH) == nil {
		return nil
	}
	// In a user namespace, mounts of the outer one can only be covered.
	return unix.Mount("none", unifiedDir, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=4k")
}

// Inside tells whether this process is the one that does the work, not the one that watches it. The
// variable alone, which anybody may have set, isn't believed: what follows changes the mounts of the
// namespace.
func Inside() bool { return os.Getenv(pidEnv) != "" && os.Getpid() == 1 }
