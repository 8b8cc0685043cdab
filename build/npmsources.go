// What the npm analyzer has to know of the directories around a project.
package build

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/npm"
)

// projectFiles tells which files of the project are no sources: what builds write, and
// what the repository's .gitignore files above the project ignore.
func projectFiles(lo *npm.Options, o Options, t target) error {
	for _, dir := range []string{o.Output, o.Report, t.stateDir} {
		if dir == "" {
			continue
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		if rel, err := filepath.Rel(o.Dir, abs); err == nil && filepath.IsLocal(rel) && rel != "." {
			lo.Exclude = append(lo.Exclude, filepath.ToSlash(rel))
		}
	}
	top := repositoryTop(o.Dir)
	rel, err := filepath.Rel(top, o.Dir)
	if err != nil {
		return err
	}
	if lo.Prefix = filepath.ToSlash(rel); lo.Prefix == "." {
		lo.Prefix = ""
		return nil
	}
	for dir := path.Dir(lo.Prefix); ; dir = path.Dir(dir) {
		data, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(dir), ".gitignore"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil {
			lo.IgnoreFiles = append(lo.IgnoreFiles, npm.IgnoreFile{Dir: dir, Data: data})
		}
		if dir == "." {
			break
		}
	}
	slices.Reverse(lo.IgnoreFiles) // the outermost first
	return nil
}

// repositoryTop is the directory of the Git repository that dir is in, or dir itself.
func repositoryTop(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if exists(filepath.Join(at, ".git")) {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

// npmNames translates what scripts print: names of the container's files into those of the project,
// and the commands of nodes into those that do the same for the user.
func npmNames(script string) func(string) string {
	inProject := regexp.MustCompile(`(^|[^\w./@%+~-]|file://)` + regexp.QuoteMeta(npm.ProjectDir) + `(/|$|[\s"'` + "`" + `:,;)\]])`)
	install := regexp.MustCompile(regexp.QuoteMeta(npm.InstallCommand) + `\d+\.json`)
	return func(text string) string {
		text = install.ReplaceAllString(strings.ReplaceAll(text, npm.OwnCommand, "npm ci"), "npm rebuild")
		if script != "" {
			text = strings.ReplaceAll(text, npm.RunCommand+" ", "npm run ")
		}
		return inProject.ReplaceAllStringFunc(text, func(m string) string {
			before, after, _ := strings.Cut(m, npm.ProjectDir)
			before = strings.TrimSuffix(before, "file://")
			if after == "/" {
				return before
			}
			return before + "." + after
		})
	}
}
