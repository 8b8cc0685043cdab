package npm

// Dependencies from git: what package.json asks for, and what the lockfile records.

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// gitSpec is a parsed reference to a repository.
type gitSpec struct {
	host string // of a public host that npm knows, "" for others
	repo string // there: the owner and the name, "me/lib"
	url  string // of the repository, without "git+" and fragment; "" for a short form
	ref  string // branch, tag or commit; "" is the default branch
	rng  string // of versions, in place of a ref
	path string // of the package in the repository
}

// gitHosts are the public hosts that npm knows, by the names of their short forms.
var gitHosts = map[string]string{
	"github": "github.com", "gitlab": "gitlab.com", "bitbucket": "bitbucket.org", "gist": "gist.github.com", "sourcehut": "git.sr.ht",
}

var (
	reCommit = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
	rePort   = regexp.MustCompile(`^[0-9]+(?:/|$)`)
)

// parseGit reads a reference. It accepts what parseSpec takes for one.
func parseGit(raw string) (gitSpec, bool) {
	raw = strings.TrimSpace(raw)
	body, fragment, _ := strings.Cut(raw, "#")
	var g gitSpec
	if !g.setFragment(fragment) {
		return g, false
	}
	if kind, rest, ok := strings.Cut(body, ":"); ok && gitHosts[strings.ToLower(kind)] != "" {
		g.host, g.repo = gitHosts[strings.ToLower(kind)], trimRepo(rest)
		return g, g.repo != ""
	}
	if reUserRepo.MatchString(body) {
		g.host, g.repo = gitHosts["github"], trimRepo(body)
		return g, true
	}
	g.url = strings.TrimPrefix(body, "git+")
	u := parseRemote(g.url)
	if u == nil {
		return g, false
	}
	host := strings.TrimPrefix(strings.ToLower(u.Hostname()), "www.")
	for _, known := range gitHosts {
		if host == known && u.Port() == "" {
			g.host, g.repo = known, trimRepo(strings.TrimPrefix(u.Path, "/"))
			if repo, branch, ok := strings.Cut(g.repo, "/tree/"); ok && g.ref == "" {
				g.repo, g.ref = repo, branch
			}
		}
	}
	return g, true
}

func trimRepo(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, "/"), ".git") }

// parseRemote reads the URL of a repository, also in the form of scp, "git@host:path", which npm
// writes as "ssh://git@host:path" too. It returns nil for what it can't read.
func parseRemote(remote string) *url.URL {
	rest, isSSH := strings.CutPrefix(remote, "ssh://")
	if isSSH || reScpGit.MatchString(remote) {
		host, p, ok := strings.Cut(rest, ":")
		if ok && !strings.Contains(host, "/") && !rePort.MatchString(p) {
			user, name, has := strings.Cut(host, "@")
			out := &url.URL{Scheme: "ssh", Host: host, Path: path.Join("/", p)}
			if has {
				out.User, out.Host = url.User(user), name
			}
			return out
		}
	}
	u, err := url.Parse(remote)
	if err != nil || u.Scheme != "file" && u.Host == "" {
		return nil
	}
	return u
}

// setFragment reads what follows the "#": "ref", "semver:^1.0.0", "path:sub", joined with "::".
func (g *gitSpec) setFragment(s string) bool {
	if s == "" {
		return true
	}
	for part := range strings.SplitSeq(s, "::") {
		key, value, ok := strings.Cut(part, ":")
		switch {
		case !ok && g.ref == "" && g.rng == "":
			g.ref = part
		case ok && key == "semver" && g.ref == "" && g.rng == "":
			rng, err := url.PathUnescape(value)
			if err != nil {
				return false
			}
			g.rng = rng
		case ok && key == "path" && g.path == "":
			g.path = path.Join("/", value)[1:]
		case !ok || key == "semver" || key == "path":
			return false // npm refuses it, too
		}
	}
	return true
}

// remote is where the repository is read from. What a public host has is read by https, also where
// the lockfile says ssh: that is what npm tries first.
func (g gitSpec) remote() *url.URL {
	switch {
	case g.host == "":
		return parseRemote(g.url)
	case g.host == gitHosts["sourcehut"]:
		return &url.URL{Scheme: "https", Host: g.host, Path: "/" + g.repo}
	}
	return &url.URL{Scheme: "https", Host: g.host, Path: "/" + g.repo + ".git"}
}

// satisfiedBy reports whether a locked reference is the repository that g asks for, at the commit
// or version that it asks for. locked is what the lockfile says that was asked for when it was made,
// "" if it doesn't: of a branch or tag only that tells whether it still is the one.
func (g gitSpec) satisfiedBy(t *tree, resolved, version, locked string) bool {
	r, ok := parseGit(resolved)
	if !ok || r.remote().String() != g.remote().String() {
		return false
	}
	switch {
	case g.rng != "":
		return t.versions.satisfies(version, g.rng)
	case reCommit.MatchString(strings.ToLower(g.ref)):
		return strings.EqualFold(g.ref, r.ref) || r.host == ""
	}
	if was, ok := parseGit(locked); ok && locked != "" && was.ref != g.ref {
		return false
	}
	return true
}
