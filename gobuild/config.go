// What the caller asks for.
package gobuild

import (
	"go/version"
	"runtime"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/toolchain"
)

// Config says what to build. The zero value with a Toolchain builds "." for the host's platform.
type Config struct {
	// Dir is where patterns are relative to; empty is the working directory.
	Dir string
	// Env is the environment of the go command, "NAME=value"; nil is the process's.
	Env []string
	// Patterns are those of "go build": import paths, directories, "./...", Go files. None is ".".
	Patterns []string
	// Platforms are targets as "os/arch" or "os/arch/variant" ("linux/arm/v7", "linux/amd64/v3").
	// None is GOOS and GOARCH of the go command.
	Platforms []string
	// Output says that programs are wanted: they are the roots, and packages that aren't programs
	// are compiled only as far as they are needed. Without it every package is compiled and every
	// program linked, as "go build" does to check them.
	Output bool
	// Granularity is how packages are grouped into nodes; empty is GranularityAuto.
	Granularity Granularity
	// Flags are the build flags.
	Flags Flags
	// Toolchain has the compiler, for the engine's platform.
	Toolchain *toolchain.Go
	// Loader answers what the packages are; nil is the go command in PATH.
	Loader Loader
}

// Flags are the build flags of the go command that change the result. GOFLAGS is read too; what
// is set here comes after it.
type Flags struct {
	Tags      []string // nil are those of GOFLAGS, an empty list is none
	LDFlags   []string // each is "[pattern=]flags"; the last one that matches a package counts
	GCFlags   []string // likewise
	ASMFlags  []string // likewise
	Trimpath  string   // "", "true"; "false" is refused
	PGO       string   // "auto" (the default), "off", or a file
	Mod       string   // "mod", "readonly", "vendor" or empty
	ModFile   string
	BuildVCS  string // "auto" (the default), "true", "false"
	BuildMode string // "default" (the default), "exe", "pie"
	Race      bool
	MSan      bool
	ASan      bool
	Overlay   string
}

// Granularity is how packages become nodes.
type Granularity string

// The granularities. The standard library is always in a few nodes, which depend on the version
// of Go, the platform and the flags alone.
const (
	// GranularityAuto joins the packages of a third-party module, which never change one by one,
	// and keeps a node for each package of the user's.
	GranularityAuto Granularity = "auto"
	// GranularityPackage has a node for each package.
	GranularityPackage Granularity = "package"
	// GranularityModule joins the packages of every module.
	GranularityModule Granularity = "module"
)

// enginePlatform is where compilers run when the toolchain doesn't say.
func enginePlatform() string { return "linux/" + runtime.GOARCH }

// check refuses what the go command would refuse and what isn't supported. goflags has been
// merged into f.
func (f *Flags) check() error {
	var bad UnsupportedList
	add := func(on bool, feature, hint string) {
		if on {
			bad = append(bad, &Unsupported{Feature: feature, Hint: hint})
		}
	}
	cgo := "it needs cgo"
	add(f.Race, "-race", cgo)
	add(f.MSan, "-msan", cgo)
	add(f.ASan, "-asan", cgo)
	add(f.Overlay != "", "-overlay", "write the changed files in place")
	switch f.Trimpath {
	case "", "true":
	case "false":
		add(true, "-trimpath=false", "paths are always trimmed, so that results can be shared between machines; leave the flag out")
	default:
		return usagef("invalid boolean value %q for -trimpath", f.Trimpath)
	}
	switch f.BuildMode {
	case "", "default", "exe", "pie":
	case "archive", "c-archive", "c-shared", "shared", "plugin":
		add(true, "-buildmode="+f.BuildMode, "exe and pie are")
	default:
		return usagef("buildmode=%s not supported", f.BuildMode)
	}
	switch f.Mod {
	case "", "readonly", "mod", "vendor":
	default:
		return usagef("-mod=%s not supported (can be '', 'mod', 'readonly', or 'vendor')", f.Mod)
	}
	switch f.BuildVCS {
	case "", "auto", "true", "false":
	default:
		return usagef("invalid value %q for -buildvcs: it is auto, true or false", f.BuildVCS)
	}
	return bad.err()
}

func (g Granularity) check() error {
	switch g {
	case "", GranularityAuto, GranularityPackage, GranularityModule:
		return nil
	}
	return usagef("granularity %q: it is auto, package or module", string(g))
}

// target is one element of Config.Platforms.
type target struct {
	goos, goarch string
	env          []string // the architecture's variable, if a variant was given
}

// parsePlatform reads "os/arch[/variant]"; variants are those of OCI platforms.
func parsePlatform(s string) (target, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return target{}, usagef("platform %q: it is written os/arch or os/arch/variant", s)
	}
	t := target{goos: parts[0], goarch: parts[1]}
	if len(parts) == 2 {
		return t, nil
	}
	name := archVar(t.goarch)
	if name == "" {
		return target{}, usagef("platform %q: %s has no variants", s, t.goarch)
	}
	v, known := variant(t.goarch, parts[2])
	if len(known) > 0 && !slices.Contains(known, v) {
		return target{}, usagef("platform %q: the variants of %s are %s", s, t.goarch, strings.Join(known, ", "))
	}
	t.env = []string{name + "=" + v}
	return t, nil
}

// variant is the value of an architecture's variable that a platform's variant means, and those
// that there are as far as the go command doesn't check it.
func variant(goarch, name string) (value string, known []string) {
	bare := strings.TrimPrefix(name, "v")
	switch goarch {
	case "amd64":
		return "v" + bare, []string{"v1", "v2", "v3", "v4"}
	case "arm":
		return bare, []string{"5", "6", "7"}
	case "386":
		return name, []string{"sse2", "softfloat"}
	case "arm64":
		if !strings.Contains(bare, ".") {
			bare += ".0"
		}
		return "v" + bare, nil
	}
	return name, nil
}

// archVar is the variable that refines an architecture, as cmd/go's GetArchEnv has it.
func archVar(goarch string) string {
	switch goarch {
	case "arm":
		return "GOARM"
	case "arm64":
		return "GOARM64"
	case "386":
		return "GO386"
	case "amd64":
		return "GOAMD64"
	case "mips", "mipsle":
		return "GOMIPS"
	case "mips64", "mips64le":
		return "GOMIPS64"
	case "ppc64", "ppc64le":
		return "GOPPC64"
	case "riscv64":
		return "GORISCV64"
	case "wasm":
		return "GOWASM"
	}
	return ""
}

// platform is how a target is called in results: "linux/arm64", and "linux/arm64/v9.0-lse" for a
// value of the architecture's variable other than the default.
func (s *Settings) platform() string {
	p := s.GOOS + "/" + s.GOARCH
	if s.ArchValue != "" && s.ArchValue != defaultArchValue(s.GOARCH) {
		p += "/" + strings.ReplaceAll(s.ArchValue, ",", "-") // platforms have no commas
	}
	return p
}

func defaultArchValue(goarch string) string {
	switch goarch {
	case "amd64":
		return "v1"
	case "arm64":
		return "v8.0"
	case "386":
		return "sse2"
	case "arm":
		return "7"
	case "mips", "mipsle", "mips64", "mips64le":
		return "hardfloat"
	case "ppc64", "ppc64le":
		return "power8"
	case "riscv64":
		return "rva20u64"
	}
	return ""
}

// oldest is the first version of Go whose tools take the flags that are used here.
const oldest = "go1.22"

// atLeast compares versions of Go by their language version; first is one, "go1.23".
func atLeast(goVersion, first string) bool { return version.Compare(lang(goVersion), first) >= 0 }

// atLeast tells whether the toolchain is of the version first or later.
func (p *planner) atLeast(first string) bool { return atLeast(p.tc.Version, first) }

// lang is the -lang of a module: "go1.21" for go lines "1.21" and "1.21.3".
func lang(goVersion string) string {
	if i := strings.LastIndex(goVersion, "go"); i >= 0 { // "devel go1.27-…"
		goVersion = goVersion[i+2:]
	}
	v := goVersion
	if v == "" {
		v = "1.16" // what the go command assumes without a go line
	}
	major, rest, _ := strings.Cut(v, ".")
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		rest = rest[:i]
	}
	if rest == "" {
		return "go" + major
	}
	return "go" + major + "." + rest
}
