// //go:debug lines. "go list" passes over those that "go build" refuses, and the default of GODEBUG
// that it answers lacks them.
package gobuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// checkGODEBUG lets the go command check the lines of programs: which settings there are, and were,
// depends on its version.
func checkGODEBUG(ctx context.Context, q Query, facts *Facts) error {
	var errs LoadErrors
	for _, path := range facts.Roots {
		p := facts.lookup(path)
		if p == nil || p.Name != "main" {
			continue
		}
		lines := debugLines(p)
		if len(lines) == 0 {
			continue
		}
		found, err := askGODEBUG(ctx, q, p, lines)
		if err != nil {
			return err
		}
		errs = append(errs, found...)
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// debugLine is a //go:debug comment before the package clause.
type debugLine struct{ text, pos string }

// debugLines lists those of a package in the order of its files. What can't be parsed is the
// compiler's to report.
func debugLines(p *Package) []debugLine {
	var out []debugLine
	for _, name := range p.GoFiles {
		data, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil || !bytes.Contains(data, []byte("//go:debug")) {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), data, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			continue
		}
		for _, group := range f.Comments {
			for _, c := range group.List {
				if c.Pos() < f.Package && isDebugLine(c.Text) {
					out = append(out, debugLine{c.Text, fset.Position(c.Pos()).String()})
				}
			}
		}
	}
	return out
}

// isDebugLine is as wide as the go command's reading: //go:debugger with an argument is one, too.
func isDebugLine(comment string) bool {
	rest, ok := strings.CutPrefix(comment, "//go:debug")
	return ok && (rest == "" || strings.ContainsAny(rest, " \t"))
}

// askGODEBUG runs "go build -n" on a program that has nothing but the lines.
func askGODEBUG(ctx context.Context, q Query, p *Package, lines []debugLine) (LoadErrors, error) {
	tmp, err := os.MkdirTemp("", "mergefest-godebug-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.text + "\n")
	}
	text.WriteString("\npackage main\n\nfunc main() {}\n")
	main := filepath.Join(tmp, "main.go")
	if err := os.WriteFile(main, []byte(text.String()), 0o600); err != nil {
		return nil, err
	}
	_, _, err = runGo(ctx, q.Dir, q.Env, "build", "-n", "-buildvcs=false", "-pgo=off", "-o", filepath.Join(tmp, "program"), main)
	var ge *GoError
	if !errors.As(err, &ge) {
		return nil, err
	}
	errs := readGODEBUG(ge.Stderr, q.Dir, p.ImportPath, lines)
	if len(errs) == 0 { // it is about something else
		return nil, fmt.Errorf("checking the //go:debug lines of %s: %w", p.ImportPath, err)
	}
	return errs, nil
}

// madeUpName is a place in the program made up of the lines.
var madeUpName = regexp.MustCompile(`(?m)^(\t?)\S*main\.go:(\d+):\d+: (.*)$`)

// readGODEBUG turns the places in what the go command prints into those of the lines. An indented
// line belongs to the one before.
func readGODEBUG(stderr, dir, path string, lines []debugLine) LoadErrors {
	var errs LoadErrors
	for _, m := range madeUpName.FindAllStringSubmatch(stderr, -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil || n < 1 || n > len(lines) {
			continue
		}
		pos, msg := relativePos(dir, lines[n-1].pos), m[3]
		if m[1] == "" {
			errs = append(errs, &LoadError{Package: path, Pos: pos, Msg: msg})
		} else if len(errs) > 0 {
			errs[len(errs)-1].Msg += "\n\t" + pos + ": " + msg
		}
	}
	return errs
}
