// Write: a file op for a few files, the helper for many.

package llbgen

import (
	"io/fs"
	"path"

	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
)

// maxFileActions is the number of files above which one run of the helper is cheaper than the
// actions of a file op, each of which BuildKit prepares and stores by itself.
const maxFileActions = 8

type writeDocument struct {
	Files []action.File `json:"files"`
}

func (l *lowering) write(n graph.Node, a *graph.Write) (llb.State, error) {
	if len(a.Files) > maxFileActions {
		return l.exec(n, "write", writeDocument{a.Files}, nil, false)
	}
	var fa *llb.FileAction
	made := map[string]bool{"/": true}
	for _, f := range a.Files {
		p := clean(f.Path)
		if dir := path.Dir(p); !made[dir] {
			fa = mkdir(fa, dir, 0o755)
			for up := dir; !made[up]; up = path.Dir(up) {
				made[up] = true
			}
		}
		fa = writeFile(fa, p, f)
		made[p] = made[p] || f.Dir
	}
	if fa == nil {
		return llb.Scratch(), nil
	}
	return llb.Scratch().File(fa, l.meta(n)...), nil
}

func writeFile(fa *llb.FileAction, p string, f action.File) *llb.FileAction {
	switch {
	case f.Link != "" && fa == nil:
		return llb.Symlink(f.Link, p, llb.WithCreatedTime(epoch))
	case f.Link != "":
		return fa.Symlink(f.Link, p, llb.WithCreatedTime(epoch))
	case f.Dir:
		return mkdir(fa, p, modeOr(f.Mode, 0o755))
	}
	data := f.Data
	if data == nil {
		data = []byte(f.Text)
	}
	if fa == nil {
		return llb.Mkfile(p, modeOr(f.Mode, 0o644), data, llb.WithCreatedTime(epoch))
	}
	return fa.Mkfile(p, modeOr(f.Mode, 0o644), data, llb.WithCreatedTime(epoch))
}

func mkdir(fa *llb.FileAction, p string, mode fs.FileMode) *llb.FileAction {
	if fa == nil {
		return llb.Mkdir(p, mode, llb.WithParents(true), llb.WithCreatedTime(epoch))
	}
	return fa.Mkdir(p, mode, llb.WithParents(true), llb.WithCreatedTime(epoch))
}

func modeOr(mode uint32, def fs.FileMode) fs.FileMode {
	if mode == 0 {
		return def
	}
	return fs.FileMode(mode)
}
