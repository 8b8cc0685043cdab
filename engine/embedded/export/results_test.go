//go:build linux

package export

import (
	"testing"

	"github.com/mergefest/mergefest/engine"
)

func (e *env) deliver(results []engine.Delivery, layers ...Layer) Summary {
	e.t.Helper()
	e.results = results
	defer func() { e.results = nil }()
	return e.mustSync(layers...)
}

func named(name string, paths ...string) []engine.Delivery {
	return []engine.Delivery{{Name: name, Paths: paths}}
}

// Results of different names share a destination; each export removes only what its own no longer have.
func TestResultsShareADestination(t *testing.T) {
	e := newEnv(t)
	tree, app := named("tree"), named("app:build", "dist")
	both := []engine.Delivery{{Name: "app:build", Paths: []string{"dist"}}, {Name: "lib:build", Paths: []string{"lib/dist"}}}
	t1 := e.layer("t1", []string{"node_modules/a/i=1", "node_modules/b/i=1"})
	b1 := e.layer("b1", []string{"dist/x-1=1", "dist/same=1"})
	e.deliver(tree, t1)
	e.deliver(app, b1)
	all := []string{"node_modules/", "node_modules/a/", "node_modules/a/i=1", "node_modules/b/", "node_modules/b/i=1", "dist/"}
	e.want(append(all, "dist/x-1=1", "dist/same=1")...)

	// Nothing is written or read again, whoever comes next.
	for _, s := range []Summary{e.deliver(tree, t1), e.deliver(app, b1), e.deliver(tree, t1)} {
		if s.Written+s.Removed > 0 || len(e.opened) > 0 {
			t.Errorf("a repetition did something: %+v, opened %v", s, e.opened)
		}
	}

	// A result that shrinks loses its own files, also if it was delivered together with another.
	e.deliver(both, e.layer("b2", []string{"dist/x-2=2", "dist/same=1", "lib/dist/y-1=1"}))
	e.want(append(all, "dist/x-2=2", "dist/same=1", "lib/", "lib/dist/", "lib/dist/y-1=1")...)
	e.deliver(app, e.layer("b3", []string{"dist/same=1"}))
	e.want(append(all, "dist/same=1", "lib/", "lib/dist/", "lib/dist/y-1=1")...)
	e.deliver(tree, e.layer("t2", []string{"node_modules/a/i=1"}))
	e.want("node_modules/", "node_modules/a/", "node_modules/a/i=1", "dist/", "dist/same=1", "lib/", "lib/dist/", "lib/dist/y-1=1")
	e.deliver(both)
	e.want("node_modules/", "node_modules/a/", "node_modules/a/i=1")
}

// A directory goes with the last result that has something in it.
func TestSharedDirectory(t *testing.T) {
	e := newEnv(t)
	x, y := named("x"), named("y")
	e.deliver(x, e.layer("x", []string{"d/e/x=1", "d/x=1"}))
	e.deliver(y, e.layer("y", []string{"d/e/y=1"}))
	e.deliver(x)
	e.want("d/", "d/e/", "d/e/y=1")
	e.deliver(y)
	e.want()
}

// What two results both have belongs to the last one, and comes back with the other.
func TestResultsOverlap(t *testing.T) {
	e := newEnv(t)
	x, y := named("x"), named("y")
	lx := e.layer("x", []string{"f=x", "only-x=1"})
	e.deliver(x, lx)
	e.deliver(y, e.layer("y", []string{"f=y"}))
	e.want("f=y", "only-x=1")
	e.deliver(y)
	e.want("only-x=1")
	e.deliver(x, lx)
	e.want("f=x", "only-x=1")
}

// What another result left in the way of this one is replaced, as what this one left would be.
func TestOtherResultInTheWay(t *testing.T) {
	e := newEnv(t)
	x, y := named("x"), named("y")
	e.deliver(x, e.layer("x", []string{"p/a/b=1", "q=file"}))
	ly := e.layer("y", []string{"p=file", "q/c=2"})
	e.deliver(y, ly)
	e.want("p=file", "q/", "q/c=2")
	if s := e.deliver(y, ly); s.Written+s.Removed > 0 {
		t.Errorf("%+v", s)
	}
	e.deliver(x)
	e.want("p=file", "q/", "q/c=2")
	e.deliver(y)
	e.want()
}
