//go:build linux

package export

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// manyLayers makes packages of small files, like a node_modules directory: 900 layers with 28
// files each, and one with a file of 100 MB.
func manyLayers(b *testing.B) []Layer {
	dir := b.TempDir()
	var layers []Layer
	add := func(id string) string {
		p := filepath.Join(dir, id)
		layers = append(layers, Layer{ID: id, Open: func(context.Context) (*Source, error) { return &Source{Dir: p}, nil }})
		return p
	}
	content := make([]byte, 5000)
	for i := range content {
		content[i] = byte('a' + i%23)
	}
	for i := range 900 {
		pkg := filepath.Join(add(fmt.Sprintf("p%d", i)), "node_modules", fmt.Sprintf("pkg-%d", i))
		for d := range 4 {
			sub := filepath.Join(pkg, fmt.Sprintf("lib%d", d))
			os.MkdirAll(sub, 0o755)
			for f := range 7 {
				os.WriteFile(filepath.Join(sub, fmt.Sprintf("file%d.js", f)), content[:500+(i*7+f*613)%4500], 0o644)
			}
		}
	}
	big := add("big")
	os.MkdirAll(big, 0o755)
	os.WriteFile(filepath.Join(big, "big.bin"), make([]byte, 100<<20), 0o644)
	return layers
}

func BenchmarkFirst(b *testing.B) {
	layers := manyLayers(b)
	state := b.TempDir()
	out := b.TempDir()
	src := filepath.Join(out, "src")
	if _, err := Sync(context.Background(), Request{Dest: src, Parts: []Part{{Layers: layers}}, StateDir: state}); err != nil {
		b.Fatal(err)
	}
	i := 0
	b.Run("export", func(b *testing.B) {
		for b.Loop() {
			i++
			dst := filepath.Join(out, fmt.Sprint(i))
			if _, err := Sync(context.Background(), Request{Dest: dst, Parts: []Part{{Layers: layers}}, StateDir: state}); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			os.RemoveAll(dst)
			b.StartTimer()
		}
	})
	b.Run("cp", func(b *testing.B) {
		for b.Loop() {
			i++
			dst := filepath.Join(out, fmt.Sprint(i))
			if msg, err := exec.Command("cp", "-r", src, dst).CombinedOutput(); err != nil {
				b.Fatal(err, string(msg))
			}
			b.StopTimer()
			os.RemoveAll(dst)
			b.StartTimer()
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			if _, err := Sync(context.Background(), Request{Dest: src, Parts: []Part{{Layers: layers}}, StateDir: state}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bump", func(b *testing.B) {
		for b.Loop() {
			i++
			layers[450].ID = fmt.Sprint("bump", i)
			if _, err := Sync(context.Background(), Request{Dest: src, Parts: []Part{{Layers: layers}}, StateDir: state}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
