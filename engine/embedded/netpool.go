// Network namespaces without a network, used again and again: making one and taking it down is a
// good part of the price of a container.
//
// A container has its namespace to itself. What it could leave there is nothing: its processes and
// their sockets end with it, it has no right to configure anything, and connections that wait for
// their end are turned off. So the next one finds it like new.

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"

	ctdoci "github.com/containerd/containerd/v2/pkg/oci"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
	"github.com/moby/buildkit/util/network"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// netPool is a network.Provider. Its directory must be in a mount namespace or a tmpfs that goes
// with the server.
type netPool struct {
	dir string

	mu    sync.Mutex
	free  []string
	made  int
	never bool // they can't be made here; containers then get new ones from the runtime
}

// New implements network.Provider.
func (p *netPool) New(context.Context, string, network.NamespaceOptions) (network.Namespace, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		path := p.free[n-1]
		p.free = p.free[:n-1]
		return &pooledNet{pool: p, path: path}, nil
	}
	if p.never {
		return &pooledNet{}, nil
	}
	path := filepath.Join(p.dir, strconv.Itoa(p.made))
	if err := makeNet(path); err != nil {
		p.never = true
		return &pooledNet{}, nil
	}
	p.made++
	return &pooledNet{pool: p, path: path}, nil
}

// Close implements network.Provider. The namespaces go with the mounts.
func (p *netPool) Close() error { return nil }

// pooledNet is a namespace in use by one container. Without a path, the runtime makes one.
type pooledNet struct {
	pool *netPool
	path string
}

func (n *pooledNet) Set(s *specs.Spec) error {
	if n.path == "" {
		return nil
	}
	return ctdoci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: n.path})(nil, nil, nil, s)
}

func (n *pooledNet) Close() error {
	if n.pool != nil {
		n.pool.mu.Lock()
		n.pool.free = append(n.pool.free, n.path)
		n.pool.mu.Unlock()
		n.pool = nil
	}
	return nil
}

func (n *pooledNet) Sample() (*resourcestypes.NetworkSample, error) { return nil, nil }

// makeNet makes a network namespace that has the loopback interface only, and keeps it at a path.
func makeNet(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		done <- makeNetHere(path)
	}()
	if err := <-done; err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func makeNetHere(path string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("set the loopback interface up: %w", err)
	}
	task := "/proc/self/task/" + strconv.Itoa(unix.Gettid())
	// A port that a container has used must be free for the next one at once.
	err := os.WriteFile("/proc/sys/net/ipv4/tcp_max_tw_buckets", []byte("0\n"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv4
		return err
	}
	return unix.Mount(task+"/ns/net", path, "", unix.MS_BIND, "")
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}
