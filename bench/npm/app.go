// The app that is installed: its lockfile with the loopback registry's addresses, and its edits.

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// state says how the app differs from the original: it depends on version 1.0.<leaf> of one made-up
// package, and on another one if extra isn't empty.
type state struct {
	leaf  int
	extra string // a name
}

// versions are the made-up packages that the app depends on directly.
func (s state) versions() map[string]string {
	out := map[string]string{madeUp + "leaf": fmt.Sprintf("1.0.%d", s.leaf)}
	if s.extra != "" {
		out[s.extra] = "1.0.0"
	}
	return out
}

// app is an app in its original state.
type app struct {
	manifest, lock map[string]any
	packages       int      // places in the tree
	urls           []string // of all tarballs, sorted
}

// readApp reads the app in dir. Every package of its lockfile gets an address of r.
func readApp(dir string, r *registry) (*app, error) {
	a := &app{}
	for name, v := range map[string]*map[string]any{"package.json": &a.manifest, "package-lock.json": &a.lock} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, v); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
		}
	}
	packages, ok := a.lock["packages"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: the lockfile has no packages; want version 2 or 3", dir)
	}
	delete(a.lock, "dependencies") // version 2 says everything twice
	a.lock["lockfileVersion"] = 3
	for loc, v := range packages {
		p, _ := v.(map[string]any)
		i := strings.LastIndex(loc, "node_modules/")
		if i < 0 || p["link"] == true {
			continue
		}
		a.packages++
		if p["inBundle"] == true {
			continue
		}
		name, version := loc[i+len("node_modules/"):], fmt.Sprint(p["version"])
		if alias, ok := p["name"].(string); ok {
			name = alias
		}
		p["resolved"] = r.tarballURL(name, version)
		a.urls = append(a.urls, p["resolved"].(string))
	}
	slices.Sort(a.urls)
	a.urls = slices.Compact(a.urls)
	return a, nil
}

// write writes the app in a state to dir.
func (a *app) write(dir string, s state, r *registry) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	manifest, lock, packages, top := maps.Clone(a.manifest), maps.Clone(a.lock), cloneField(a.lock, "packages"), map[string]any{}
	lock["packages"] = packages
	if t, ok := packages[""].(map[string]any); ok {
		top = maps.Clone(t)
	}
	packages[""] = top
	versions := s.versions()
	for _, m := range []map[string]any{manifest, top} {
		deps := cloneField(m, "dependencies")
		for name, v := range versions {
			deps[name] = v
		}
		m["dependencies"] = deps
	}
	for name, v := range versions {
		data, err := madeUpTarball(name + "-" + v)
		if err != nil {
			return err
		}
		packages["node_modules/"+name] = map[string]any{"version": v, "resolved": r.tarballURL(name, v), "integrity": integrity(data)}
	}
	for name, v := range map[string]any{"package.json": manifest, "package-lock.json": lock} {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), buf.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// cloneField copies an object in an object; a missing one is empty.
func cloneField(m map[string]any, name string) map[string]any {
	if o, ok := m[name].(map[string]any); ok {
		return maps.Clone(o)
	}
	return map[string]any{}
}
