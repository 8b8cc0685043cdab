// Assembly: what cmd/go's gcToolchain does for .s files.
package gobuild

import (
	"path"
	"strings"
)

// asmArgs are the arguments that both passes share.
func (c *compiler) asmArgs() []string {
	p := c.p
	c.mountGo("pkg/include")
	args := []string{
		c.tool("asm"), "-p", c.q.symbol(), "-trimpath", c.trimpath(),
		// The go command runs the assembler in the package's directory, where headers are found
		// first. Here it runs where names are those that the user knows.
		"-I", c.src.dir, "-I", c.obj, "-I", goroot + "/pkg/include",
		"-D", "GOOS_" + p.s.GOOS, "-D", "GOARCH_" + p.s.GOARCH,
	}
	if p.s.shared(&p.flags) {
		args = append(args, "-shared")
	}
	if c.q.Standard && p.atLeast("go1.27") { // since then assembly needs it as Go does
		args = append(args, "-std")
	}
	args = append(args, p.as.forPackage(c.q.Package, c.q.named)...)
	for _, d := range asmDefines(p.s.GOARCH, p.s.ArchValue) {
		args = append(args, "-D", d)
	}
	return args
}

// asmDefines are the macros of an architecture's variable.
func asmDefines(goarch, value string) []string {
	switch goarch {
	case "386":
		return []string{"GO386_" + value}
	case "amd64":
		return []string{"GOAMD64_" + value}
	case "mips", "mipsle":
		return []string{"GOMIPS_" + value}
	case "mips64", "mips64le":
		return []string{"GOMIPS64_" + value}
	case "ppc64", "ppc64le":
		switch value {
		case "power10":
			return []string{"GOPPC64_power10", "GOPPC64_power9", "GOPPC64_power8"}
		case "power9":
			return []string{"GOPPC64_power9", "GOPPC64_power8"}
		}
		return []string{"GOPPC64_power8"}
	case "riscv64":
		return []string{"GORISCV64_" + value}
	case "arm":
		switch {
		case strings.Contains(value, "7"):
			return []string{"GOARM_7", "GOARM_6", "GOARM_5"}
		case strings.Contains(value, "6"):
			return []string{"GOARM_6", "GOARM_5"}
		}
		return []string{"GOARM_5"}
	case "arm64":
		if arm64LSE(value) {
			return []string{"GOARM64_LSE"}
		}
	}
	return nil
}

// arm64LSE tells whether a GOARM64 has the atomic instructions: v8.1 and later do, and v8.0 with
// ",lse" (internal/buildcfg's ParseGoarm64).
func arm64LSE(value string) bool {
	base, options, _ := strings.Cut(value, ",")
	return base != "v8.0" && base != "" || strings.Contains(","+options+",", ",lse,")
}

// symabis tells the compiler which functions are in assembly. go_asm.h is empty for that pass.
func (c *compiler) symabis(files []string) {
	c.file(c.obj+"/go_asm.h", "")
	args := append(c.asmArgs(), "-gensymabis", "-o", c.obj+"/symabis")
	c.do(c.src.cwd, append(args, c.src.names(files)...)...)
}

func (c *compiler) assemble(files []string) []string {
	var objects []string
	for i, f := range files {
		o := path.Join(c.obj, strings.TrimSuffix(f, ".s")+".o")
		objects = append(objects, o)
		c.do(c.src.cwd, append(c.asmArgs(), "-o", o, c.src.names(files[i : i+1])[0])...)
	}
	return objects
}

// copyHeaders gives headers that are named for the platform the names that code for several
// platforms includes: defs_linux_amd64.h becomes defs_GOOS_GOARCH.h.
func (c *compiler) copyHeaders() {
	for _, f := range c.q.headers() {
		ext := path.Ext(f)
		name := strings.TrimSuffix(f, ext)
		for _, s := range [][2]string{
			{"_" + c.p.s.GOOS + "_" + c.p.s.GOARCH, "_GOOS_GOARCH"}, {"_" + c.p.s.GOARCH, "_GOARCH"}, {"_" + c.p.s.GOOS, "_GOOS"},
		} {
			if base, ok := strings.CutSuffix(name, s[0]); ok {
				c.do("", "@copy", path.Join(c.src.dir, f), path.Join(c.obj, base+s[1]+ext))
				break
			}
		}
	}
}
