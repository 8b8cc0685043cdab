// What plans and definitions need to know of the engine and the state directory.
package build

import (
	"path/filepath"
	"runtime"

	"github.com/containerd/platforms"

	"github.com/mergefest/mergefest/engine"
)

// target describes the engine; nil stands for one that hasn't been asked, which is taken to have
// the host's architecture.
func (o Options) target(e *engine.Engine) (target, error) {
	dir := o.Engine.StateDir
	if dir == "" {
		var err error
		if dir, err = engine.DefaultStateDir(); err != nil {
			return target{}, err
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return target{}, err
	}
	t := target{platform: "linux/" + runtime.GOARCH, stateDir: dir}
	if e != nil {
		if p := e.Info().Platforms; len(p) > 0 {
			t.platform = platforms.Format(platforms.Normalize(p[0]))
		}
	}
	return t, nil
}
