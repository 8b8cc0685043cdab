// The scenarios: in which state a build begins, and that all contestants build the same.

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/bench/internal/measure"
)

// edit is a kind of change to a project.
type edit string

const (
	noEdit      edit = ""
	commentEdit edit = "comment" // a comment at the end of a widely imported package
	bodyEdit    edit = "body"    // a function body of a widely imported package
	apiEdit     edit = "api"     // a new exported function in a widely imported package
	bumpEdit    edit = "bump"    // another version of a dependency
)

// scenario is one line of the comparison.
type scenario struct {
	name  string
	title string
	cold  bool
	edit  edit
}

func scenarios() []scenario {
	return []scenario{
		{"cold", "cold build", true, noEdit},
		{"nochange", "no change", false, noEdit},
		{"comment", "comment edit in a widely imported package", false, commentEdit},
		{"body", "body edit in a widely imported package", false, bodyEdit},
		{"api", "exported function added to a widely imported package", false, apiEdit},
		{"bump", "dependency bump", false, bumpEdit},
	}
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// team is a contestant with its own copy of the project and its own caches.
type team struct {
	name string
	src  string // its copy of the project
	out  string // its outputs
	// reset drops all caches and stops daemons that the build starts on demand.
	reset func(context.Context) error
	// build builds src to out.
	build     func(context.Context) error
	daemons   func() []int
	inProcess bool
}

// compareAll runs the scenarios.
func compareAll(ctx context.Context, c *config, p project, teams []*team, book *measure.Book) error {
	sums := map[string]string{}
	for _, sc := range scenarios() {
		if !slices.Contains(c.scenarios, sc.name) {
			continue
		}
		if !p.supports(sc.edit) {
			fmt.Fprintf(os.Stderr, "%s: left out, the project has nothing to change in this way\n", sc.name)
			continue
		}
		var cs []measure.Contestant
		for _, t := range teams {
			cs = append(cs, contestant(sc, p, t, sums))
		}
		rounds, warmup := c.rounds, 1
		if sc.cold {
			rounds, warmup = c.coldRounds, 0
		}
		res, err := measure.Compare(ctx, sc.title, measure.Options{Rounds: rounds, Warmup: warmup, Log: os.Stderr}, cs...)
		if err != nil {
			return err
		}
		book.Add(res)
	}
	return nil
}

// contestant prepares a team for one scenario. sums holds the outputs of whoever came first.
func contestant(sc scenario, p project, t *team, sums map[string]string) measure.Contestant {
	return measure.Contestant{
		Name: t.name,
		Prepare: func(ctx context.Context, round int) error {
			if sc.cold {
				if err := t.reset(ctx); err != nil {
					return err
				}
				return removeAll(t.out)
			}
			if err := t.ensure(ctx); err != nil {
				return err
			}
			if sc.edit == noEdit {
				return nil
			}
			return p.apply(t.src, sc.edit, round+2) // warm-up rounds are negative, version 0 is the original
		},
		Run: t.build,
		Check: func(_ context.Context, round int) error {
			got, err := sumTree(t.out)
			if err != nil {
				return err
			}
			key := fmt.Sprint(sc.name, round)
			if want, ok := sums[key]; !ok {
				sums[key] = got
			} else if got != want {
				return fmt.Errorf("outputs differ from those of the first contestant:\n%s\ninstead of\n%s", got, want)
			}
			if prev, ok := sums[fmt.Sprint(sc.name, round-1)]; ok && prev == got && sc.edit != noEdit && sc.edit != commentEdit {
				return fmt.Errorf("the edit did not change the output: it measures nothing")
			}
			return nil
		},
		Daemons:   t.daemons,
		InProcess: t.inProcess,
	}
}

// sumTree lists the files below dir with their digests; none is an error.
func sumTree(dir string) (string, error) {
	var lines []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		lines = append(lines, fmt.Sprintf("%x  %s", h.Sum(nil), rel))
		return err
	})
	if err == nil && len(lines) == 0 {
		err = fmt.Errorf("%s: no outputs", dir)
	}
	return strings.Join(lines, "\n"), err
}

// removeAll removes a tree that may have read-only directories, as module caches have.
func removeAll(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return nil // what is missing needs no removal
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
