// The facts that a plan is made from, as plain data that can be recorded and replayed.
package gobuild

import "context"

// Loader finds out what the packages of a build are. The host's go command is one (HostLoader).
type Loader interface {
	// GoEnv gives the values of "go env" that are asked for, as the go command sees them in dir.
	// What it doesn't know is missing or empty.
	GoEnv(ctx context.Context, dir string, env []string, names []string) (map[string]string, error)
	// Load answers a query. Mistakes in the user's files are LoadErrors.
	Load(ctx context.Context, q Query) (*Facts, error)
}

// Query says what to load.
type Query struct {
	Dir      string   // directory that patterns are relative to; absolute
	Env      []string // the environment of the go command, "NAME=value"
	Flags    []string // build flags of the go command: -tags=…, -mod=…
	Patterns []string // what the user asked for
	// Std are packages of the standard library to load besides, with their imports, as far as
	// the version of Go has them.
	Std      []string
	BuildVCS string   // "auto", "true" or "false"
	Settings Settings // of the target; Env agrees with them
}

// Settings are those values of "go env" that decide how packages are compiled for one target.
type Settings struct {
	GOOS         string
	GOARCH       string
	ArchVar      string // "GOAMD64"; empty if the architecture has none
	ArchValue    string // "v1"
	GOEXPERIMENT string
	GOFIPS140    string // "off", "latest"
	GOVERSION    string // "go1.26.8"
	GOMOD        string // go.mod of the main module; empty outside one
	GOWORK       string // go.work, if one is in force
	GOMODCACHE   string
	CGOEnabled   bool   // the user set CGO_ENABLED=1
	ModFile      string // -modfile
}

// Facts are the packages of one target.
type Facts struct {
	Settings Settings
	// Packages are all that were loaded, the standard library's included and without "unsafe",
	// sorted by import path.
	Packages []*Package
	// Roots are the import paths that the patterns matched, sorted.
	Roots []string
	// VCS are the version control settings of each main module, by its path.
	VCS map[string]VCS `json:",omitempty"`
}

// Package is what "go list" knows about one package. File names are relative to Dir.
type Package struct {
	ImportPath string
	Name       string
	Dir        string // absolute, where the files are on the loader's machine
	Standard   bool   `json:",omitempty"`
	Module     *Module
	GoFiles    []string
	// OtherFiles are those that the go command lists for languages other than Go: .s, .h, .syso
	// and what is unsupported.
	OtherFiles    []string `json:",omitempty"`
	EmbedPatterns []string `json:",omitempty"`
	EmbedFiles    []string `json:",omitempty"`
	// Imports maps the path in the source to the import path that it means; they differ for
	// vendored packages of the standard library.
	Imports map[string]string `json:",omitempty"`
	// GODEBUG is the default of a main package, as the linker takes it.
	GODEBUG string `json:",omitempty"`
}

// Module is the module of a package.
type Module struct {
	Path      string
	Version   string // empty for main modules and those of a workspace
	Main      bool   `json:",omitempty"`
	Dir       string `json:",omitempty"` // of the module itself, or of what replaces it
	GoVersion string `json:",omitempty"`
	Replace   *Module
}

// VCS is what the go command records about the repository of a main module.
type VCS struct {
	Version  string // of the main module: "v1.2.3", "v1.2.4-0.2026…-0123456789ab+dirty", or empty
	Settings []Setting
}

// Setting is a line of the build info.
type Setting struct{ Key, Value string }
