// Actions of mergefest's own helper, run as functions of this process.
//
// The op, its key and its result are those of the container run. What the container would see is
// looked at from outside: the writable mount is a directory of the snapshotter, a read-only mount
// or a secret is read when the action asks for it.

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	cfs "github.com/containerd/continuity/fs"
	bkexec "github.com/moby/buildkit/executor"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/snapshot"

	"github.com/mergefest/mergefest/graph/action"
)

func (x *executor) runInProcess(ctx context.Context, c *container, mounts []bkexec.Mount, p bkexec.ProcessInfo) (err error) {
	v := &view{ctx: ctx, mounts: mounts}
	defer func() {
		if cerr := v.close(); err == nil && cerr != nil {
			err = cerr
		}
	}()
	out, err := v.outDir()
	if err != nil {
		return err
	}
	c.started()
	log := io.Writer(io.Discard)
	if p.Stderr != nil {
		log = p.Stderr
	}
	err = x.call(ctx, Process{Args: p.Meta.Args, Env: p.Meta.Env, OutDir: out, ReadFile: v.readFile, Log: log})
	if err == nil {
		return nil
	}
	var failed *ActionError
	if errors.As(err, &failed) && ctx.Err() == nil {
		return &gatewayapi.ExitError{ExitCode: uint32(failed.ExitCode)}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &gatewayapi.ExitError{ExitCode: gatewayapi.UnknownExitStatus, Err: err}
}

// call turns a panic of the action, which a container would have contained, into its failure.
func (x *executor) call(ctx context.Context, p Process) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the action panicked: %v", r)
		}
	}()
	return x.inProcess.Run(ctx, p)
}

// view is a container's file system, seen from outside and opened piece by piece.
type view struct {
	ctx     context.Context
	mounts  []bkexec.Mount
	opened  map[int]string
	release []func() error
}

func (v *view) close() error {
	var errs []error
	for i := len(v.release) - 1; i >= 0; i-- {
		errs = append(errs, v.release[i]())
	}
	return errors.Join(errs...)
}

// outDir is the host's directory behind action.OutDir.
func (v *view) outDir() (string, error) {
	for i, m := range v.mounts {
		if path.Clean(m.Dest) == action.OutDir && !m.Readonly {
			return v.open(i)
		}
	}
	return "", fmt.Errorf("the op has no writable mount at %s", action.OutDir)
}

// readFile reads a file by its path in the container.
func (v *view) readFile(name string) ([]byte, error) {
	name = path.Clean("/" + name)
	best, rest := -1, ""
	for i, m := range v.mounts { // the deepest mount that holds the path
		dest := path.Clean("/" + m.Dest)
		if sub, ok := strings.CutPrefix(name+"/", strings.TrimSuffix(dest, "/")+"/"); ok &&
			(best < 0 || len(dest) > len(path.Clean("/"+v.mounts[best].Dest))) {
			best, rest = i, strings.TrimSuffix(sub, "/")
		}
	}
	if best < 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	base, err := v.open(best)
	if err != nil {
		return nil, err
	}
	// Links inside a mount are followed as the container would, never out of it.
	file, err := cfs.RootPath(base, path.Join(v.mounts[best].Selector, rest))
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// open returns the host's path of a mount. A single bind mount, as snapshots without a parent and
// secrets are, needs no mounting.
func (v *view) open(i int) (string, error) {
	if dir, ok := v.opened[i]; ok {
		return dir, nil
	}
	m := v.mounts[i]
	ref, err := m.Src.Mount(v.ctx, m.Readonly)
	if err != nil {
		return "", err
	}
	ms, release, err := ref.Mount()
	if err != nil {
		return "", err
	}
	if release != nil {
		v.release = append(v.release, release)
	}
	dir, err := v.place(ms)
	if err != nil {
		return "", fmt.Errorf("mount %s: %w", m.Dest, err)
	}
	if v.opened == nil {
		v.opened = map[int]string{}
	}
	v.opened[i] = dir
	return dir, nil
}

func (v *view) place(ms []mount.Mount) (string, error) {
	if len(ms) == 1 && (ms[0].Type == "bind" || ms[0].Type == "rbind") {
		return filepath.Clean(ms[0].Source), nil
	}
	lm := snapshot.LocalMounterWithMounts(ms)
	dir, err := lm.Mount()
	if err != nil {
		return "", err
	}
	v.release = append(v.release, lm.Unmount)
	return dir, nil
}
