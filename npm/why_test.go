package npm

import (
	"context"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph"
	"golang.org/x/tools/txtar"
)

// TestWhy: the way to a package's nodes goes by dependencies, through workspaces too.
func TestWhy(t *testing.T) {
	const entry = `"version": "1.0.0", "resolved": "https://registry.example.com/%/-/%-1.0.0.tgz", "integrity": "sha512-H0D8ktokFpR1CXnubPWC8tXX0o4YM13gWrxU0FYOD1MChgxlK/CNVgJSql50IQVG82n7u86MEs/HlXsmUv6adQ=="`
	of := func(name string) string { return strings.ReplaceAll(entry, "%", name) }
	fsys, err := txtar.FS(&txtar.Archive{Files: []txtar.File{
		{Name: "package.json", Data: []byte(`{"name": "app", "version": "1.0.0", "workspaces": ["w"], "dependencies": {"a": "1.0.0"}}`)},
		{Name: "w/package.json", Data: []byte(`{"name": "w", "version": "2.0.0", "dependencies": {"c": "1.0.0"}}`)},
		{Name: "package-lock.json", Data: []byte(`{"name": "app", "version": "1.0.0", "lockfileVersion": 3, "packages": {
			"": {"name": "app", "version": "1.0.0", "workspaces": ["w"], "dependencies": {"a": "1.0.0"}},
			"node_modules/a": {` + of("a") + `, "dependencies": {"b": "1.0.0"}},
			"node_modules/b": {` + of("b") + `, "dependencies": {"a": "1.0.0"}},
			"node_modules/c": {` + of("c") + `},
			"node_modules/w": {"resolved": "w", "link": true},
			"w": {"name": "w", "version": "2.0.0", "dependencies": {"c": "1.0.0"}}}}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Load(context.Background(), fsys, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"a": "npm/app/app@1.0.0 npm/fetch/a@1.0.0",
		"b": "npm/app/app@1.0.0 npm/package/a@1.0.0 npm/fetch/b@1.0.0",
		"c": "npm/app/app@1.0.0 npm/package/w@2.0.0 npm/fetch/c@1.0.0",
	}
	for _, n := range p.Nodes {
		var way []string
		for _, id := range p.Why(n.ID) {
			id.Variant = ""
			way = append(way, id.String())
		}
		if got := strings.Join(way, " "); got != want[n.ID.Package] && n.ID.Kind == "fetch" || n.ID.Kind != "fetch" && got != "" {
			t.Errorf("%s: %q, want %q", n.ID, got, want[n.ID.Package])
		}
	}
	if p.Why(graph.ID{}) != nil {
		t.Error("there is a way to nowhere")
	}
}
