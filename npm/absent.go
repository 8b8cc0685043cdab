package npm

// Optional dependencies that the lockfile lacks altogether.

import (
	"context"
	"fmt"
	"slices"
)

// absent lists optional dependencies of packages that aren't in the lockfile, as happens where it was
// made on another platform by an npm with a bug. npm ci asks the registry for each: it refuses the
// lockfile if there is such a package, and goes on without it if there is none (any more). So does this.
// If nobody can be asked it goes on, with a warning.
func (a *app) checkAbsent(ctx context.Context, absent []*edge) Errors {
	var errs Errors
	var unknown []string
	for _, e := range absent {
		s := a.tree.versions.spec(a.tree.spec(e), "")
		name := e.name
		if s.kind == specAlias {
			name, s = s.name, *s.sub
		}
		if s.kind != specRange && s.kind != specVersion {
			continue // where else than in a registry it would be is no question of the lockfile
		}
		versions, err := a.versions(ctx, name)
		if err != nil {
			unknown = append(unknown, fmt.Sprintf("%s (%v)", e.name, err))
			continue
		}
		var fit []string
		for _, v := range versions {
			if a.tree.versions.satisfies(v, s.value) {
				fit = append(fit, v)
			}
		}
		if len(fit) == 0 {
			continue
		}
		best := slices.MaxFunc(fit, func(v, w string) int {
			return parseVersion(v, mode{loose: true}).Compare(parseVersion(w, mode{loose: true}))
		})
		errs = append(errs, a.tree.outOfSync(e, fmt.Sprintf("Missing: %s@%s from lock file", e.name, best), a.lock.doc, a.manifests))
	}
	if unknown != nil {
		a.warnings = append(a.warnings, fmt.Sprintf("the lockfile lacks optional dependencies, and the registry doesn't say whether they exist: %s", joinSome(unknown)))
	}
	return errs
}

// joinSome lists the first few of many.
func joinSome(list []string) string {
	const most = 3
	text := ""
	for i, s := range list {
		if i == most {
			return fmt.Sprintf("%s and %d more", text, len(list)-most)
		}
		if i > 0 {
			text += ", "
		}
		text += s
	}
	return text
}

// versions asks the registry which versions of a package there are; none if it doesn't know the package.
func (a *app) versions(ctx context.Context, name string) ([]string, error) {
	if a.opt.Facts == nil {
		return nil, fmt.Errorf("it wasn't asked")
	}
	q, err := a.query(newSources(a.opt.Config, a.lock, true), name)
	if err != nil {
		return nil, err
	}
	return a.opt.Facts.Versions(ctx, q)
}
