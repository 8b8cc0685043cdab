// mergefest version.
package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/moby/buildkit/version"
)

func versionCommand() command {
	return command{
		name: "version", short: "print the version",
		setup: func(_ *flag.FlagSet, std stdio) runFunc {
			return noArgs(func(context.Context) error {
				fmt.Fprintf(std.out, "mergefest %s (%s, BuildKit %s, %s/%s)\n",
					ownVersion(), runtime.Version(), buildkitVersion(), runtime.GOOS, runtime.GOARCH)
				return nil
			})
		},
	}
}

// ownVersion is what the go command recorded about this program.
func ownVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// buildkitVersion is that of the embedded engine.
func buildkitVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/moby/buildkit" {
				return d.Version
			}
		}
	}
	return version.Version
}
