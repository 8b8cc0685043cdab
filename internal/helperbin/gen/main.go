// Command gen rebuilds the helper's binaries and writes what package helperbin embeds. It runs in
// the directory of that package.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/mergefest/mergefest/internal/helperbin"
	"github.com/mergefest/mergefest/internal/helperbin/rebuild"
)

func main() {
	if err := generate(context.Background(), "."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func generate(ctx context.Context, dir string) error {
	layers := map[string]helperbin.LayerInfo{}
	for _, p := range rebuild.Platforms() {
		binary, err := rebuild.Build(ctx, filepath.Join(dir, "..", ".."), p)
		if err != nil {
			return err
		}
		layer, err := helperbin.Layer(binary)
		if err != nil {
			return err
		}
		layers[p] = helperbin.InfoOf(layer)
		file := filepath.Join(dir, helperbin.File(p))
		if current(file, binary) {
			continue
		}
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		packed := enc.EncodeAll(binary, nil)
		if err := os.WriteFile(file, packed, 0o644); err != nil {
			return err
		}
		fmt.Printf("%s: %d bytes, %d packed\n", p, len(binary), len(packed))
	}
	doc, err := json.MarshalIndent(layers, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, helperbin.LayersFile), append(doc, '\n'), 0o644)
}

// current reports whether a file holds these bytes already: packing them again could give other
// packed bytes, and a change of the repository for nothing.
func current(file string, binary []byte) bool {
	packed, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		return false
	}
	defer dec.Close()
	old, err := dec.DecodeAll(packed, nil)
	return err == nil && bytes.Equal(old, binary)
}
