package npm

// Which install scripts the project itself allows: npm's allowScripts of package.json, or allow-scripts
// of .npmrc where that says nothing.

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// allowance is npm's policy: entries that name packages by where they come from, never by what their
// own manifests claim. Reference: npm 11, its RFC 868.
type allowance struct {
	entries []allowEntry
	source  string // "package.json", ".npmrc"
}

type allowEntry struct {
	name  string // of a package of a registry; "" for others
	spec  spec   // which versions of it, or what it is instead
	allow bool
}

// verdict is what a policy says of a package.
type verdict int

const (
	unreviewed verdict = iota // nothing: it may run, unless strict-allow-scripts is set
	allowed
	denied
)

// readAllowance reads the policy. Entries that npm ignores are remarked on, as there.
func (a *app) readAllowance() {
	if a.opt.Config.is("dangerously-allow-all-scripts") {
		return
	}
	p := &allowance{source: a.manifests[""].file}
	o := obj(a.manifests[""].top, "allowScripts")
	for _, key := range sortedKeys(o) {
		if value, ok := o[key].(bool); ok {
			a.addAllowed(p, key, value)
		}
	}
	if len(p.entries) == 0 {
		s, _ := a.opt.Config.get("allow-scripts")
		p.source = s.source
		for _, keys := range a.opt.Config.list("allow-scripts") {
			for key := range strings.SplitSeq(keys, ",") {
				if key = strings.TrimSpace(key); key != "" {
					a.addAllowed(p, key, true)
				}
			}
		}
	}
	if len(p.entries) > 0 {
		a.allowance = p
	}
}

func (a *app) addAllowed(p *allowance, key string, value bool) {
	e, why := parseAllowed(key)
	if why != "" {
		a.warnings = append(a.warnings, fmt.Sprintf("%s: the entry %q for allowScripts is ignored: %s", p.source, key, why))
		return
	}
	e.allow = value
	p.entries = append(p.entries, e)
}

// parseAllowed reads the name of an entry: "name", "name@1.0.0 || 1.0.1", a git reference, a path or a
// URL. why says what is wrong with it.
func parseAllowed(key string) (e allowEntry, why string) {
	s := parseSpec(key, "")
	name, want := key, "*"
	if at := strings.Index(key[min(1, len(key)):], "@"); at >= 0 {
		name, want = key[:at+1], key[at+2:]
	}
	if !validName(name) {
		switch s.kind {
		case specGit, specFile, specDirectory, specRemote:
			return allowEntry{spec: s}, ""
		}
		return e, "it names no package"
	}
	s = parseSpec(want, "")
	switch s.kind {
	case specVersion, specGit, specFile, specDirectory, specRemote:
	case specRange:
		if s.value != "*" && !exactVersions(s.value) {
			return e, `ranges aren't allowed; write exact versions, joined by "||"`
		}
	default:
		return e, "write exact versions, or the name alone"
	}
	if !s.registry() {
		name = ""
	}
	return allowEntry{name: name, spec: s}, ""
}

// exactVersions reports whether a range is nothing but versions.
func exactVersions(r string) bool {
	for v := range strings.SplitSeq(r, "||") {
		if parseVersion(strings.TrimSpace(v), mode{}) == nil {
			return false
		}
	}
	return true
}

// verdict looks a package up. A denial wins over what allows it.
func (p *allowance) verdict(t *tree, n *node) verdict {
	if p == nil || t.bundler(n) != nil {
		return unreviewed
	}
	v := unreviewed
	for _, e := range p.entries {
		switch {
		case !e.matches(t, n):
		case !e.allow:
			return denied
		default:
			v = allowed
		}
	}
	return v
}

func (e *allowEntry) matches(t *tree, n *node) bool {
	switch e.spec.kind {
	case specGit:
		return e.matchesGit(n)
	case specFile, specDirectory:
		return n.link == e.spec.value && n.link != "" || strings.HasPrefix(n.resolved, "file:") && path.Clean(n.resolved[len("file:"):]) == e.spec.value
	case specRemote:
		return n.resolved == e.spec.value
	}
	if !t.fromRegistry(n) {
		return false
	}
	name, version := t.identity(n)
	switch {
	case name != e.name:
		return false
	case e.spec.kind == specRange && e.spec.value == "*":
		return true
	case version == "": // nobody vouches for it: it is denied, and not allowed
		return !e.allow
	}
	return t.versions.satisfies(version, e.spec.value)
}

func (e *allowEntry) matchesGit(n *node) bool {
	want, ok1 := parseGit(e.spec.value)
	have, ok2 := parseGit(n.resolved)
	if !ok1 || !ok2 || parseSpec(n.resolved, "").kind != specGit {
		return false
	}
	u, v := want.remote(), have.remote()
	return u != nil && v != nil && u.Host == v.Host && strings.TrimSuffix(u.Path, ".git") == strings.TrimSuffix(v.Path, ".git") &&
		(want.ref == "" || have.ref != "" && strings.HasPrefix(have.ref, want.ref))
}

// reTarball takes the package's name and the file out of the path of a registry's tarball.
var reTarball = regexp.MustCompile(`/((?:@[^/]+/)?([^/]+))/-/(?:@[^/]+/)?([^/]+)\.tgz$`)

// identity is a registry's package as its URL names it, or without one the name that dependents ask
// for; the version is empty then.
func (t *tree) identity(n *node) (name, version string) {
	if u, err := url.Parse(n.resolved); err == nil {
		if m := reTarball.FindStringSubmatch(u.Path); m != nil {
			if v, ok := strings.CutPrefix(m[3], m[2]+"-"); ok {
				return m[1], v
			}
		}
	}
	for _, e := range n.in {
		switch s := t.versions.spec(t.spec(e), ""); {
		case s.kind == specAlias:
			return s.name, ""
		case s.registry():
			return e.name, ""
		}
	}
	return "", ""
}

// decide applies all policies to a package: what the project denies runs only if a flag names it.
func (a *app) decide(n *node) (run, network bool) {
	name := n.packageName()
	run, network = a.scripts.decide(name)
	if run && a.allowance.verdict(a.tree, n) == denied && !contains(a.opt.Scripts.Only, name) {
		return false, false
	}
	return run, network
}

// checkReviewed refuses scripts that nobody reviewed, where strict-allow-scripts asks for that.
func (a *app) checkReviewed() *Error {
	if !a.opt.Config.is("strict-allow-scripts") || a.opt.Config.is("dangerously-allow-all-scripts") {
		return nil
	}
	var names []string
	for _, n := range a.scripted() {
		if a.allowance.verdict(a.tree, n) != unreviewed {
			continue
		}
		if run, _ := a.decide(n); run && !contains(a.opt.Scripts.Only, n.packageName()) {
			names = append(names, n.id())
		}
	}
	if names == nil {
		return nil
	}
	return a.manifests[""].errorIn(&Error{Reason: UnreviewedScripts, Msg: "strict-allow-scripts is set, and allowScripts doesn't say whether these packages may run install scripts: " + strings.Join(names, ", "),
		Advice: `add them to "allowScripts" with true or false (npm install-scripts approve or deny)`}, "allowScripts")
}
