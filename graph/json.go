// The JSON notation, version 1, and its encoder. docs/graph-json.md documents it.

package graph

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/mergefest/mergefest/graph/action"
)

// JSONVersion is the version of the JSON notation that this package reads and writes.
const JSONVersion = 1

// The shapes of the JSON notation. They differ from the graph's own types in the names only.
type (
	jsonNode struct {
		ID       *ID         `json:"id,omitempty"`
		Platform string      `json:"platform,omitempty"`
		Fetch    *jsonFetch  `json:"fetch,omitempty"`
		Run      *jsonRun    `json:"run,omitempty"`
		Write    *jsonWrite  `json:"write,omitempty"`
		Local    *jsonLocal  `json:"local,omitempty"`
		Merge    *jsonMerge  `json:"merge,omitempty"`
		Image    *jsonImage  `json:"image,omitempty"`
		Git      *jsonGit    `json:"git,omitempty"`
		Import   *jsonImport `json:"import,omitempty"`
	}
	jsonFetch = action.Fetch
	jsonRun   struct {
		action.Run
		Base     *jsonInput        `json:"base,omitempty"`
		Mounts   []jsonInput       `json:"mounts,omitempty"`
		Network  bool              `json:"network,omitempty"`
		Secrets  []jsonSecret      `json:"secrets,omitempty"`
		Internal map[string]string `json:"internal,omitempty"`
	}
	jsonWrite struct {
		Files []action.File `json:"files"`
	}
	jsonLocal struct {
		Root  string          `json:"root,omitempty"`
		Files []jsonLocalFile `json:"files"`
	}
	jsonLocalFile struct {
		Path   string `json:"path"`
		Source string `json:"source,omitempty"`
		Mode   uint32 `json:"mode,omitempty"`
	}
	jsonMerge struct {
		Parts []jsonInput `json:"parts"`
	}
	jsonImage struct {
		Ref string `json:"ref"`
	}
	jsonGit struct {
		URL        string `json:"url"`
		Commit     string `json:"commit"`
		Submodules bool   `json:"submodules,omitempty"`
	}
	jsonImport struct {
		Digest string `json:"digest"`
		Name   string `json:"name,omitempty"`
	}
	jsonInput struct {
		From     ID     `json:"from"`
		Path     string `json:"path,omitempty"`
		Target   string `json:"target,omitempty"`
		Writable bool   `json:"writable,omitempty"`
	}
	jsonSecret struct {
		Name     string `json:"name"`
		Target   string `json:"target,omitempty"`
		Env      string `json:"env,omitempty"`
		Optional bool   `json:"optional,omitempty"`
	}
	jsonRoot struct {
		Name     string `json:"name"`
		From     ID     `json:"from"`
		Path     string `json:"path,omitempty"`
		Platform string `json:"platform,omitempty"`
		Dest     string `json:"dest,omitempty"`
		Discard  bool   `json:"discard,omitempty"`
	}
)

// wireNode converts a node to its JSON shape.
func wireNode(n Node) jsonNode {
	w := jsonNode{ID: &n.ID, Platform: n.Platform}
	switch a := n.Action.(type) {
	case *Fetch:
		w.Fetch = &a.Fetch
	case *Run:
		w.Run = &jsonRun{Run: a.Run, Mounts: convert(a.Mounts, fromInput), Network: a.Network,
			Secrets: convert(a.Secrets, fromSecret), Internal: a.Internal}
		if a.Base != nil {
			w.Run.Base = (*jsonInput)(a.Base)
		}
	case *Write:
		w.Write = &jsonWrite{Files: a.Files}
	case *Local:
		w.Local = &jsonLocal{Root: a.Root, Files: convert(a.Files, fromFile)}
	case *Merge:
		w.Merge = &jsonMerge{Parts: convert(a.Parts, fromInput)}
	case *Image:
		w.Image = (*jsonImage)(a)
	case *Git:
		w.Git = (*jsonGit)(a)
	case *Import:
		w.Import = (*jsonImport)(a)
	}
	return w
}

// node converts back.
func (w jsonNode) node() (n Node, actions int) {
	if w.ID != nil {
		n.ID = *w.ID
	}
	n.Platform = w.Platform
	set := func(a Action) {
		n.Action = a
		actions++
	}
	if a := w.Fetch; a != nil {
		set(&Fetch{Fetch: *a})
	}
	if a := w.Run; a != nil {
		set(&Run{Run: a.Run, Base: (*Input)(a.Base), Mounts: convert(a.Mounts, toInput), Network: a.Network,
			Secrets: convert(a.Secrets, toSecret), Internal: a.Internal})
	}
	if a := w.Write; a != nil {
		set(&Write{Files: a.Files})
	}
	if a := w.Local; a != nil {
		set(&Local{Root: a.Root, Files: convert(a.Files, toFile)})
	}
	if a := w.Merge; a != nil {
		set(&Merge{Parts: convert(a.Parts, toInput)})
	}
	if a := w.Image; a != nil {
		set((*Image)(a))
	}
	if a := w.Git; a != nil {
		set((*Git)(a))
	}
	if a := w.Import; a != nil {
		set((*Import)(a))
	}
	return n, actions
}

// convert converts each element; nil stays nil.
func convert[T, U any](in []T, f func(T) U) []U {
	if in == nil {
		return nil
	}
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

func toInput(v jsonInput) Input          { return Input(v) }
func fromInput(v Input) jsonInput        { return jsonInput(v) }
func toSecret(v jsonSecret) Secret       { return Secret(v) }
func fromSecret(v Secret) jsonSecret     { return jsonSecret(v) }
func toFile(v jsonLocalFile) LocalFile   { return LocalFile(v) }
func fromFile(v LocalFile) jsonLocalFile { return jsonLocalFile(v) }

// MarshalJSON returns the JSON notation: one node a line, in canonical order.
func (g *Graph) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	if err := g.WriteJSON(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// WriteJSON writes the JSON notation, version JSONVersion: one node a line, in canonical order. The
// same graph always gives the same bytes, and ParseJSON gives the same graph back.
func (g *Graph) WriteJSON(w io.Writer) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteString("{\"version\":1,\"nodes\":[")
	for i, n := range g.nodes {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		if err := enc.Encode(wireNode(n)); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // Encode ends the line
	}
	b.WriteString("\n],\"roots\":[")
	for i, r := range g.roots {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		if err := enc.Encode(jsonRoot(r)); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1)
	}
	b.WriteString("\n]}\n")
	_, err := w.Write(b.Bytes())
	return err
}
