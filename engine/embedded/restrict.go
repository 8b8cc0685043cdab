// What a container may not do, beyond BuildKit's own restrictions.

package embedded

import (
	"slices"

	rootless "github.com/moby/buildkit/util/rootless/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// droppedCapabilities are those of containerd's default set that builds have no use for: raw
// sockets, device files, and the audit log.
var droppedCapabilities = []string{"CAP_MKNOD", "CAP_NET_RAW", "CAP_AUDIT_WRITE"}

// restrict tightens a specification and fits it to the runtime.
func (x *executor) restrict(c *container, spec *specs.Spec) error {
	if caps := spec.Process.Capabilities; caps != nil {
		for _, set := range []*[]string{&caps.Bounding, &caps.Permitted, &caps.Effective, &caps.Inheritable, &caps.Ambient} {
			*set = slices.DeleteFunc(slices.Clone(*set), func(c string) bool { return slices.Contains(droppedCapabilities, c) })
		}
	}
	spec.Process.NoNewPrivileges = true
	for i, m := range spec.Mounts {
		if m.Type == "bind" || m.Type == "overlay" || m.Type == "" {
			spec.Mounts[i].Options = append(slices.Clone(m.Options), "nodev")
		}
	}
	if x.rootless {
		var err error
		if c.stubs, err = rootless.ToRootless(spec); err != nil {
			return err
		}
	}
	if x.runtime.crun || x.rootless {
		// There is no cgroup, so there is nothing to configure or to show.
		spec.Linux.CgroupsPath = ""
		spec.Linux.Resources = nil
		spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup" })
	}
	if x.runtime.crun {
		spec.Version = "1.0.2" // crun before 1.9 refuses newer ones, and nothing newer is used
	}
	return nil
}
