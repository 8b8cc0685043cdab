//go:build linux

// System calls: those of package unix, repeated when interrupted, and opening without symlinks.

package export

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// retry repeats a call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR { //nolint:errorlint // a system call returns it bare
			return err
		}
	}
}

func openat(dirfd int, name string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dirfd, name, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

func lstatat(dirfd int, name string, st *unix.Stat_t) error {
	return retry(func() error { return unix.Fstatat(dirfd, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

func fstat(fd int, st *unix.Stat_t) error {
	return retry(func() error { return unix.Fstat(fd, st) })
}

// opener opens directories below one directory without following any symbolic link.
type opener struct {
	fd        int
	noOpenat2 atomic.Bool // the kernel, or a filter, lacks openat2
}

// dir opens the directory at a relative path ("" is the directory itself). A symbolic link on the
// way is ELOOP or ENOTDIR.
func (o *opener) dir(path string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if path == "" {
		return openat(o.fd, ".", flags, 0)
	}
	if !o.noOpenat2.Load() {
		var fd int
		err := retry(func() (err error) {
			fd, err = unix.Openat2(o.fd, path, &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_NO_SYMLINKS})
			return err
		})
		if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
			return fd, err
		}
		o.noOpenat2.Store(true)
	}
	fd := o.fd
	for name := range strings.SplitSeq(path, "/") {
		next, err := openat(fd, name, flags, 0)
		if fd != o.fd {
			unix.Close(fd)
		}
		if err != nil {
			return -1, err
		}
		fd = next
	}
	return fd, nil
}

// names lists a directory in order of name.
func names(fd int, buf []byte) ([]string, error) {
	var list []string
	for {
		var n int
		err := retry(func() (err error) { n, err = unix.ReadDirent(fd, buf); return err })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			slices.Sort(list)
			return list, nil
		}
		for rest := buf[:n]; len(rest) > 0; {
			var used int
			used, _, list = unix.ParseDirent(rest, -1, list)
			rest = rest[used:]
		}
	}
}

// readlinkat reads a symbolic link whose length is about size.
func readlinkat(dirfd int, name string, size int64) (string, error) {
	for n := max(size+1, 64); ; n *= 2 {
		buf := make([]byte, n)
		var got int
		err := retry(func() (err error) { got, err = unix.Readlinkat(dirfd, name, buf); return err })
		if err != nil {
			return "", err
		}
		if int64(got) < n {
			return string(buf[:got]), nil
		}
	}
}

// removeTree removes a file, or a directory with its content. It follows no symbolic link. What
// isn't there is no error.
func removeTree(dirfd int, name string) error {
	err := retry(func() error { return unix.Unlinkat(dirfd, name, 0) })
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) { // POSIX says EPERM for directories
		return err
	}
	fd, err := openat(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	unix.Fchmod(fd, 0o700) // without it, only root could empty a read-only directory
	list, err := names(fd, make([]byte, 8192))
	if err != nil {
		return err
	}
	for _, n := range list {
		if err := removeTree(fd, n); err != nil {
			return err
		}
	}
	return retry(func() error { return unix.Unlinkat(dirfd, name, unix.AT_REMOVEDIR) })
}

// typeName names the type of a file for messages.
func typeName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a file"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFCHR, unix.S_IFBLK:
		return "a device"
	case unix.S_IFIFO:
		return "a named pipe"
	case unix.S_IFSOCK:
		return "a socket"
	}
	return "something unknown"
}

// join joins two relative paths, of which the first may be empty.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// split cuts a relative path into its directory ("" at the top) and its last element.
func split(path string) (dir, name string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// fchmodat changes a mode without following a symbolic link, where the kernel can (6.6).
func fchmodat(dirfd int, name string, mode uint32) error {
	err := retry(func() error { return unix.Fchmodat(dirfd, name, mode, unix.AT_SYMLINK_NOFOLLOW) })
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		err = retry(func() error { return unix.Fchmodat(dirfd, name, mode, 0) })
	}
	return err
}
