// The executor: BuildKit's processes, each in a container of its own or as a function in this
// process.

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/core/mount"
	ctdoci "github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/continuity/fs"
	bkexec "github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/executor/oci"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/network"
	"github.com/moby/sys/user"
	"github.com/moby/sys/userns"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mergefest/mergefest/internal/helperbin"
)

// defaultHostname is BuildKit's own; containers with it share one hosts file.
const defaultHostname = "buildkitsandbox"

// executor implements BuildKit's executor.Executor.
type executor struct {
	scratch   string // in memory
	root      string // bundles and shared files, in scratch
	files     *os.Root
	runtime   *ociRuntime
	filters   *filters
	networks  map[pb.NetMode]network.Provider
	inProcess InProcess
	rootless  bool // in a user namespace

	mu      sync.Mutex
	running map[string]*container
}

var _ bkexec.Executor = (*executor)(nil)

// newExecutor finds the OCI runtime and sweeps what a killed predecessor left.
func newExecutor(ctx context.Context, root string, o Options) (*executor, error) {
	scratch := filepath.Join(root, "scratch")
	rt, err := findRuntime(ctx, o.Runtime, filepath.Join(scratch, "runtime"))
	if err != nil {
		return nil, err
	}
	x := &executor{
		scratch: scratch, root: filepath.Join(scratch, "executor"), runtime: rt, networks: networkProviders(scratch),
		inProcess: o.InProcess, rootless: userns.RunningInUserNS(), running: map[string]*container{},
	}
	x.filters = &filters{runtime: rt, dir: filepath.Join(root, "seccomp"), log: o.remark, programs: map[string]string{}}
	if err := sweep(ctx, root, rt, o.remark); err != nil {
		return nil, err
	}
	if err := mountScratch(scratch); err != nil {
		return nil, err
	}
	for _, dir := range []string{x.root, rt.state, filepath.Join(scratch, "tmp")} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
	}
	x.files, err = os.OpenRoot(x.root)
	return x, err
}

func (x *executor) close() error {
	if x.files == nil {
		return nil
	}
	return errors.Join(x.files.Close(), unmountScratch(x.scratch))
}

// Run runs a process and waits for it. rootfs and mounts are taken over for its duration only.
func (x *executor) Run(ctx context.Context, id string, root bkexec.Mount, mounts []bkexec.Mount, p bkexec.ProcessInfo, started chan<- struct{}) (resourcestypes.Recorder, error) {
	if id == "" {
		id = identity.NewID()
	}
	if err := bkexec.ValidContainerID(id); err != nil {
		return nil, err
	}
	c := x.register(id, p, started)
	defer x.unregister(c)
	if x.inProcess != nil && x.inProcess.Recognise(p.Meta.Args) {
		return nil, x.runInProcess(ctx, c, mounts, p)
	}
	if p.Meta.Tty {
		return nil, errors.New("the embedded engine gives processes no terminal")
	}
	if p.Meta.Proxy != nil {
		return nil, errors.New("the embedded engine has no proxy network")
	}
	return nil, x.runContainer(ctx, c, root, mounts)
}

// runContainer prepares the bundle of a container, runs it, and takes everything down again.
func (x *executor) runContainer(ctx context.Context, c *container, root bkexec.Mount, mounts []bkexec.Mount) (err error) {
	meta := c.process.Meta
	c.bundle = filepath.Join(x.root, c.id)
	rootfs := filepath.Join(c.bundle, "rootfs")
	if err := os.MkdirAll(rootfs, 0o711); err != nil {
		return err
	}
	defer os.RemoveAll(c.bundle)

	ms, release, err := mountsOf(ctx, root)
	if err != nil {
		return err
	}
	defer release()
	if !scrapRoot(meta.Args, ms) {
		unmount, err := mountRoot(ms, rootfs)
		if err != nil {
			return err
		}
		defer unmount()
		defer bkexec.MountStubsCleaner(context.WithoutCancel(ctx), rootfs, mounts, meta.RemoveMountStubsRecursive)()
	}

	spec, done, err := x.spec(ctx, c, rootfs, root.Readonly, mounts)
	if err != nil {
		return err
	}
	defer done()
	if err := x.filters.apply(ctx, c.bundle, spec); err != nil {
		return err
	}
	if err := writeSpec(c.bundle, spec); err != nil {
		return err
	}
	if err := x.runtime.run(ctx, c); err != nil {
		return err
	}
	// What the runtime wasn't asked to mount still leaves its mount point, as everywhere else.
	return bkexec.CreateMountStubs(rootfs, c.stubs, 0, 0)
}

// mountsOf returns how a root file system is mounted, writable. They are valid until release.
func mountsOf(ctx context.Context, root bkexec.Mount) (_ []mount.Mount, release func(), err error) {
	ref, err := root.Src.Mount(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	ms, done, err := ref.Mount()
	if err != nil {
		return nil, nil, err
	}
	return ms, func() {
		if done != nil {
			done()
		}
	}, nil
}

// scrapRoot tells whether a container's root file system is empty at the start and dropped at the
// end, so that it can live in memory. Then so do the mount points that the runtime makes in it.
//
// It is so for mergefest's own helper on an empty root: what such an op leaves outside of
// action.OutDir is no part of its result.
func scrapRoot(args []string, root []mount.Mount) bool {
	if len(args) == 0 || len(root) != 1 || root[0].Type != "bind" {
		return false
	}
	dir, file := path.Split(args[0])
	if file != helperbin.Name || path.Dir(path.Clean(dir)) != path.Clean(helperRoot) {
		return false
	}
	// A root with a base is a bind mount too: of the place where BuildKit has mounted the overlay.
	files, err := os.ReadDir(root[0].Source)
	return err == nil && len(files) == 0
}

// mountRoot mounts a root file system. Device files in it are dead: without a cgroup nothing else
// would keep a container from opening them.
func mountRoot(ms []mount.Mount, dir string) (unmount func(), err error) {
	ms = slices.Clone(ms)
	for i := range ms {
		ms[i].Options = append(slices.Clone(ms[i].Options), "nodev")
	}
	if err := mount.All(ms, dir); err != nil {
		return nil, fmt.Errorf("mount the root file system: %w", err)
	}
	return func() {
		if mount.UnmountAll(dir, 0) != nil {
			// Somebody is still looking into it from outside; it goes when they leave.
			mount.UnmountAll(dir, unix.MNT_DETACH)
		}
	}, nil
}

// spec generates the container's specification, complete but for the final form of its filter.
// What it mounts stays until release.
func (x *executor) spec(ctx context.Context, c *container, rootfs string, readonly bool, mounts []bkexec.Mount) (_ *specs.Spec, release func(), err error) {
	meta := c.process.Meta
	provider, ok := x.networks[meta.NetMode]
	if !ok {
		return nil, nil, fmt.Errorf("unknown network mode %s", meta.NetMode)
	}
	ns, err := provider.New(ctx, meta.Hostname, network.NamespaceOptions{})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			ns.Close()
		}
	}()
	resolv, hosts, clean, err := x.etcFiles(ctx, meta)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			clean()
		}
	}()
	uid, gid, sgids, err := oci.GetUser(rootfs, meta.User)
	if err != nil {
		return nil, nil, err
	}
	opts := []ctdoci.SpecOpts{oci.WithUIDGID(uid, gid, sgids)}
	if meta.ReadonlyRootFS {
		opts = append(opts, ctdoci.WithRootFSReadonly())
	}
	spec, cleanup, err := oci.GenerateSpec(ctx, meta, mounts, c.id, resolv, hosts, ns, "", oci.ProcessSandbox, nil, "", false, "", nil, opts...)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			cleanup()
		}
	}()
	spec.Root.Path = rootfs
	spec.Root.Readonly = spec.Root.Readonly || readonly
	if err := makeCwd(rootfs, meta.Cwd, int(uid), int(gid)); err != nil {
		return nil, nil, err
	}
	if err := x.restrict(c, spec); err != nil {
		return nil, nil, err
	}
	return spec, func() { cleanup(); clean(); ns.Close() }, nil
}

// etcFiles returns what is mounted at /etc/resolv.conf and /etc/hosts, until clean.
func (x *executor) etcFiles(ctx context.Context, meta bkexec.Meta) (resolv, hosts string, clean func(), err error) {
	hostname := meta.Hostname
	if hostname == "" {
		hostname = defaultHostname
	}
	mode := meta.NetMode
	if networked(mode) {
		mode = pb.NetMode_HOST // a resolver on the loopback is reachable
	}
	resolv, err = oci.GetResolvConf(ctx, x.files, nil, nil, mode)
	if err != nil {
		return "", "", nil, err
	}
	hosts, clean, err = oci.GetHostsFile(ctx, x.files, meta.ExtraHosts, nil, hostname)
	if err != nil {
		return "", "", nil, err
	}
	if clean == nil {
		clean = func() {}
	}
	return filepath.Join(x.root, resolv), filepath.Join(x.root, hosts), clean, nil
}

// makeCwd makes a working directory that the root file system doesn't have.
func makeCwd(rootfs, cwd string, uid, gid int) error {
	dir, err := fs.RootPath(rootfs, cwd)
	if err != nil {
		return fmt.Errorf("working directory %s: %w", cwd, err)
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := user.MkdirAllAndChown(dir, 0o755, uid, gid); err != nil {
		return fmt.Errorf("make working directory %s: %w", cwd, err)
	}
	return nil
}

// Exec runs one more process in a running container.
func (x *executor) Exec(ctx context.Context, id string, p bkexec.ProcessInfo) error {
	if p.Meta.Tty {
		return errors.New("the embedded engine gives processes no terminal")
	}
	x.mu.Lock()
	c := x.running[id]
	x.mu.Unlock()
	if c == nil {
		return fmt.Errorf("container %s isn't running", id)
	}
	return x.runtime.exec(ctx, c, p)
}
