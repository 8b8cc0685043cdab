// What a caller asks for.
package build

import (
	"io"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/gobuild"
	"github.com/mergefest/mergefest/progress"
)

// Options say what to build, where and for whom. The zero value works.
type Options struct {
	// Dir is the project's directory; empty is the working directory.
	Dir string
	// Patterns name what is built, as the go command's do: "./...", "./cmd/x"; none is ".".
	Patterns []string
	// Platforms are the targets, "os/arch" or "os/arch/variant"; none is the default of each
	// ecosystem (for Go: GOOS and GOARCH).
	Platforms []string
	// GraphFile takes the graph from a JSON file (docs/graph-json.md) instead of the project.
	GraphFile string
	// Locals are the directories that Local nodes of GraphFile name as their root. The one named "",
	// the project's directory, is that of the file if it isn't given.
	Locals map[string]string
	// Granularity is "auto" (also if empty), "package" or "module"; see docs/granularity.md. It is for
	// Go, and for downloads on other engines than the embedded one.
	Granularity string
	// Go holds the go command's build flags.
	Go gobuild.Flags
	// GoToolchain says where Go's compiler comes from: "" (the host's if it runs on the engine, else
	// the module proxy's), "host" or "proxy".
	GoToolchain string
	// GoModCache delivers the module cache of a Go project, laid out like GOMODCACHE, instead of its
	// programs.
	GoModCache bool
	// NPM holds the options of npm projects.
	NPM NPM
	// Ecosystems restricts what is looked for: "go", "npm"; none looks for all.
	Ecosystems []string
	// Env is the environment of tools and the source of settings, "NAME=value"; nil is the
	// process's.
	Env []string

	// Engine says where to build. The embedded engine needs Engine.ServeCommand.
	Engine engine.Options
	// Output is the directory that receives the results; empty builds without writing.
	Output string
	// Report is the file that receives the report (docs/report.md); empty writes none.
	Report string
	// Progress is how the build is shown on Stderr.
	Progress progress.Mode
	// Stderr receives progress, notes and failures; nil drops them.
	Stderr io.Writer
}

// UsageError is a mistake in the options.
type UsageError struct{ Msg string }

func (e *UsageError) Error() string { return e.Msg }

// ShownError is a failure whose whole text has been written to Options.Stderr already.
type ShownError struct{ Err error }

func (e *ShownError) Error() string { return e.Err.Error() }
func (e *ShownError) Unwrap() error { return e.Err }
