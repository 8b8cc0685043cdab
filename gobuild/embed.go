// go:embed: the configuration that tells the compiler which files a pattern means.
package gobuild

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// embedcfg is the compiler's -embedcfg for a package whose files are in dir.
func embedcfg(q *Package, dir string) (string, error) {
	cfg := struct {
		Patterns map[string][]string
		Files    map[string]string
	}{map[string][]string{}, map[string]string{}}
	for _, pattern := range q.EmbedPatterns {
		files, err := embedded(pattern, q.EmbedFiles)
		if err != nil {
			return "", err
		}
		cfg.Patterns[pattern] = files
	}
	for _, f := range q.EmbedFiles {
		cfg.Files[f] = path.Join(dir, f)
	}
	js, err := json.MarshalIndent(&cfg, "", "\t")
	return string(js), err
}

// embedded selects the files of a pattern from those of all the package's patterns, which the go
// command has found and checked. A pattern names files, or directories with all that is below them
// except names that begin with "." or "_", unless it has the prefix "all:".
func embedded(pattern string, files []string) ([]string, error) {
	glob, all := strings.CutPrefix(pattern, "all:")
	var out []string
	for _, f := range files {
		for at := f; ; at = path.Dir(at) {
			ok, err := path.Match(glob, at)
			if err != nil {
				return nil, err
			}
			if at == "." { // no wildcard means the package's own directory
				ok = glob == "."
			}
			if ok && (all || at == f || !hidden(strings.TrimPrefix(strings.TrimPrefix(f, at), "/"))) {
				out = append(out, f)
				break
			}
			if at == "." {
				break
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// hidden tells whether an element of a path begins with "." or "_".
func hidden(rel string) bool {
	for e := range strings.SplitSeq(rel, "/") {
		if strings.HasPrefix(e, ".") || strings.HasPrefix(e, "_") {
			return true
		}
	}
	return false
}
