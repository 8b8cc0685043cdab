// The contestant with a cache mount: what this Dockerfile does, as LLB.
//
//	FROM node
//	COPY package.json package-lock.json /app/
//	RUN --mount=type=cache,target=/cache npm ci
//	FROM scratch
//	COPY --from=0 /app/node_modules /node_modules
//
// Its base image is the host's Node.js and npm, so that they are the same for all.

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/moby/buildkit/client/llb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/toolchain"
)

// storeName is what the definition calls the place of the base image.
const storeName = "bench"

// mounts adds the contestant; its client is the buildctl beside buildkitd.
func (m *teamMaker) mounts(ctx context.Context) error {
	t, dir := m.add("cache mount", "mounts", "out")
	t.fresh = true // its engine compares files, and where any differs runs npm ci as a whole
	layout := filepath.Join(dir, "image")
	node, err := exec.LookPath("node")
	if err != nil {
		return err
	}
	base, err := toolchain.OpenStore(layout).HostNode(ctx, node, "linux/"+runtime.GOARCH)
	if err != nil {
		return err
	}
	definition, err := mountsDefinition(ctx, base, m.reg)
	if err != nil {
		return err
	}
	d := m.daemon(t, dir)
	t.reset = func(ctx context.Context) error { return errors.Join(d.Restart(ctx), m.discard(filepath.Dir(t.tree))) }
	t.build = func(ctx context.Context) error {
		// buildctl adds to a directory: what an earlier build left has to go.
		if err := removeAll(t.tree); err != nil {
			return err
		}
		return command(ctx, dir, os.Environ(), definition, filepath.Join(filepath.Dir(d.Bin), "buildctl"), "--addr", d.Addr(),
			"build", "--progress", "quiet", "--local", "src="+t.src, "--oci-layout", storeName+"="+layout,
			"--output", "type=local,dest="+filepath.Dir(t.tree))
	}
	return nil
}

func mountsDefinition(ctx context.Context, node *toolchain.Node, reg *registry) ([]byte, error) {
	image := node.Node.Action.(*graph.Import).Digest
	base := llb.OCILayout("bench.example.com/node@"+image, llb.OCIStore("", storeName), llb.WithCustomName("FROM node"))
	src := llb.Local("src", llb.SharedKeyHint("bench-src"), llb.IncludePatterns([]string{"package.json", "package-lock.json"}))
	st := base.File(llb.Copy(src, "/", "/app/", &llb.CopyInfo{CopyDirContentsOnly: true, CreateDestPath: true}), llb.WithCustomName("COPY"))
	opts := []llb.RunOption{
		llb.Args([]string{"npm", "ci"}), llb.Dir("/app"), llb.AddEnv("PATH", node.Path), llb.AddEnv("HOME", "/root"),
		llb.AddMount("/cache", llb.Scratch(), llb.AsPersistentCacheDir("bench-npm", llb.CacheMountShared)),
		llb.WithCustomName("RUN npm ci"),
	}
	for _, kv := range [][2]string{
		{"registry", reg.url + "/"}, {"cache", "/cache"}, {"ignore_scripts", "true"}, {"audit", "false"}, {"fund", "false"}, {"update_notifier", "false"},
	} {
		opts = append(opts, llb.AddEnv("npm_config_"+kv[0], kv[1]))
	}
	out := llb.Scratch().File(llb.Copy(st.Run(opts...).Root(), "/app/node_modules", "/node_modules"), llb.WithCustomName("COPY --from=0"))
	def, err := out.Marshal(ctx, llb.Platform(ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := llb.WriteTo(def, &buf); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
