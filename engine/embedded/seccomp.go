// System call filters. Every container has one, always; this file is about its price.
//
// crun compiles a profile with libseccomp for every container, which takes as long as the rest of
// its work. It also accepts a compiled program in an annotation. So the profile is compiled once,
// by crun itself, and the program is kept. Two things make this safe:
//
//   - Before a program is used, crun must have shown that it takes the annotation: a container that
//     is created with it has that very program in crun's state.
//   - Beside the annotation, the specification has a profile that denies everything. A crun that
//     ignored the annotation could run nothing, rather than run it unfiltered.

package embedded

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moby/buildkit/identity"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// bpfAnnotation hands crun a compiled program, in base64.
const bpfAnnotation = "run.oci.seccomp_bpf_data"

// filters keeps the compiled programs of profiles.
type filters struct {
	runtime *ociRuntime
	dir     string
	log     func(format string, args ...any)

	mu       sync.Mutex
	programs map[string]string // by capabilities; empty: compile it each time
}

// errNoFilter refuses to run anything on a kernel that can't filter.
var errNoFilter = errors.New("the kernel can't filter system calls (CONFIG_SECCOMP_FILTER): containers aren't run unfiltered")

// apply makes a specification that carries a profile cheap. bundle holds the container that the
// specification is for, complete but for config.json.
func (f *filters) apply(ctx context.Context, bundle string, spec *specs.Spec) error {
	if spec.Linux == nil || spec.Linux.Seccomp == nil {
		return errNoFilter
	}
	if !f.runtime.crun {
		return nil
	}
	program, err := f.program(ctx, bundle, spec)
	if err != nil || program == "" {
		return err
	}
	substitute(spec, program)
	return nil
}

// substitute replaces a profile by its program and the profile that denies everything.
func substitute(spec *specs.Spec, program string) {
	annotations := map[string]string{bpfAnnotation: program}
	for k, v := range spec.Annotations {
		annotations[k] = v
	}
	spec.Annotations = annotations
	spec.Linux.Seccomp = &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Architectures: spec.Linux.Seccomp.Architectures,
	}
}

// program returns the compiled form of a specification's profile, or nothing if crun has to compile
// it each time.
func (f *filters) program(ctx context.Context, bundle string, spec *specs.Spec) (string, error) {
	// BuildKit's profile depends on nothing in the specification but its capabilities.
	var caps string
	if spec.Process.Capabilities != nil {
		caps = strings.Join(spec.Process.Capabilities.Bounding, " ")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, ok := f.programs[caps]; ok {
		return p, nil
	}
	profile, err := json.Marshal(spec.Linux.Seccomp)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(f.runtime.path+"\n"+f.runtime.version+"\n"), profile...))
	key := hex.EncodeToString(sum[:])
	file := filepath.Join(f.dir, key+".bpf")
	data, err := os.ReadFile(file)
	if err != nil || len(data) == 0 {
		if data, err = f.compile(ctx, bundle, spec); err != nil {
			if ctx.Err() != nil {
				return "", context.Cause(ctx) // says nothing about crun
			}
			f.log("seccomp: crun compiles the filter for each container: %v", err)
			data = nil
		} else if err := writeAtomic(file, data); err != nil {
			f.log("seccomp: keep the compiled filter: %v", err)
		}
	}
	f.programs[caps] = base64.StdEncoding.EncodeToString(data)
	return f.programs[caps], nil
}

// compile has crun compile the profile, and checks that it would take the result back.
func (f *filters) compile(ctx context.Context, bundle string, spec *specs.Spec) ([]byte, error) {
	data, err := f.create(ctx, bundle, spec)
	if err != nil {
		return nil, err
	}
	try := *spec
	linux := *spec.Linux
	try.Linux = &linux
	substitute(&try, base64.StdEncoding.EncodeToString(data))
	got, err := f.create(ctx, bundle, &try)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(got, data) {
		return nil, errors.New("it doesn't take a compiled filter")
	}
	return data, nil
}

// create makes a container, without starting its process, and returns its compiled filter.
func (f *filters) create(ctx context.Context, bundle string, spec *specs.Spec) ([]byte, error) {
	if err := writeSpec(bundle, spec); err != nil {
		return nil, err
	}
	id := "filter-" + identity.NewID()
	log := filepath.Join(bundle, "filter.log")
	cmd := f.runtime.command(log, "create", "--bundle", bundle, id)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, null // files: the container keeps them open
	cmd.SysProcAttr.Pdeathsig = 0                        // crun ends at once; its container must not
	defer f.runtime.delete(context.WithoutCancel(ctx), id)
	if err := <-f.runtime.start(cmd, nil); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = errors.Join(err, logError(log))
		}
		return nil, fmt.Errorf("create a container: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(f.runtime.state, id, "seccomp.bpf"))
	if err == nil && (len(data) == 0 || len(data)%8 != 0) { // struct sock_filter has 8 bytes
		err = fmt.Errorf("the compiled filter has %d bytes", len(data))
	}
	return data, err
}

func writeSpec(bundle string, spec *specs.Spec) error {
	data, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bundle, "config.json"), data, 0o600)
}

// writeAtomic writes a file that is either complete or not there.
func writeAtomic(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
