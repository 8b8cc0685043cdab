package npm

// .gitignore files: which files of a project nobody keeps. The rules are those of gitignore(5).

import (
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// IgnoreFile is a .gitignore file above the file system that Load reads.
type IgnoreFile struct {
	Dir  string // its directory, relative to the top of the repository, with forward slashes
	Data []byte
}

// ignoreRule is one line of a .gitignore file.
type ignoreRule struct {
	pattern string // of the whole path, relative to the top of the repository
	not     bool   // takes back what an earlier rule ignores
	dirOnly bool
}

// parseIgnore reads the .gitignore file of the directory base.
func parseIgnore(base string, data []byte) []ignoreRule {
	var rules []ignoreRule
	for _, line := range strings.Split(string(data), "\n") {
		line = trimIgnored(strings.TrimSuffix(line, "\r"))
		if line == "" || line[0] == '#' {
			continue
		}
		r := ignoreRule{}
		if line[0] == '!' {
			r.not, line = true, line[1:]
		}
		if rest, ok := strings.CutSuffix(line, "/"); ok {
			r.dirOnly, line = true, rest
		}
		if line == "" {
			continue
		}
		prefix := escapeGlob(path.Clean(base)) + "/"
		if base == "." || base == "" {
			prefix = ""
		}
		if !strings.Contains(line, "/") {
			prefix += "**/"
		}
		line = strings.TrimPrefix(line, "/")
		if strings.HasSuffix(line, "/**") {
			line += "/*" // what is in the directory, but not the directory
		}
		r.pattern = prefix + strings.NewReplacer("{", `\{`, "}", `\}`).Replace(line)
		if doublestar.ValidatePattern(r.pattern) {
			rules = append(rules, r)
		}
	}
	return rules
}

// trimIgnored drops trailing spaces that no backslash protects.
func trimIgnored(s string) string {
	for strings.HasSuffix(s, " ") && !strings.HasSuffix(s, `\ `) {
		s = s[:len(s)-1]
	}
	return s
}

var globEscapes = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`, "{", `\{`, "}", `\}`)

// escapeGlob makes a pattern that matches s alone.
func escapeGlob(s string) string { return globEscapes.Replace(s) }

// ignored applies the rules to a path whose directories aren't ignored: the last one that matches
// decides.
func ignored(rules []ignoreRule, p string, dir bool) bool {
	for i := len(rules) - 1; i >= 0; i-- {
		r := rules[i]
		if r.dirOnly && !dir {
			continue
		}
		if ok, _ := doublestar.Match(r.pattern, p); ok {
			return !r.not
		}
	}
	return false
}
