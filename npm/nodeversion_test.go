package npm

import (
	"testing"
	"testing/fstest"
)

func TestWantedNode(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	tests := []struct {
		name           string
		fs             fstest.MapFS
		dir            string
		source, rng    string
		accepts, wrong string
		err            bool
	}{
		{name: "nothing", fs: fstest.MapFS{}, dir: ".", accepts: "20.0.0"},
		{name: "nvmrc", fs: fstest.MapFS{".nvmrc": file("# ours\nv20.11.1\n")}, dir: ".", source: ".nvmrc", rng: "v20.11.1", accepts: "20.11.1", wrong: "20.11.2"},
		{name: "major", fs: fstest.MapFS{".node-version": file("18\r\n")}, dir: ".", source: ".node-version", rng: "18", accepts: "18.20.4", wrong: "20.0.0"},
		{name: "lts", fs: fstest.MapFS{".nvmrc": file("lts/iron")}, dir: ".", source: ".nvmrc", rng: "20", accepts: "20.1.0", wrong: "22.1.0"},
		{name: "newest", fs: fstest.MapFS{".nvmrc": file("lts/*")}, dir: ".", source: ".nvmrc", rng: "*", accepts: "22.1.0"},
		{name: "unknown line", fs: fstest.MapFS{".nvmrc": file("lts/zinc")}, dir: ".", source: ".nvmrc", rng: "*", accepts: "22.1.0"},
		{name: "no version", fs: fstest.MapFS{".nvmrc": file("sometimes")}, dir: ".", source: ".nvmrc", rng: "*", accepts: "22.1.0"},
		{name: "above", fs: fstest.MapFS{".nvmrc": file("22"), "apps/a/package.json": file(`{"engines":{"node":">=16"}}`)}, dir: "apps/a", source: ".nvmrc", rng: "22", accepts: "22.3.0", wrong: "20.0.0"},
		{name: "engines", fs: fstest.MapFS{"package.json": file(`{"engines":{"node":">=16 <21"}}`)}, dir: ".", source: "package.json", rng: ">=16 <21", accepts: "20.9.0", wrong: "21.0.0"},
		{name: "dev engines", fs: fstest.MapFS{"package.json": file(`{"devEngines":{"runtime":{"name":"node","version":"^20"}}}`)}, dir: ".", source: "package.json", rng: "^20", accepts: "20.9.0", wrong: "22.0.0"},
		{name: "volta", fs: fstest.MapFS{".nvmrc": file("18"), "package.json": file(`{"volta":{"node":"20.1.0"}}`)}, dir: ".", source: "package.json", rng: "20.1.0", accepts: "20.1.0", wrong: "18.0.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := WantedNode(tt.fs, tt.dir)
			if (err != nil) != tt.err {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			if r.Source != tt.source || r.Range != tt.rng {
				t.Errorf("got %q from %q, want %q from %q", r.Range, r.Source, tt.rng, tt.source)
			}
			if !r.Accepts(tt.accepts) || tt.wrong != "" && r.Accepts(tt.wrong) {
				t.Errorf("%+v accepts %s: %v, %s: %v", r, tt.accepts, r.Accepts(tt.accepts), tt.wrong, r.Accepts(tt.wrong))
			}
		})
	}
}
