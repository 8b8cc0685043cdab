package npm

// Packages that have to be packed first: directories of the project, and those that come from git.

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

//go:embed pack.cjs
var packer string

// Paths in the container of a node that packs.
const (
	packFile = "/mergefest-pack.cjs"
	packJob  = "/mergefest-pack.json"
	packDir  = action.InDir + "/package"
	packed   = "/tmp/package.tgz"
)

// packInput is what pack.cjs reads.
type packInput struct {
	Dir      string       `json:"dir"`
	To       string       `json:"to"`
	ID       string       `json:"id"`
	Scripts  bool         `json:"scripts,omitempty"`
	Git      bool         `json:"git,omitempty"`
	Archive  bool         `json:"archive,omitempty"`
	Allow    string       `json:"allow,omitempty"`
	Prepare  bool         `json:"prepare,omitempty"`
	Resolved string       `json:"resolved,omitempty"`
	Config   []npmSetting `json:"config,omitempty"`
	Shell    string       `json:"shell,omitempty"`
}

// gitSource finds the commit of a package that comes from git.
func (s *sources) gitSource(n *node, out *source) *Error {
	g, ok := parseGit(n.resolved)
	var u = g.remote()
	if !ok || u == nil {
		return &Error{Reason: Malformed, Package: n.id(), Msg: "its reference to git can't be read: " + redact(n.resolved),
			Advice: "remove its entry and run npm install"}
	}
	_, password := u.User.Password()
	switch {
	case s.old:
		return oldSource(GitDependency, n, "comes from git")
	case password || u.User != nil && u.Scheme != "ssh":
		return &Error{Reason: CredentialsInURL, Package: n.id(), Msg: "its URL in the lockfile has a user name or a password: " + u.Redacted(),
			Advice: "take it out of the URL, and set the environment variable GIT_AUTH_TOKEN." + u.Host}
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "git" && u.Scheme != "ssh":
		return &Error{Reason: GitDependency, Package: n.id(), Msg: "comes from git by " + u.Scheme + ", which an engine can't read: " + u.Redacted(),
			Advice: "use a repository with an https or ssh URL"}
	case !reCommit.MatchString(g.ref):
		return &Error{Reason: GitDependency, Package: n.id(), Msg: "comes from git, but the lockfile has no commit for it",
			Advice: "remove its entry and run npm install"}
	}
	u.RawQuery, u.Fragment = "", ""
	// The archive that npm would take from a public host has no submodules.
	out.git = &graph.Git{URL: u.String(), Commit: g.ref, Submodules: g.host == ""}
	out.gitPath = g.path
	out.unverified = true // the commit's hash was checked, and what is packed of it has no other
	return nil
}

// oldSource refuses what no registry knows: npm can't complete such an entry of an old lockfile either.
func oldSource(reason Reason, n *node, what string) *Error {
	return &Error{Reason: reason, Package: n.id(), Msg: what + ", and a lockfile of version 1 doesn't say what its manifest has",
		Advice: "run npm install --package-lock-only --lockfile-version 3"}
}

// pack makes the nodes of a package that has to be packed: what brings its files, and what packs
// them with npm's own rules and unpacks the result at its places. Node.js does the first.
func (a *app) pack(f *tarball) ([]graph.Node, error) {
	rt := a.opt.Runtime
	from, err := a.packedFrom(f)
	if err != nil {
		return nil, err
	}
	n := f.places[0].node
	in := a.packInput(f)
	job, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.id(), err)
	}
	run, err := f.unpackRun(packed)
	if err != nil {
		return nil, err
	}
	run.Base = &graph.Input{From: rt.Node.ID}
	run.Mounts = []graph.Input{{From: from.ID, Path: f.src.gitPath, Target: packDir}}
	if in.Prepare {
		run.Mounts = []graph.Input{{From: from.ID, Target: prepareDir, Writable: true}}
		run.Network, run.Secrets = true, f.src.prepare.secrets
	}
	run.Files = append(run.Files, action.File{Path: packFile, Text: packer}, action.File{Path: packJob, Text: string(job)})
	task := &run.Tasks[0]
	task.Name = "pack " + f.name + "@" + f.version
	task.Commands = append([]action.Command{{
		Args: []string{"node", packFile, packJob}, Env: []string{"HOME=/root", "LANG=C.UTF-8", "PATH=" + rt.path(), "TMPDIR=/tmp"},
	}}, task.Commands...)
	if in.Prepare {
		task.Commands[0].Env = append(task.Commands[0].Env, a.opt.Config.scriptEnv()...)
	}
	useNetwork(run)
	variant, err := digest([]any{run, rt.Platform})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.id(), err)
	}
	id := graph.ID{Ecosystem: "npm", Kind: "pack", Package: f.name, Version: f.version, Variant: variant}
	return []graph.Node{rt.Node, from, {ID: id, Platform: rt.Platform, Action: run}}, nil
}

// packInput says what is packed, and how.
func (a *app) packInput(f *tarball) packInput {
	n := f.places[0].node
	in := packInput{Dir: packDir, To: packed, ID: f.name + "@" + f.version}
	in.Scripts, _ = a.decide(n)
	if f.src.git == nil {
		return in
	}
	in.Git, in.Archive = true, !f.src.git.Submodules
	if p := f.src.prepare; p != nil {
		in.Prepare, in.Resolved, in.Config = true, n.resolved, p.config
		in.Dir, in.Shell = path.Join(prepareDir, f.src.gitPath), a.opt.Config.shell()
	} else if flag := a.scripts.NetworkFlag; in.Scripts && flag != "" {
		in.Allow = flag + " " + n.packageName()
	}
	return in
}

// packedFrom makes the node with the files that are to be packed.
func (a *app) packedFrom(f *tarball) (graph.Node, error) {
	if g := f.src.git; g != nil {
		variant, err := digest(g)
		return graph.Node{ID: graph.ID{Ecosystem: "npm", Kind: "git", Package: f.name, Version: f.version, Variant: variant}, Action: g}, err
	}
	local := &graph.Local{}
	err := fs.WalkDir(a.fsys, f.src.dir, func(p string, d fs.DirEntry, err error) error {
		rel := strings.TrimPrefix(p, f.src.dir+"/")
		switch {
		case err != nil:
			return err
		case d.IsDir() && (rel == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir // npm never packs them
		case d.Type().IsRegular():
			local.Files = append(local.Files, graph.LocalFile{Path: rel, Source: p})
		}
		return nil
	})
	return graph.Node{ID: graph.ID{Ecosystem: "npm", Kind: "local", Package: f.src.dir}, Action: local}, err
}

// projectDir is the path in the project of a directory that the lockfile names relative to the app.
func (a *app) projectDir(n *node, dir string) (string, *Error) {
	p := path.Join(a.dir, dir)
	if path.IsAbs(dir) || !fs.ValidPath(p) || p == "." {
		return "", outsideProject(n, "its directory "+dir)
	}
	doc, err := readManifest(a.fsys, p)
	if err != nil {
		return "", asError(err)
	}
	if doc == nil {
		return "", &Error{Reason: LocalPackage, Package: n.id(), Msg: "there is no " + path.Join(p, "package.json"),
			Advice: "restore it, or run npm install without the dependency"}
	}
	run, _ := a.decide(n)
	switch {
	case run && str(obj(doc.top, "scripts"), "prepare") != "":
		return "", doc.errorIn(&Error{Reason: LocalPackage, Package: n.id(), Msg: "npm runs its script prepare before it packs it",
			Advice: "link the directory (install-links=false), or leave its scripts out"}, "scripts", "prepare")
	case len(bundles(doc.top)) > 0:
		return "", doc.errorIn(&Error{Reason: LocalPackage, Package: n.id(), Msg: "it bundles dependencies, which the lockfile doesn't have",
			Advice: "link the directory (install-links=false)"}, "bundleDependencies")
	}
	return p, nil
}
