// The worker: BuildKit's own with our executor, exporter and order of work.

package embedded

import (
	"context"
	"os"
	"path/filepath"
	"runtime"

	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/executor/resources"
	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/session"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/llbsolver/linuxresources"
	"github.com/moby/buildkit/solver/llbsolver/ops"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/appdefaults"
	"github.com/moby/buildkit/util/disk"
	"github.com/moby/buildkit/util/network"
	"github.com/moby/buildkit/util/resolver"
	"github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	wlabel "github.com/moby/buildkit/worker/label"
	"github.com/moby/sys/userns"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"

	"github.com/mergefest/mergefest/engine/embedded/assemble"
)

// orderedWorker gives containers and in-process actions slots of their own: the former need
// processors, the latter wait for the network.
type orderedWorker struct {
	*base.Worker
	inProcess  InProcess
	containers *semaphore.Weighted
	functions  *semaphore.Weighted
	trees      *assemble.Assembler // nil leaves all merges to BuildKit
}

// ResolveOp is base.Worker's but for the semaphore of exec ops. An op that waits for a slot has not
// started yet, so that its times are those of its work.
func (w *orderedWorker) ResolveOp(v solver.Vertex, s frontend.FrontendLLBBridge, sm *session.Manager, p worker.ProxyOpt) (solver.Op, error) {
	op, ok := v.Sys().(*pb.Op)
	if !ok {
		return w.Worker.ResolveOp(v, s, sm, p)
	}
	exec, ok := op.Op.(*pb.Op_Exec)
	if !ok || p.Network {
		other, err := w.Worker.ResolveOp(v, s, sm, p)
		if _, file := op.Op.(*pb.Op_File); file && err == nil && w.trees != nil {
			return newMergingOp(other, nil, w.trees), nil
		}
		return other, err
	}
	slots := w.containers
	if w.inProcess != nil && w.inProcess.Recognise(exec.Exec.GetMeta().GetArgs()) {
		slots = w.functions
	}
	var limits *pb.LinuxResources
	if m, ok := v.Options().Metadata.(*linuxresources.Metadata); ok && m != nil {
		limits = m.LinuxResources
	}
	made, err := ops.NewExecOp(v, exec, op.Platform, w.CacheMgr, slots, sm, w.WorkerOpt.Executor, w, limits, false)
	if err != nil || w.trees == nil {
		return made, err
	}
	return newMergingOp(made, exec.Exec, w.trees), nil
}

// newWorker assembles the worker on opened stores. It takes over s.records.
func newWorker(ctx context.Context, root string, o Options, s *stores, exec *executor) (*orderedWorker, error) {
	monitor, err := resources.NewMonitor()
	if err != nil {
		return nil, err
	}
	id, err := base.ID(root)
	if err != nil {
		return nil, err
	}
	hosts, err := registryHosts()
	if err != nil {
		return nil, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "unknown"
	}
	snapshotter := containerdsnapshot.NewSnapshotter(s.snapshotter, s.meta.Snapshotter(s.snapshotter), namespace, nil)
	w, err := base.NewWorker(ctx, base.WorkerOpt{
		ID:   id,
		Root: root,
		Labels: map[string]string{
			wlabel.Executor: "oci", wlabel.Snapshotter: s.snapshotter, wlabel.Hostname: hostname, wlabel.Network: "host",
		},
		Platforms:        []ocispecs.Platform{platforms.Normalize(platforms.DefaultSpec())},
		GCPolicy:         []client.PruneInfo{{All: true, MaxUsedSpace: o.CacheLimit}},
		BuildkitVersion:  buildkitVersion(),
		NetworkProviders: exec.networks,
		Executor:         exec,
		Snapshotter:      snapshotter,
		ContentStore:     s.content,
		Applier:          apply.NewFileSystemApplier(s.content),
		Differ:           walking.NewWalkingDiff(s.content),
		RegistryHosts:    hosts,
		LeaseManager:     s.leases,
		GarbageCollect:   s.meta.GarbageCollect,
		MetadataStore:    s.records,
		MountPoolRoot:    filepath.Join(root, "cachemounts"),
		ResourceMonitor:  monitor,
	})
	if err != nil {
		monitor.Close()
		return nil, err
	}
	return &orderedWorker{
		Worker: w, inProcess: o.InProcess,
		containers: semaphore.NewWeighted(int64(o.Containers)),
		functions:  semaphore.NewWeighted(int64(o.InProcessSlots)),
		trees:      s.assembler(snapshotter),
	}, nil
}

// networkProviders knows the host's network and none; UNSET is the host's, as on a stock daemon
// without CNI.
func networkProviders(scratch string) map[pb.NetMode]network.Provider {
	return map[pb.NetMode]network.Provider{
		pb.NetMode_UNSET: network.NewHostProvider(),
		pb.NetMode_HOST:  network.NewHostProvider(),
		pb.NetMode_NONE:  &netPool{dir: filepath.Join(scratch, "net")},
	}
}

// registryHosts honours the mirrors, authorities and plain HTTP of a buildkitd.toml where buildkitd
// would look for it.
func registryHosts() (docker.RegistryHosts, error) {
	dir := appdefaults.ConfigDir
	if os.Geteuid() != 0 || userns.RunningInUserNS() {
		dir = appdefaults.UserConfigDir()
	}
	cfg, err := config.LoadFile(filepath.Join(dir, "buildkitd.toml"))
	if err != nil {
		return nil, err
	}
	return resolver.NewRegistryConfig(cfg.Registries), nil
}

// withDefaults fills in what the zero value leaves open.
func (o Options) withDefaults() (Options, error) {
	cpus := runtime.NumCPU()
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	if o.Containers == 0 {
		o.Containers = cpus + 1
	}
	if o.InProcessSlots == 0 {
		o.InProcessSlots = max(8, 4*cpus)
	}
	if o.ContainAll {
		o.InProcess = nil
	} else if o.InProcess == nil {
		h, err := newHelperActions()
		if err != nil {
			return o, err
		}
		o.InProcess = h
	}
	if o.CacheLimit == 0 {
		st, err := disk.GetDiskStat(o.StateDir)
		if err != nil {
			return o, err
		}
		o.CacheLimit = min(max(st.Total/defaultCacheShare, defaultCacheMin), defaultCacheMax)
	}
	return o, nil
}
