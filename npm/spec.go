package npm

// What a dependency asks for: the part after the name in package.json, in npm's grammar.

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// specKind is a kind of dependency specification.
type specKind string

const (
	specVersion   specKind = "version"   // "1.2.3"
	specRange     specKind = "range"     // "^1.2.3", "*"
	specTag       specKind = "tag"       // "latest"
	specAlias     specKind = "alias"     // "npm:lodash@^4"
	specFile      specKind = "file"      // "file:lib.tgz"
	specDirectory specKind = "directory" // "file:../lib"
	specRemote    specKind = "remote"    // "https://registry.example.com/lib.tgz"
	specGit       specKind = "git"       // "git+ssh://git@git.example.com/lib.git#v1"
	specInvalid   specKind = "invalid"   // none of these
)

// spec is a parsed specification.
type spec struct {
	kind specKind
	// value is the range or version, the tag, the URL, or the cleaned path of a file or directory.
	value string
	// name and sub are the target of an alias.
	name string
	sub  *spec
}

// registry reports whether the dependency is looked up by name in a registry.
func (s spec) registry() bool {
	switch s.kind {
	case specVersion, specRange, specTag, specAlias:
		return true
	}
	return false
}

var (
	reURL         = regexp.MustCompile(`^(?i:(?:git\+)?[a-z]+:)`)
	reGitURL      = regexp.MustCompile(`^(?i:git(\+[a-z]+)?:|ssh:)`)
	reScpGit      = regexp.MustCompile(`^[^@/]+@[^:.]+\.[^:]+:.+$`)
	reGitShortcut = regexp.MustCompile(`^(?i:github|gitlab|bitbucket|gist|sourcehut):[^/]`)
	reUserRepo    = regexp.MustCompile(`^[^@:/%\s.~][^@:/%\s]*/[^@:/\s%]+(#.*)?$`)
	reArchive     = regexp.MustCompile(`(?i)[.](?:tgz|tar\.gz|tar)$`)
	reLocalPath   = regexp.MustCompile(`^(?:[.]|~/|/|[a-zA-Z]:)`)
	reTag         = regexp.MustCompile(`^[A-Za-z0-9\-_.!~*'()]*$`)
)

// parseSpec reads a specification. dir is the directory, relative to the app, from which file:
// paths count; the result's paths are relative to the app too, unless they are absolute.
func parseSpec(raw, dir string) spec {
	raw = strings.TrimSpace(raw)
	lower := strings.ToLower(raw)
	switch {
	case strings.HasPrefix(lower, "file:") || reLocalPath.MatchString(raw):
		return localSpec(raw, dir)
	case strings.HasPrefix(lower, "npm:"):
		return aliasSpec(raw[len("npm:"):], dir)
	case strings.HasPrefix(lower, "workspace:"):
		return spec{kind: specInvalid, value: raw}
	case reGitURL.MatchString(raw) || reScpGit.MatchString(raw) || reGitShortcut.MatchString(raw) || reUserRepo.MatchString(raw):
		return spec{kind: specGit, value: raw}
	case reURL.MatchString(raw):
		return urlSpec(raw)
	case strings.Contains(raw, "/") || reArchive.MatchString(raw):
		return localSpec(raw, dir)
	}
	if parseVersion(raw, mode{loose: true}) != nil {
		return spec{kind: specVersion, value: raw}
	}
	if _, err := parseRange(raw, mode{loose: true}); err == nil {
		if raw == "" {
			raw = "*"
		}
		return spec{kind: specRange, value: raw}
	}
	if reTag.MatchString(raw) {
		return spec{kind: specTag, value: raw}
	}
	return spec{kind: specInvalid, value: raw}
}

// urlSpec tells a tarball's URL from the page of a repository at a public git host, which npm
// clones.
func urlSpec(raw string) spec {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return spec{kind: specInvalid, value: raw}
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	switch strings.TrimPrefix(u.Host, "www.") {
	case "github.com", "gitlab.com", "bitbucket.org":
		if len(parts) == 2 && !reArchive.MatchString(u.Path) || len(parts) > 2 && parts[2] == "tree" {
			return spec{kind: specGit, value: raw}
		}
	}
	return spec{kind: specRemote, value: raw}
}

func aliasSpec(rest, dir string) spec {
	name, want := rest, "*"
	if at := strings.Index(rest[min(1, len(rest)):], "@"); at >= 0 {
		name, want = rest[:at+1], rest[at+2:]
	}
	sub := parseSpec(want, dir)
	if !sub.registry() || sub.kind == specAlias || !validName(name) {
		return spec{kind: specInvalid, value: "npm:" + rest}
	}
	return spec{kind: specAlias, name: name, sub: &sub}
}

func localSpec(raw, dir string) spec {
	p := raw
	if len(p) >= 5 && strings.EqualFold(p[:5], "file:") {
		p = p[5:]
		if u, err := url.PathUnescape(p); err == nil {
			p = u
		}
		for strings.HasPrefix(p, "//") { // file:///path and the wrong but common file://path
			p = p[1:]
		}
		if strings.HasPrefix(p, "/./") || strings.HasPrefix(p, "/../") || p == "/.." || p == "/." {
			p = p[1:]
		}
	}
	kind := specDirectory
	if reArchive.MatchString(p) {
		kind = specFile
	}
	if !path.IsAbs(p) {
		p = path.Join(dir, p)
	}
	if p = path.Clean(p); p == "." {
		p = ""
	}
	return spec{kind: kind, value: p}
}

// validName reports whether npm takes s as a package's name (old packages may have capitals).
// It is also what keeps a name from leading out of node_modules.
func validName(s string) bool {
	if s == "" || len(s) > 214 || strings.TrimSpace(s) != s {
		return false
	}
	rest := s
	if strings.HasPrefix(s, "@") {
		scope, name, ok := strings.Cut(s[1:], "/")
		if !ok || !plainName(scope) {
			return false
		}
		rest = name
	}
	low := strings.ToLower(rest)
	return plainName(rest) && low != "node_modules" && low != "favicon.ico"
}

func plainName(s string) bool {
	if s == "" || s[0] == '.' || s[0] == '_' && len(s) == 1 {
		return false
	}
	for _, r := range s {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`/\@:%?#[]`, r) {
			return false
		}
	}
	return true
}
