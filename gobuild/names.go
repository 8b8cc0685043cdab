// Names of files in messages.
package gobuild

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Names translates the names that compilers print into those that the user knows.
//
// With -trimpath a compiler prints the names that it records: "example.com/app/greet/greet.go".
// For the user's own packages they become paths relative to where the command runs
// ("greet/greet.go"), with "./" before a name alone, as the go command prints them.
type Names struct {
	// Dirs maps the recorded directory of each of the user's packages to the path of the real one.
	Dirs map[string]string
}

// sourceName is a source file and its line at the beginning of a word.
var sourceName = regexp.MustCompile(`(^|[\s"(\[])([^\s"()\[\]:]+/[^\s"()\[\]:/]+\.(?:go|s|h)):(\d+)`)

// Translate gives text with the names replaced. What isn't a name of the user's stays.
func (n Names) Translate(text string) string {
	return sourceName.ReplaceAllStringFunc(text, func(s string) string {
		m := sourceName.FindStringSubmatch(s)
		dir, ok := n.Dirs[path.Dir(m[2])]
		if !ok {
			return s
		}
		name := path.Join(dir, path.Base(m[2]))
		if !strings.Contains(name, "/") {
			name = "./" + name
		}
		return m[1] + name + ":" + m[3]
	})
}

// names collects the directories of the user's packages.
func (p *planner) names(into map[string]string) {
	for _, q := range p.needed() {
		if q.Standard || p.fetched(q) {
			continue
		}
		dir := q.Dir
		if rel, err := filepath.Rel(p.cfg.Dir, dir); err == nil && len(rel) < len(dir) {
			dir = rel
		}
		dir = filepath.ToSlash(dir)
		into[recorded(q)] = dir
		// The assembler prints names as it gets them, which are those of the user except for a
		// directory that go.mod names by its absolute path.
		if src := p.place(q); within(extRoot, src.dir) {
			into[path.Dir(src.names([]string{"x"})[0])] = dir
		}
	}
}
