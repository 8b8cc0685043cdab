// The scenarios: in which state an installation begins and ends, and that all trees are equal.

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/mergefest/mergefest/bench/internal/measure"
)

// scenario is one line of the comparison. k is a number that no other round of any scenario has.
type scenario struct {
	name, title   string
	cold, damage  bool
	deletes       bool // something in the tree has to go
	before, after func(k int) state
}

func scenarios() []scenario {
	plain := func(int) state { return state{leaf: 1} }
	leaf := func(k int) state { return state{leaf: k} }
	extra := func(k int) state { return state{leaf: 1, extra: fmt.Sprint(madeUp, "extra", k)} }
	both := func(k int) state { return state{leaf: k, extra: fmt.Sprint(madeUp, "extra", k)} }
	return []scenario{
		{name: "cold", title: "cold installation", cold: true, before: plain, after: plain},
		{name: "nochange", title: "no change", before: plain, after: plain},
		{name: "bump", title: "one dependency bumped", before: func(k int) state { return state{leaf: k - 1} }, after: leaf},
		{name: "add", title: "one dependency added", before: plain, after: extra},
		{name: "remove", title: "one dependency removed", deletes: true, before: both, after: leaf},
		{name: "edited", title: "somebody edited the tree", damage: true, before: plain, after: plain},
	}
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// team is a contestant with its own copy of the app and its own caches.
type team struct {
	name string
	src  string // its copy of the app
	tree string // the node_modules that it makes
	reg  *registry
	app  *app
	// reset drops the tree, all caches and the state of daemons.
	reset   func(context.Context) error
	discard func(paths ...string) error
	// write brings src into a state.
	write func(state) error
	// check looks at the tree; nil compares it with those of the others.
	check func(state) error
	// build installs what src wants.
	build   func(context.Context) error
	daemons func() []int
	// fresh says that it always makes the whole tree anew, so that it doesn't matter which one is
	// there; trusting that it doesn't notice edits; adding that it deletes nothing, so that its tree is
	// removed first where something has to go; coldOnly that it takes part in that scenario only, and
	// notCold that it doesn't.
	fresh, trusting, adding, coldOnly, notCold bool
	// done is the state that the tree is in; leaf is 0 if there is none.
	done state
}

// install brings the tree into a state.
func (t *team) install(ctx context.Context, s state) error {
	if t.done.leaf == 0 {
		if err := t.reset(ctx); err != nil {
			return err
		}
	}
	if t.adding {
		if err := t.discard(t.tree); err != nil {
			return err
		}
	}
	if err := t.write(s); err != nil {
		return err
	}
	if err := t.build(ctx); err != nil {
		return err
	}
	t.done = s
	return nil
}

// compareAll runs the scenarios.
func compareAll(ctx context.Context, c *config, teams []*team, book *measure.Book) error {
	sums := map[string][]byte{}
	for i, sc := range scenarios() {
		if !slices.Contains(c.scenarios, sc.name) {
			continue
		}
		var cs []measure.Contestant
		for _, t := range teams {
			if c.contestants.MatchString(t.name) && t.takesPart(sc) {
				cs = append(cs, contestant(sc, (i+1)*1000, t, sums))
			}
		}
		if len(cs) == 0 {
			continue
		}
		rounds := c.rounds
		if sc.cold {
			rounds = c.coldRounds
		}
		res, err := measure.Compare(ctx, sc.title, measure.Options{Rounds: rounds, Log: os.Stderr}, cs...)
		if err != nil {
			return err
		}
		book.Add(res)
	}
	return nil
}

func (t *team) takesPart(sc scenario) bool {
	return !(sc.cold && t.notCold || !sc.cold && t.coldOnly || sc.damage && t.trusting)
}

// contestant prepares a team for one scenario. sums holds the tree of whoever came first.
func contestant(sc scenario, base int, t *team, sums map[string][]byte) measure.Contestant {
	var after state
	return measure.Contestant{
		Name: t.name,
		Prepare: func(ctx context.Context, round int) error {
			before := sc.before(base + round)
			after = sc.after(base + round)
			switch {
			case sc.cold:
				if err := t.reset(ctx); err != nil {
					return err
				}
			case t.done.leaf == 0, t.done != before && !t.fresh:
				if err := t.install(ctx, before); err != nil {
					return err
				}
			}
			if sc.damage {
				if err := damage(t.tree); err != nil {
					return err
				}
			}
			return t.write(after)
		},
		Run: func(ctx context.Context) error {
			if sc.deletes && t.adding {
				if err := removeAll(t.tree); err != nil {
					return err
				}
			}
			return t.build(ctx)
		},
		Check: func(_ context.Context, round int) error {
			t.done = after
			if t.check != nil {
				return t.check(after)
			}
			got, err := listTree(t.tree)
			if err != nil {
				return err
			}
			key := fmt.Sprint(after)
			if want, ok := sums[key]; !ok {
				sums[key] = got
			} else if !bytes.Equal(got, want) {
				return fmt.Errorf("the tree isn't that of the first contestant: %s", firstDifference(got, want))
			}
			return nil
		},
		Daemons: t.daemons,
	}
}

// damage changes one file of a tree and removes another one. It adds none: mergefest leaves files of
// others alone, where npm ci removes the whole directory.
func damage(tree string) error {
	dir := filepath.Join(tree, madeUp+"leaf", "lib")
	for _, name := range []string{"m0.js", "m1.js"} { // a copy: what is there may share its file with a cache
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "m0.js"), []byte("edited\n"), 0o644)
}

// listTree lists what is below dir, a line each: mode, digest or target, path.
func listTree(dir string) ([]byte, error) {
	var out bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var what string
		switch {
		case d.IsDir():
		case info.Mode()&fs.ModeSymlink != 0:
			what, err = os.Readlink(path)
		default:
			what, err = sumFile(path)
		}
		rel, _ := filepath.Rel(dir, path)
		mode := info.Mode().String()
		if info.Mode()&fs.ModeSymlink != 0 {
			mode = "link"
		}
		fmt.Fprintf(&out, "%s %s %s\n", mode, what, rel)
		return err
	})
	return out.Bytes(), err
}

func sumFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// firstDifference shows the first line in which two listings differ.
func firstDifference(got, want []byte) string {
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(g), len(w)) {
		if !bytes.Equal(g[i], w[i]) {
			return fmt.Sprintf("%q instead of %q", g[i], w[i])
		}
	}
	return fmt.Sprintf("%d entries instead of %d", len(g), len(w))
}
