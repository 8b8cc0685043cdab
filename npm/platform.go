package npm

// Which packages suit a platform: os, cpu, libc and engines of a manifest, as npm reads them.

import (
	"fmt"
	"runtime"
	"strings"
)

// Platform is what the tree is for, in Node.js's words. The zero value is Linux with glibc on this
// machine's processor, with no particular Node.js.
type Platform struct {
	OS   string // "linux", "darwin", "win32"
	CPU  string // "x64", "arm64"
	Libc string // "glibc", "musl"; Linux only
	Node string // "20.11.1"; empty skips checks of engines.node
	NPM  string // "10.2.4"; empty skips checks of engines.npm
}

// ParsePlatform converts "os/arch" as Go and OCI write it ("linux/amd64").
func ParsePlatform(s string) (Platform, error) {
	os, arch, _ := strings.Cut(s, "/")
	arch, variant, _ := strings.Cut(arch, "/")
	p := Platform{OS: nodeOS(os), CPU: nodeCPU(arch)}
	if p.OS == "" || p.CPU == "" {
		return Platform{}, fmt.Errorf("platform %q: Node.js isn't available for it", s)
	}
	if variant == "musl" {
		p.Libc = variant
	}
	return p.withDefaults(), nil
}

func nodeOS(goos string) string {
	switch goos {
	case "windows":
		return "win32"
	case "solaris", "illumos":
		return "sunos"
	case "linux", "darwin", "freebsd", "openbsd", "aix", "android":
		return goos
	}
	return ""
}

func nodeCPU(goarch string) string {
	switch goarch {
	case "amd64":
		return "x64"
	case "386":
		return "ia32"
	case "ppc64le":
		return "ppc64"
	case "mipsle":
		return "mipsel"
	case "mips64le":
		return "mips64el"
	case "arm", "arm64", "ppc64", "s390x", "riscv64", "loong64", "mips":
		return goarch
	}
	return ""
}

func (p Platform) withDefaults() Platform {
	if p.OS == "" {
		p.OS = "linux"
	}
	if p.CPU == "" {
		p.CPU = nodeCPU(runtime.GOARCH)
	}
	if p.OS == "linux" && p.Libc == "" {
		p.Libc = "glibc"
	}
	return p
}

// String names the platform as messages do: "linux x64 glibc".
func (p Platform) String() string {
	return strings.TrimSpace(p.OS + " " + p.CPU + " " + p.Libc)
}

// suits says why a package can't be on the platform, or returns "".
func (p Platform) suits(pkg object) string {
	var bad []string
	for _, c := range []struct{ key, have string }{{"os", p.OS}, {"cpu", p.CPU}, {"libc", p.Libc}} {
		want := pkg[c.key]
		if !truthy(want) {
			continue
		}
		if c.key == "libc" && c.have == "" || !listAllows(c.have, stringsOf(want)) {
			bad = append(bad, fmt.Sprintf("%s %s", c.key, strings.Join(stringsOf(want), ", ")))
		}
	}
	return strings.Join(bad, "; ")
}

// listAllows reads a list such as ["linux", "!win32"].
func listAllows(have string, list []string) bool {
	if len(list) == 1 && list[0] == "any" {
		return true
	}
	negated, match := 0, false
	for _, entry := range list {
		if not, ok := strings.CutPrefix(entry, "!"); ok {
			negated++
			if not == have {
				return false
			}
			continue
		}
		match = match || entry == have
	}
	return match || negated == len(list)
}

// engines remembers which ranges suit what there is: a tree asks for the same few again and again.
type engines struct {
	Platform
	known map[[2]string]bool // tool and range
}

// refused says which engine a package refuses, or returns "".
func (g *engines) refused(pkg object) string {
	wanted := obj(pkg, "engines")
	for _, c := range []struct{ key, have string }{{"node", g.Node}, {"npm", g.NPM}} {
		want := str(wanted, c.key)
		if want == "" || c.have == "" {
			continue
		}
		fits, ok := g.known[[2]string{c.key, want}]
		if !ok {
			fits = satisfies(c.have, want, mode{prerelease: true})
			g.known[[2]string{c.key, want}] = fits
		}
		if !fits {
			return fmt.Sprintf("%s %s (there is %s)", c.key, want, c.have)
		}
	}
	return ""
}

// checkPlatform marks what can't be installed as inert, and lists needed packages that refuse the
// platform. Engines are a warning unless strict. What is optional may be for another platform.
func (t *tree) checkPlatform(p, optional Platform, omit omitSet, config *Config, lock *document) (errs Errors, warnings []string) {
	force := config.is("force")
	strict := config.is("engine-strict") && !force
	have := &engines{p, map[[2]string]bool{}}
	var refused []string
	for _, n := range t.ordered() {
		if n.isLink() {
			continue
		}
		if n.flags.optional {
			if !n.inert && (optional.suits(n.pkg) != "" || have.refused(n.pkg) != "") {
				for x := range optionalSet(n) {
					x.inert = true
				}
			}
			continue
		}
		if t.omitted(n, omit) {
			continue
		}
		if why := p.suits(n.pkg); why != "" && force {
			refused = append(refused, fmt.Sprintf("%s (needs %s)", n.id(), why))
		} else if why != "" {
			errs = append(errs, lock.errorIn(&Error{Reason: WrongPlatform, Package: n.id(),
				Msg:    fmt.Sprintf("needs %s, but the platform is %s", why, p),
				Advice: "make it an optional dependency, or build for a platform that it supports"}, "packages", n.loc))
		}
		why := have.refused(n.pkg)
		if why == "" || n == t.root && obj(n.pkg, "devEngines") != nil {
			continue
		}
		if strict {
			errs = append(errs, lock.errorIn(&Error{Reason: WrongPlatform, Package: n.id(), Msg: "needs " + why,
				Advice: "use such an engine, or unset engine-strict"}, "packages", n.loc))
			continue
		}
		refused = append(refused, fmt.Sprintf("%s (%s)", n.id(), why))
	}
	if refused != nil {
		warnings = []string{"packages for other engines: " + strings.Join(refused, ", ")}
	}
	return errs, warnings
}
