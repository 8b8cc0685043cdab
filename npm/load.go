package npm

// From an app's files to its tree: read, check, and take out what isn't installed.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/mergefest/mergefest/graph"
)

// app is an app's tree with everything that planning needs.
type app struct {
	fsys      fs.FS
	dir       string // in fsys, "." for the top
	opt       Options
	lock      *lockfile
	manifests map[string]*document // of the root and of link targets, by location
	tree      *tree
	warnings  []string
	suspects  map[string]bool    // see evaluated
	nodeOf    map[graph.ID]*node // whose packages' nodes of the graph are
	scripts   ScriptPolicy
	allowance *allowance           // nil if there is none
	settings  map[string]*settings // of each of the project's packages, by location
	files     *inputs
	late      []binLink       // to commands of linked packages that aren't there, or not yet
	commands  map[string]bool // files of linked packages that links in .bin lead to, in fsys
	own       graph.ID        // what the project's own install scripts changed; zero if none run
}

// Load plans the app in o.Dir: its lockfile must be there. Problems are *Error, or Errors with all
// that were found; the context ends requests of o.Facts.
func Load(ctx context.Context, fsys fs.FS, o Options) (*Plan, error) {
	a, err := load(ctx, fsys, o)
	if err != nil {
		return nil, err
	}
	return a.plan()
}

func load(ctx context.Context, fsys fs.FS, o Options) (*app, error) {
	a := &app{fsys: fsys, dir: path.Clean(o.Dir), opt: o, manifests: map[string]*document{}}
	a.opt.Platform = o.Platform.withDefaults()
	a.settings = map[string]*settings{}
	a.commands = map[string]bool{}
	a.nodeOf = map[graph.ID]*node{}
	if err := o.Config.unsupported(); err != nil {
		return nil, err
	}
	omit, err := o.Config.omit(o.Omit, o.Include)
	if err != nil {
		return nil, err
	}
	if err := a.read(); err != nil {
		return nil, err
	}
	if err := a.readSettings(); err != nil {
		return nil, err
	}
	if err := a.checkDevEngines(); err != nil {
		return nil, err
	}
	t := a.tree
	t.link()
	if a.lock.old {
		a.suspects = a.suspect()
		if err := a.inflate(ctx); err != nil {
			return nil, err
		}
		t.link()
	}
	t.calcFlags()
	errs, absent := a.checkSync()
	errs = append(t.checkOverrides(a.manifests[""]), errs...)
	if errs == nil && len(absent) > 0 {
		errs = a.checkAbsent(ctx, absent)
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	t.prune()
	errs, warnings := t.checkPlatform(a.opt.Platform, o.Config.platform(a.opt.Platform), omit, o.Config, a.lock.doc)
	if errs != nil {
		return nil, errs.err()
	}
	a.warnings = append(a.warnings, warnings...)
	for _, n := range t.ordered() {
		if n != t.root && t.omitted(n, omit) {
			n.inert = true
		}
	}
	for _, n := range t.ordered() {
		if n.inert && n.parent != nil {
			t.remove(n)
		}
	}
	t.link()
	return a, nil
}

// read loads the files of the app into a.lock, a.manifests and a.tree.
func (a *app) read() error {
	name, err := Detect(a.fsys, a.dir)
	if err != nil {
		return err
	}
	file := path.Join(a.dir, name)
	if name == "" {
		return &Error{Reason: NoLockfile, File: path.Join(a.dir, "package.json"), Msg: "there is no package-lock.json or npm-shrinkwrap.json beside it",
			Advice: "run npm install --package-lock-only and commit the file"}
	}
	pkg, err := readManifest(a.fsys, a.dir)
	if err != nil {
		return err
	}
	if pkg == nil {
		return &Error{Reason: OutOfSync, File: file, Msg: "there is no package.json beside the lockfile",
			Advice: "put both files there"}
	}
	a.manifests[""] = pkg
	data, err := fs.ReadFile(a.fsys, file)
	if err != nil {
		return &Error{Reason: Malformed, File: file, Err: err, Msg: "cannot read the file"}
	}
	if a.lock, err = parseLock(file, data, pkg.top); err != nil {
		return err
	}
	workspaces, err := findWorkspaces(a.fsys, a.dir, pkg)
	if err != nil {
		return err
	}
	if err := a.readTargets(); err != nil {
		return err
	}
	legacy := a.opt.Config.is("legacy-peer-deps")
	if a.tree, err = buildTree(a.lock, a.manifests, workspaces, treeOptions{legacyPeerDeps: legacy, installLinks: a.opt.Config.is("install-links")}); err != nil {
		return err
	}
	a.tree.root.overrides, err = parseOverrides(pkg)
	return err
}

// readSettings reads what the project's packages say of scripts.
func (a *app) readSettings() error {
	var errs Errors
	for _, loc := range sortedKeys(a.manifests) {
		s, bad := readSettings(a.manifests[loc])
		errs = append(errs, bad...)
		a.settings[loc] = s
	}
	a.scripts = a.opt.Scripts.or(a.settings[""].policy)
	if s, ok := a.opt.Config.get("ignore-scripts"); ok && s.on() && !a.scripts.says() {
		a.scripts.None, a.scripts.source = true, s.source+": ignore-scripts"
	}
	a.readAllowance()
	return errs.err()
}

// readTargets reads the package.json of every directory that the lockfile links to: its own copy
// may be out of date, as npm knows too.
func (a *app) readTargets() error {
	var errs Errors
	for _, loc := range sortedKeys(a.lock.entries) {
		e := a.lock.entries[loc]
		target := path.Clean(str(e, "resolved"))
		if !truthy(e["link"]) || strings.Contains("/"+target+"/", "/node_modules/") || target == "." || a.manifests[target] != nil {
			continue
		}
		dir := path.Join(a.dir, target)
		if !fs.ValidPath(dir) {
			a.warnings = append(a.warnings, fmt.Sprintf("%s lies outside the project, so its package.json isn't read: what the lockfile says of it counts", target))
			continue
		}
		doc, err := readManifest(a.fsys, dir)
		var e2 *Error
		switch {
		case errors.As(err, &e2):
			errs = append(errs, e2)
		case err != nil:
			return err
		case doc != nil:
			a.manifests[target] = doc
		}
	}
	return errs.err()
}

// inflate asks for the manifests that an old lockfile lacks. What can't be had is left as it is
// only for packages that travel in another's tarball, which no registry may know.
func (a *app) inflate(ctx context.Context) error {
	t := a.tree
	t.assignBundles()
	var errs Errors
	src := newSources(a.opt.Config, a.lock, true)
	for _, n := range t.ordered() {
		if n.isLink() || !strings.HasPrefix(n.loc, "node_modules/") || n.version() == "" {
			continue
		}
		if k := parseSpec(n.resolved, "").kind; k == specGit || k == specFile {
			continue // no registry knows it; planning refuses it
		}
		if a.opt.Facts == nil {
			return &Error{Reason: NeedsNetwork, File: a.lock.doc.file,
				Msg:    "a lockfile of version 1 doesn't say which commands, engines and peers packages have",
				Advice: "run npm install --package-lock-only --lockfile-version 3, or let planning ask the registry"}
		}
		if err := a.inflateOne(ctx, src, n); err != nil {
			var missing *NotFoundError
			switch {
			case t.inDepBundle(n) || truthy(n.pkg["inBundle"]):
			case errors.As(err, &missing):
				a.warnings = append(a.warnings, fmt.Sprintf("%s: %v; it is taken as the lockfile describes it", n.id(), missing))
			default:
				errs = append(errs, err)
			}
		}
	}
	return errs.err()
}

func (a *app) inflateOne(ctx context.Context, src *sources, n *node) *Error {
	q, err := a.query(src, n.packageName())
	if err != nil {
		return asError(err)
	}
	q.Version = n.version()
	data, err := a.opt.Facts.Manifest(ctx, q)
	if err != nil {
		return a.lock.doc.errorIn(&Error{Reason: NoManifest, Package: n.id(), Err: err, Msg: "cannot get its manifest",
			Advice: "run npm install --package-lock-only --lockfile-version 3"}, "packages", n.loc)
	}
	doc, err := parseJSON(n.id()+"/package.json", data)
	if err != nil {
		return asError(err)
	}
	pkg := doc.top
	// What is downloaded and checked stays what the lockfile says.
	pkg["name"], pkg["version"] = q.Name, q.Version
	delete(pkg, "_integrity")
	delete(pkg, "devDependencies")
	normalize(pkg)
	n.pkg = pkg
	n.shrinkwrap = n.shrinkwrap || truthy(pkg["_hasShrinkwrap"])
	return nil
}

// query says how the registry is asked for a package.
func (a *app) query(src *sources, name string) (q ManifestQuery, err error) {
	q.Name = name
	if q.Registry, err = a.opt.Config.registry(name); err != nil {
		return q, err
	}
	if q.Registry == "" {
		q.Registry = src.fallback
	}
	_, q.Authorization, err = a.opt.Config.authorization(q.Registry, "")
	return q, err
}

// assignBundles notes in the packages of a version 1 lockfile what they bundle.
func (t *tree) assignBundles() {
	for _, n := range t.ordered() {
		if n.parent == nil || n.isLink() || !truthy(n.pkg["inBundle"]) || truthy(n.parent.pkg["inBundle"]) || n.parent.edge(n.name) == nil {
			continue
		}
		list, _ := n.parent.pkg["bundleDependencies"].([]any)
		n.parent.pkg["bundleDependencies"] = append(list, n.name)
	}
}

// checkOverrides refuses an override of what the app asks for itself, as npm does.
func (t *tree) checkOverrides(doc *document) Errors {
	var errs Errors
	for _, e := range t.root.edges {
		if got := t.spec(e); got != e.raw {
			errs = append(errs, doc.errorIn(&Error{Reason: OutOfSync, Package: e.name,
				Msg:    fmt.Sprintf("the override to %s conflicts with the direct dependency on %s@%s", got, e.name, e.raw),
				Advice: "give both the same range, or write \"$" + e.name + "\" as the override"}, "overrides"))
		}
	}
	return errs
}
