package npm

// Which Node.js a project asks for: Volta's pin, .nvmrc, .node-version, engines.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// NodeRequest is what a project says about its Node.js. The zero value asks for any.
type NodeRequest struct {
	// Range is a version range in npm's grammar: "20.11.1", "20", ">=18".
	Range string
	// Source is the file that says so, relative to the file system, and Text what it says.
	Source, Text string
}

// ltsNames maps the names of long-term support lines to their major versions.
var ltsNames = map[string]string{
	"argon": "4", "boron": "6", "carbon": "8", "dubnium": "10", "erbium": "12", "fermium": "14",
	"gallium": "16", "hydrogen": "18", "iron": "20", "jod": "22", "krypton": "24",
}

// WantedNode reads what the app in dir asks for. A pin is preferred to a range: package.json's
// "volta", then .nvmrc and .node-version of the app or the nearest directory above it, then
// "devEngines" and "engines".
func WantedNode(fsys fs.FS, dir string) (NodeRequest, error) {
	dir = path.Clean(dir)
	pkg, err := readManifest(fsys, dir)
	if err != nil {
		return NodeRequest{}, err
	}
	file := path.Join(dir, "package.json")
	if pkg != nil {
		if v := str(obj(pkg.top, "volta"), "node"); v != "" {
			return newRequest(file, v)
		}
	}
	for at := dir; ; at = path.Dir(at) {
		for _, name := range []string{".nvmrc", ".node-version"} {
			text, err := firstLine(fsys, path.Join(at, name))
			if err != nil {
				return NodeRequest{}, err
			}
			if text != "" {
				return newRequest(path.Join(at, name), text)
			}
		}
		if at == "." {
			break
		}
	}
	if pkg == nil {
		return NodeRequest{}, nil
	}
	if rt := obj(obj(pkg.top, "devEngines"), "runtime"); str(rt, "name") == "node" && str(rt, "version") != "" {
		return newRequest(file, str(rt, "version"))
	}
	if v := str(obj(pkg.top, "engines"), "node"); v != "" {
		return newRequest(file, v)
	}
	return NodeRequest{}, nil
}

// firstLine is the first line that is no comment; "" if there is no file.
func firstLine(fsys fs.FS, name string) (string, error) {
	data, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", &Error{Reason: BadConfig, File: name, Err: err, Msg: "cannot read the file"}
	}
	sc := bufio.NewScanner(bytes.NewReader(data))
	for sc.Scan() {
		line, _, _ := strings.Cut(sc.Text(), "#")
		if line = strings.TrimSpace(line); line != "" {
			return line, nil
		}
	}
	return "", nil
}

func newRequest(file, text string) (NodeRequest, error) {
	r := NodeRequest{Source: file, Text: text, Range: strings.TrimPrefix(text, "node@")}
	switch name := strings.ToLower(r.Range); {
	case name == "node" || name == "stable" || name == "latest" || name == "current" || name == "lts/*" || name == "lts":
		r.Range = "*" // whichever is newest: nothing to hold a version against
	case strings.HasPrefix(name, "lts/"):
		major, ok := ltsNames[strings.TrimPrefix(name, "lts/")]
		if !ok {
			r.Range = "*" // nvm knows more names than these, and npm reads none
			return r, nil
		}
		r.Range = major
	}
	if _, err := parseRange(r.Range, mode{loose: true}); err != nil {
		r.Range = "*" // "system", "iojs", or whatever else a version manager reads
	}
	return r, nil
}

// Accepts reports whether a version ("20.11.1") is what the project asks for.
func (r NodeRequest) Accepts(version string) bool {
	return r.Range == "" || satisfies(strings.TrimPrefix(version, "v"), r.Range, mode{loose: true, prerelease: true})
}

// checkNode holds the runtime's version against the one that the project asks for: a warning, as npm
// makes of "engines", and an error with engine-strict.
func (a *app) checkNode(p *Plan) error {
	rt := a.opt.Runtime
	if rt.Version == "" {
		return nil // an image's
	}
	want, err := WantedNode(a.fsys, a.dir)
	if err != nil || want.Accepts(rt.Version) {
		return err
	}
	msg := fmt.Sprintf("asks for Node.js %s, and scripts run on %s", want.Text, rt.Version)
	if a.opt.Config.is("engine-strict") && !a.opt.Config.is("force") {
		return &Error{Reason: WrongNode, File: want.Source, Msg: msg, Advice: "install that version, name an image that has it, or switch engine-strict off"}
	}
	p.Warnings = append(p.Warnings, want.Source+" "+msg+"; install that version, or name an image that has it")
	return nil
}
