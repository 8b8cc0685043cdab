// Per-package flags (-gcflags, -asmflags, -ldflags) and GOFLAGS, as cmd/go reads them.
package gobuild

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// splitQuoted splits into fields at white space, with single and double quotes around whole
// fields and no escapes, as cmd/internal/quoted does.
func splitQuoted(s string) ([]string, error) {
	var out []string
	for {
		s = strings.TrimLeft(s, " \t\n\r")
		if s == "" {
			return out, nil
		}
		if q := s[0]; q == '"' || q == '\'' {
			end := strings.IndexByte(s[1:], q)
			if end < 0 {
				return nil, usagef("unterminated %c string", q)
			}
			out, s = append(out, s[1:1+end]), s[end+2:]
			continue
		}
		end := strings.IndexAny(s, " \t\n\r")
		if end < 0 {
			return append(out, s), nil
		}
		out, s = append(out, s[:end]), s[end:]
	}
}

// perPackage is a flag with different values for different packages.
type perPackage struct {
	raw    string // the last value, as the build info records it
	values []perPackageValue
}

type perPackageValue struct {
	match func(p *Package, named bool) bool
	flags []string
}

// parsePerPackage reads the values of a flag in their order. dir is what relative patterns are
// relative to.
func parsePerPackage(name string, values []string, dir string) (perPackage, error) {
	var f perPackage
	for _, v := range values {
		f.raw = v
		v = strings.TrimSpace(v)
		match := func(_ *Package, named bool) bool { return named }
		if v != "" && v[0] != '-' {
			pattern, rest, ok := strings.Cut(v, "=")
			switch {
			case !ok:
				return f, usagef("invalid value %q for flag -%s: missing =<value> in <pattern>=<value>", f.raw, name)
			case pattern == "":
				return f, usagef("invalid value %q for flag -%s: missing <pattern> in <pattern>=<value>", f.raw, name)
			case v[0] == '\'' || v[0] == '"':
				return f, usagef("invalid value %q for flag -%s: parameter may not start with quote character %c", f.raw, name, v[0])
			}
			match, v = matchPackage(strings.TrimSpace(pattern), dir), rest
		}
		flags, err := splitQuoted(v)
		if err != nil {
			return f, usagef("invalid value %q for flag -%s: %v", f.raw, name, err)
		}
		f.values = append(f.values, perPackageValue{match, flags})
	}
	return f, nil
}

// forPackage gives the flags of p; named says that the user named it on the command line.
func (f *perPackage) forPackage(p *Package, named bool) []string {
	var flags []string
	for _, v := range f.values {
		if v.match(p, named) {
			flags = v.flags
		}
	}
	return flags
}

// matchPackage understands the patterns of a per-package flag.
func matchPackage(pattern, dir string) func(*Package, bool) bool {
	local := pattern == "." || pattern == ".." || strings.HasPrefix(pattern, "./") || strings.HasPrefix(pattern, "../")
	switch {
	case local:
		fixed, rest, dots := strings.Cut(pattern, "...")
		base := filepath.Join(dir, fixed)
		if !dots {
			return func(p *Package, _ bool) bool { return p.Dir == base }
		}
		match := wildcard("..." + rest)
		return func(p *Package, _ bool) bool {
			rel, err := filepath.Rel(base, p.Dir)
			if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
				return false
			}
			return rel == "." || match(filepath.ToSlash(rel))
		}
	case pattern == "all":
		return func(*Package, bool) bool { return true }
	case pattern == "std":
		return func(p *Package, _ bool) bool { return p.Standard }
	case pattern == "cmd":
		return func(p *Package, _ bool) bool { return p.Standard && strings.HasPrefix(p.ImportPath, "cmd/") }
	case pattern == "main":
		return func(p *Package, named bool) bool { return named && p.Name == "main" || p.ImportPath == "main" }
	}
	match := wildcard(pattern)
	return func(p *Package, _ bool) bool { return match(p.ImportPath) }
}

// wildcard matches import paths: "..." is any string, and "x/..." matches x too.
func wildcard(pattern string) func(string) bool {
	re := regexp.QuoteMeta(pattern)
	re = strings.ReplaceAll(re, `\.\.\.`, `.*`)
	if strings.HasSuffix(re, `/.*`) {
		re = strings.TrimSuffix(re, `/.*`) + `(/.*)?`
	}
	return regexp.MustCompile(`^` + re + `$`).MatchString
}

// mergeGOFLAGS puts the flags of GOFLAGS before those of f. The go command itself reports a flag
// that doesn't exist.
func (f *Flags) mergeGOFLAGS(goflags string) error {
	fields, err := splitQuoted(goflags)
	if err != nil {
		return usagef("GOFLAGS: %v", err)
	}
	env := Flags{}
	var bad UnsupportedList
	for _, field := range fields {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(field, "-"), "-"), "=")
		on, err := strconv.ParseBool(value)
		if !ok {
			value, on, err = "true", true, nil
		}
		if err == nil { // "1" and "T" are accepted too
			value = strconv.FormatBool(on)
		}
		if ignored(name, value, on) {
			bad = append(bad, &Unsupported{Feature: field + " in GOFLAGS", Hint: "take it out: go env GOFLAGS shows the flags"})
		}
		switch name {
		case "tags":
			env.Tags = splitTags(value)
		case "ldflags":
			env.LDFlags = append(env.LDFlags, value)
		case "gcflags":
			env.GCFlags = append(env.GCFlags, value)
		case "asmflags":
			env.ASMFlags = append(env.ASMFlags, value)
		case "mod":
			env.Mod = value
		case "modfile":
			env.ModFile = value
		case "pgo":
			env.PGO = value
		case "buildmode":
			env.BuildMode = value
		case "overlay":
			env.Overlay = value
		case "buildvcs":
			env.BuildVCS = value
		case "race":
			env.Race = on
		case "msan":
			env.MSan = on
		case "asan":
			env.ASan = on
		case "trimpath":
			env.Trimpath = value
		}
	}
	f.under(env)
	return bad.err()
}

// ignored tells the flags that would change the result of the go command, and for which there is
// no field of Flags.
func ignored(name, value string, on bool) bool {
	switch name {
	case "cover", "linkshared":
		return on
	case "covermode", "coverpkg", "toolexec":
		return value != ""
	case "compiler":
		return value != "gc"
	}
	return false
}

// under fills what f leaves open from env.
func (f *Flags) under(env Flags) {
	if f.Tags == nil {
		f.Tags = env.Tags
	}
	f.LDFlags = append(env.LDFlags, f.LDFlags...)
	f.GCFlags = append(env.GCFlags, f.GCFlags...)
	f.ASMFlags = append(env.ASMFlags, f.ASMFlags...)
	for _, s := range []struct {
		to   *string
		from string
	}{
		{&f.Mod, env.Mod}, {&f.ModFile, env.ModFile}, {&f.PGO, env.PGO}, {&f.BuildMode, env.BuildMode},
		{&f.Overlay, env.Overlay}, {&f.BuildVCS, env.BuildVCS}, {&f.Trimpath, env.Trimpath},
	} {
		if *s.to == "" {
			*s.to = s.from
		}
	}
	f.Race = f.Race || env.Race
	f.MSan = f.MSan || env.MSan
	f.ASan = f.ASan || env.ASan
}

// splitTags accepts both the comma-separated and the old space-separated form.
func splitTags(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// listFlags are those that change what "go list" answers. GOFLAGS reaches the go command by
// itself; what is repeated here comes later and wins.
func (f *Flags) listFlags() []string {
	var out []string
	if f.Tags != nil {
		out = append(out, "-tags="+strings.Join(f.Tags, ","))
	}
	if f.Mod != "" {
		out = append(out, "-mod="+f.Mod)
	}
	if f.ModFile != "" {
		out = append(out, "-modfile="+f.ModFile)
	}
	return out
}
