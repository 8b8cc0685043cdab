// The system calls that package os doesn't offer: times by descriptor, and the umask.

package place

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// umask returns the process's file mode creation mask without changing it: in a process with
// several threads there is no other way to read it. Where it can't be read, every bit may be
// masked, which costs a chmod per file.
func umask() fs.FileMode {
	const all = 0o777
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return all
	}
	_, after, found := strings.Cut(string(status), "\nUmask:")
	if !found {
		return all
	}
	line, _, _ := strings.Cut(after, "\n")
	n, err := strconv.ParseUint(strings.TrimSpace(line), 8, 32)
	if err != nil {
		return all
	}
	return fs.FileMode(n) & all
}

func times() [2]unix.Timespec {
	return [2]unix.Timespec{{Sec: Time}, {Sec: Time}}
}

// setFileTime sets an open file's times. A null path makes utimensat work on the descriptor, which
// saves the lookup of a name; golang.org/x/sys/unix can't express that.
func setFileTime(f *os.File) error {
	ts := times()
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, f.Fd(), 0, uintptr(unsafe.Pointer(&ts[0])), 0, 0, 0)
	if errno != 0 {
		return &os.PathError{Op: "utimensat", Path: f.Name(), Err: syscall.Errno(errno)}
	}
	return nil
}

// setTime sets the times of a directory's entry, without following links.
func (l *level) setTime(name string) error {
	if l.self == nil {
		f, err := l.root.Open(".")
		if err != nil {
			return err
		}
		l.self = f
	}
	ts := times()
	if err := unix.UtimesNanoAt(int(l.self.Fd()), name, ts[:], unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: name, Err: err}
	}
	return nil
}

// SetTimes gives everything in a directory, and the directory itself, the modification time Time.
// It is for trees that other programs made; links are not followed.
func SetTimes(dir string) error {
	ts := times()
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, ts[:], unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &os.PathError{Op: "utimensat", Path: path, Err: err}
		}
		return nil
	})
}
