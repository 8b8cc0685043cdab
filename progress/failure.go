// Failures: what a user needs to see when a node fails, and its rendering.

package progress

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mergefest/mergefest/graph"
)

// Failure is one failed op of the engine.
type Failure struct {
	// Node is what failed; the zero ID if the op belongs to no node.
	Node graph.ID
	// Others are further nodes that the same op carries, in canonical order.
	Others []graph.ID
	// Name is the op's name at the engine.
	Name string
	// Command is the command line that failed, as a shell would read it; empty if it isn't known.
	Command string
	// Output is the end of the output, with paths that the user knows. Where several programs
	// ran, it says which one wrote what.
	Output string
	// Cause is the engine's error: "exit code: 1".
	Cause string
	// Duration is how long it ran.
	Duration time.Duration
	// Chain is the path from a root to Node, both included; empty if unknown.
	Chain []graph.ID
	// above is how many lines at the beginning of Output a view that shows output as it comes need
	// not repeat.
	above int
}

// Failures returns the failures so far, in the order of their nodes.
func (t *Tracker) Failures() []Failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.Clone(t.failures)
	slices.SortStableFunc(out, func(a, b Failure) int {
		if c := a.Node.Compare(b.Node); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

// fail records and announces the failure of a vertex.
func (t *Tracker) fail(v *vertex) {
	f := Failure{Name: cleanLine(v.name), Cause: t.text(shortCause(v.err))}
	rest := t.text(v.log.rest())
	out := t.text(v.output())
	v.lastWords = lastWords(out)
	f.Command, f.Output = splitHeader(helperExit.ReplaceAllString(out, ""))
	if v.streamed() {
		// Lines are counted from the end: at the beginning some may have been dropped.
		_, rest = splitHeader(helperExit.ReplaceAllString(rest, ""))
		f.above = max(0, countLines(f.Output)-max(countLines(rest), repeated))
	}
	var blamed []*node
	for _, n := range v.nodes {
		if v.blames(n) {
			blamed = append(blamed, n)
		}
	}
	slices.SortFunc(blamed, func(a, b *node) int { return a.ID.Compare(b.ID) })
	for i, n := range blamed {
		if i > 0 {
			f.Others = append(f.Others, n.ID)
			continue
		}
		f.Node = n.ID
		f.Chain = t.cfg.Chain(n.ID)
		if f.Command == "" {
			f.Command = t.cfg.PathMap(quoteCommand(soleCommand(n.Action)))
		}
	}
	for _, r := range v.runs {
		if r.err == v.err && !r.end.IsZero() {
			f.Duration = max(f.Duration, r.end.Sub(r.start))
		}
	}
	t.failures = append(t.failures, f)
	t.events = append(t.events, event{kind: eventFailed, node: f.Node, failure: f})
}

// commandHeader is the header that the helper writes for a command that failed.
var commandHeader = regexp.MustCompile(`(?m)^# .*\n\$ (.*)(?:\n|\z)`)

// splitHeader takes the header off the output of a failed command that is the only one that
// printed something. The helper writes it in the form "# task\n$ command line\n", at the beginning,
// or after what it had shown of a command that took long.
func splitHeader(out string) (command, rest string) {
	found := commandHeader.FindAllStringSubmatchIndex(out, 2)
	if len(found) != 1 {
		return "", out
	}
	at := found[0]
	return out[at[2]:at[3]], out[:at[0]] + out[at[1]:]
}

// soleCommand returns the action's command if it has only one.
func soleCommand(a graph.Action) []string {
	r, ok := a.(*graph.Run)
	if !ok || len(r.Tasks) != 1 || len(r.Tasks[0].Commands) != 1 {
		return nil
	}
	return r.Tasks[0].Commands[0].Args
}

// The engine quotes the whole argument list of a process that failed, which can be a document of
// many kilobytes.
var processFailed = regexp.MustCompile(`(?s)process ".*" did not complete successfully: `)

// The helper ends with a line that says again which task ended with which status.
var helperExit = regexp.MustCompile(`(?m)^mergefest-helper: .*: exit status \d+\n?\z`)

// shortCause drops the quoted process from an engine's error.
func shortCause(err string) string {
	return strings.TrimSpace(processFailed.ReplaceAllString(err, ""))
}

// maxCommand is how much of a command line a message shows, in bytes.
const maxCommand = 300

// unseen is the failure for a view that has shown the first lines of its output already.
func (f Failure) unseen() Failure {
	if f.above > 0 {
		f.Output, f.above = earlierAbove+dropLines(f.Output, f.above), 0
	}
	return f
}

// String renders the failure as lines of plain text, without a newline at the end.
func (f Failure) String() string { return f.render(style{}) }

// render is String with colours.
func (f Failure) render(st style) string {
	var b strings.Builder
	subject := f.Name
	if f.Node != (graph.ID{}) {
		subject = f.Node.String()
	}
	fmt.Fprintf(&b, "%s %s", st.failed("error:"), st.bold(subject))
	if n := len(f.Others); n > 0 {
		fmt.Fprintf(&b, " and %d more", n)
	}
	if f.Cause != "" {
		fmt.Fprintf(&b, ": %s", strings.ReplaceAll(f.Cause, "\n", "\n  "))
	}
	if f.Duration >= time.Second {
		fmt.Fprintf(&b, " (after %s)", FormatDuration(f.Duration))
	}
	b.WriteByte('\n')
	indent(&b, f.Output)
	// What the program says comes first: the command that compilers are called with is long, and
	// of use to few.
	if f.Command != "" {
		fmt.Fprintf(&b, "  command: %s\n", shorten(f.Command, maxCommand))
	}
	if len(f.Chain) > 1 {
		b.WriteString("  needed by:\n")
		// From the nearest dependant to the root: the question is who asked for this one.
		for i := len(f.Chain) - 2; i >= 0; i-- {
			fmt.Fprintf(&b, "    %s\n", f.Chain[i])
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// quoteCommand joins a command so that a shell would read it back.
func quoteCommand(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\n\"'\\$`|&;<>()*?[]{}~#!") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		quoted[i] = a
	}
	return strings.Join(quoted, " ")
}

// shorten cuts the middle out of a line of more than limit bytes.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	head, tail := limit*2/3, limit/3
	return strings.ToValidUTF8(s[:head], "") + " … " + strings.ToValidUTF8(s[len(s)-tail:], "")
}
