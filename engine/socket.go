// Unix sockets below directories of any depth.

package engine

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// maxSocketPath is the longest path that fits into sockaddr_un with its final NUL.
const maxSocketPath = 107

// DialSocket connects to a Unix socket. A path that is too long for the system call is reached
// through a descriptor of its directory.
func DialSocket(ctx context.Context, path string) (net.Conn, error) {
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", short)
}

// ListenSocket listens on a Unix socket that only this user can connect to, and replaces a stale
// one. The caller must know that nobody else listens there. Closing the listener removes the file.
func ListenSocket(path string) (net.Listener, error) {
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it would use the short path, which ends with done
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return &socketListener{UnixListener: l, path: path}, nil
}

type socketListener struct {
	*net.UnixListener
	path string
}

// Close removes the file first, so that a client either connects or finds nothing.
func (l *socketListener) Close() error {
	err := os.Remove(l.path)
	if os.IsNotExist(err) {
		err = nil
	}
	if cerr := l.UnixListener.Close(); err == nil {
		err = cerr
	}
	return err
}

// shortPath gives a name of the socket that the system accepts. It is valid until done.
func shortPath(path string) (short string, done func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(path)
	if len(short) > maxSocketPath {
		dir.Close()
		return "", nil, fmt.Errorf("socket %s: the file name is too long", path)
	}
	return short, func() { dir.Close() }, nil
}
