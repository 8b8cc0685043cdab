// Version control settings of the build info.
package gobuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// loadVCS finds what the go command would record of the repositories of the main modules. It asks
// the go command itself, by a dry run of a program that has nothing but the package's directory:
// how a version follows from tags is the go command's own business.
func loadVCS(ctx context.Context, q Query, facts *Facts) (map[string]VCS, error) {
	if q.BuildVCS == "false" {
		return nil, nil
	}
	out := map[string]VCS{}
	for _, path := range facts.Roots {
		p := facts.lookup(path)
		if p == nil || p.Name != "main" || p.Module == nil || p.Module.Version != "" {
			continue
		}
		if _, ok := out[p.Module.Path]; ok {
			continue
		}
		if q.BuildVCS != "true" && !stampable(p.Dir) {
			continue
		}
		v, err := askVCS(ctx, q, p)
		if err != nil {
			return nil, err
		}
		out[p.Module.Path] = v
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// lookup finds a package by binary search.
func (f *Facts) lookup(importPath string) *Package {
	i, ok := slices.BinarySearchFunc(f.Packages, importPath, func(p *Package, s string) int { return strings.Compare(p.ImportPath, s) })
	if !ok {
		return nil
	}
	return f.Packages[i]
}

// vcsDirs are the directories by which the go command recognises a repository, and the tools.
var vcsDirs = [...][2]string{{".git", "git"}, {".hg", "hg"}, {".bzr", "bzr"}, {".svn", "svn"}, {".fslckout", "fossil"}, {"_FOSSIL_", "fossil"}}

// stampable tells whether dir is in a repository whose tool is installed; otherwise there is
// nothing to ask for.
func stampable(dir string) bool {
	for {
		for _, v := range vcsDirs {
			if _, err := os.Lstat(filepath.Join(dir, v[0])); err == nil {
				_, err := exec.LookPath(v[1])
				return err == nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false
		}
		dir = parent
	}
}

// askVCS runs "go build -n" with an overlay that reduces the package to an empty program.
func askVCS(ctx context.Context, q Query, p *Package) (VCS, error) {
	tmp, err := os.MkdirTemp("", "mergefest-vcs-")
	if err != nil {
		return VCS{}, err
	}
	defer os.RemoveAll(tmp)
	overlay, err := emptyProgram(tmp, p.Dir)
	if err != nil {
		return VCS{}, err
	}
	args := slices.Concat([]string{"build", "-n", "-trimpath", "-pgo=off", "-buildvcs=" + q.BuildVCS, "-overlay=" + overlay, "-o", filepath.Join(tmp, "program")},
		q.Flags, []string{"--", p.Dir})
	// The dry run prints its script to standard error.
	_, script, err := runGo(ctx, q.Dir, q.Env, args...)
	if err != nil {
		var ge *GoError
		if errors.As(err, &ge) {
			return VCS{}, &LoadError{Package: p.ImportPath, Msg: strings.TrimSpace(ge.Stderr), Hint: "to build without version control settings: -buildvcs=false"}
		}
		return VCS{}, err
	}
	return readVCS(string(script))
}

// emptyProgram writes an overlay that hides dir's Go files behind one with an empty main.
func emptyProgram(tmp, dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	main := filepath.Join(tmp, "main.go")
	if err := os.WriteFile(main, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for _, e := range entries {
		switch ext := filepath.Ext(e.Name()); {
		case e.IsDir():
		case ext == ".go" || ext == ".s" || ext == ".syso" || language(e.Name()) != "":
			replace[filepath.Join(dir, e.Name())] = ""
		}
	}
	replace[filepath.Join(dir, "mergefest_main.go")] = main
	js, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(tmp, "overlay.json")
	return name, os.WriteFile(name, js, 0o600)
}

// readVCS takes the settings out of the linker's import configuration in a script of "go build
// -n".
func readVCS(script string) (VCS, error) {
	for line := range strings.Lines(script) {
		quoted, ok := strings.CutPrefix(strings.TrimSpace(line), "modinfo ")
		if !ok {
			continue
		}
		data, err := strconv.Unquote(quoted)
		data, ok1 := strings.CutPrefix(data, infoStart)
		data, ok2 := strings.CutSuffix(data, infoEnd)
		if err != nil || !ok1 || !ok2 {
			return VCS{}, fmt.Errorf("go build -n: the build info is malformed: %q", quoted)
		}
		info, err := debug.ParseBuildInfo(data)
		if err != nil {
			return VCS{}, fmt.Errorf("go build -n: %w", err)
		}
		var v VCS
		for _, s := range info.Settings {
			if s.Key == "vcs" || strings.HasPrefix(s.Key, "vcs.") {
				v.Settings = append(v.Settings, Setting{s.Key, s.Value})
			}
		}
		if info.Main.Version != "(devel)" {
			v.Version = info.Main.Version
		}
		return v, nil
	}
	return VCS{}, errors.New("go build -n printed no build info")
}
