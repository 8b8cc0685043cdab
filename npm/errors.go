package npm

// What can be wrong with a project: one error type, and a list of all that were found.

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Reason says what kind of problem an Error is, for callers that decide by it.
type Reason string

// The reasons.
const (
	NoLockfile         Reason = "no-lockfile"         // no package-lock.json or npm-shrinkwrap.json
	Syntax             Reason = "syntax"              // not JSON, truncated, or merge conflict markers
	Malformed          Reason = "malformed"           // JSON, but not what the format asks for
	UnsupportedVersion Reason = "unsupported-version" // a lockfileVersion that isn't known
	OutOfSync          Reason = "out-of-sync"         // lockfile and package.json disagree
	MissingIntegrity   Reason = "missing-integrity"   // nothing to check the download against
	WeakIntegrity      Reason = "unusable-integrity"  // no digest of an algorithm that is known
	NoRegistry         Reason = "no-registry"         // nobody says where packages come from
	WrongPlatform      Reason = "wrong-platform"      // a package that is needed refuses the platform
	UnsafePath         Reason = "unsafe-path"         // a location or target outside the app
	GitDependency      Reason = "git-dependency"      // needs git and a build on the way
	LocalPackage       Reason = "local-package"       // a local directory or tarball to be packed
	UnreviewedScripts  Reason = "unreviewed-scripts"  // strict-allow-scripts, and nobody said whether they may run
	BadConfig          Reason = "bad-config"          // .npmrc
	NoManifest         Reason = "no-manifest"         // metadata that only the registry has
	CaseCollision      Reason = "case-collision"      // two packages in one place, but for case
	CredentialsInURL   Reason = "credentials-in-url"  // a password where it would be copied around
	NoRuntime          Reason = "no-runtime"          // scripts are to run, but there is no Node.js
	NeedsNetwork       Reason = "needs-network"       // planning would have to ask the registry
	BadDeclaration     Reason = "bad-declaration"     // the object "mergefest" of a package.json
	NoScript           Reason = "no-script"           // a script or workspace that was asked for isn't there
	NoOutputs          Reason = "no-outputs"          // nobody says what a script leaves
	WrongNode          Reason = "wrong-node"          // engine-strict, and another Node.js than asked for
	ScriptCycle        Reason = "script-cycle"        // scripts that wait for each other
)

// Error is one problem, with its place and what to do about it.
type Error struct {
	Reason  Reason
	File    string // relative to the project, with forward slashes
	Line    int    // from 1; 0 if the problem has no line
	Col     int    // in bytes, from 1
	Package string // "lodash@4.17.21", "node_modules/a"; empty if it is about no package
	Msg     string
	Advice  string // what to do, as a sentence without the final stop
	Err     error  // the cause, if it is another error
}

// Error formats the problem as "file:line:col: package: message; advice".
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Col)
		}
		b.WriteString(": ")
	}
	if e.Package != "" {
		b.WriteString(e.Package + ": ")
	}
	b.WriteString(e.Msg)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Errors is everything that was found wrong, by file and line.
type Errors []*Error

// Error has one line for each problem.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As and errors.Is see every problem.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// err is nil for an empty list, so that it can be returned as an error. It sorts by file and line.
func (es Errors) err() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return es
}
