// The in-process actions of this program: fetches and writes of its own helper.

package embedded

import (
	"context"
	"path"
	"strings"

	"github.com/mergefest/mergefest/internal/helper"
	"github.com/mergefest/mergefest/internal/helper/fetch"
	"github.com/mergefest/mergefest/internal/helperbin"
)

// helperRoot is where clients mount helper images, each below a directory named after the first 16
// hex digits of its manifest's digest; the program in it is helperbin.Name.
const helperRoot = "/.mergefest/"

// helperActions implements InProcess with the code that the helper's binary is built from.
type helperActions struct {
	digests []string
	dirs    map[string]bool
	shared  *helper.Shared
}

// newHelperActions knows the helpers of all platforms: what they fetch doesn't depend on it.
func newHelperActions() (*helperActions, error) {
	h := &helperActions{dirs: map[string]bool{}, shared: helper.NewShared(fetch.Options{})}
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		img, err := helperbin.ImageOf(platform)
		if err != nil {
			return nil, err
		}
		dgst := img.Manifest.Descriptor.Digest
		h.digests = append(h.digests, dgst.String())
		h.dirs[helperRoot+dgst.Encoded()[:16]] = true
	}
	return h, nil
}

func (h *helperActions) Digests() []string { return h.digests }

func (h *helperActions) Recognise(args []string) bool {
	return len(args) > 0 && path.Base(args[0]) == helperbin.Name && h.dirs[path.Dir(args[0])] && h.shared.Handles(args[1:])
}

func (h *helperActions) Run(ctx context.Context, p Process) error {
	code, err := h.shared.Run(ctx, p.Args[1:], helper.Container{
		OutDir: p.OutDir, ReadFile: p.ReadFile, Getenv: getenv(p.Env), Stderr: p.Log,
	})
	if err != nil {
		return &ActionError{ExitCode: code, Err: err}
	}
	return nil
}

func (h *helperActions) Close() error {
	h.shared.Close()
	return nil
}

// getenv looks a variable up in an environment.
func getenv(env []string) func(string) string {
	return func(name string) string {
		for _, e := range env {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				return v
			}
		}
		return ""
	}
}
