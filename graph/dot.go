// Drawing a graph with Graphviz.

package graph

import (
	"fmt"
	"io"
	"strings"
)

// DOT returns the graph in Graphviz's language: an arrow goes from what is needed to what needs
// it, nodes of one ecosystem and kind have one colour, and roots are boxes at the end.
func (g *Graph) DOT() string {
	var b strings.Builder
	_ = g.WriteDOT(&b) // a Builder doesn't fail
	return b.String()
}

// WriteDOT writes what DOT returns.
func (g *Graph) WriteDOT(w io.Writer) error {
	var b strings.Builder
	b.WriteString("digraph mergefest {\n\trankdir=LR;\n\tnode [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", colorscheme=pastel19];\n")
	colours := map[string]int{}
	for i, n := range g.nodes {
		kind := n.ID.Ecosystem + "/" + n.ID.Kind
		if _, ok := colours[kind]; !ok {
			colours[kind] = len(colours)%9 + 1
		}
		label := kind + "\n" + n.ID.Package
		if n.ID.Version != "" {
			label += "\n" + n.ID.Version
		}
		if n.ID.Variant != "" {
			label += "\n[" + n.ID.Variant + "]"
		}
		fmt.Fprintf(&b, "\tn%d [label=%s, tooltip=%s, fillcolor=%d];\n", i, dotString(label), dotString(n.ID.String()), colours[kind])
	}
	for i := range g.nodes {
		for _, in := range g.inputs[i] {
			fmt.Fprintf(&b, "\tn%d -> n%d;\n", in, i)
		}
	}
	for i, r := range g.roots {
		label := r.Name
		if r.Platform != "" {
			label += "\n" + r.Platform
		}
		fmt.Fprintf(&b, "\tr%d [label=%s, shape=folder, style=bold];\n\tn%d -> r%d;\n", i, dotString(label), g.index[r.From], i)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// dotString quotes for Graphviz, where only the quote and the backslash are special.
func dotString(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
	return `"` + s + `"`
}
