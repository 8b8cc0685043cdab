// Write: a file op, or an exec op if there are very many files.

package llbgen

import (
	"os"
	"path"
	"time"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
	"github.com/moby/buildkit/client/llb"
)

// maxFileActions is the number of files above which the helper writes them. Up to there a file op
// took less time than a run of the helper, with 5 to 1000 files, on the embedded engine (0.5 to 0.8
// times) and on a stock one (0.2 to 0.8 times). Beyond it, an op with that many actions is rather
// slow to check: BuildKit walks the chain of actions in front of each.
const maxFileActions = 1000

// writeDocument is the helper's document of a write.
type writeDocument struct {
	Files []action.File `json:"files"`
}

func fileTime() llb.CreatedTime { return llb.WithCreatedTime(time.Unix(FileTime, 0).UTC()) }

func (l *lowerer) write(n graph.Node, a *graph.Write) (result, error) {
	if len(a.Files) > maxFileActions {
		doc, err := document(writeDocument{Files: a.Files})
		if err != nil {
			return result{}, err
		}
		return l.exec(execution{node: n, command: "write", doc: doc})
	}
	if len(a.Files) == 0 {
		return result{state: llb.Scratch()}, nil
	}
	var fa *llb.FileAction
	add := func(next *llb.FileAction, chained func() *llb.FileAction) {
		if fa == nil {
			fa = next
		} else {
			fa = chained()
		}
	}
	mkdir := func(p string, mode os.FileMode) {
		opts := []llb.MkdirOption{llb.WithParents(true), fileTime()}
		add(llb.Mkdir(p, mode, opts...), func() *llb.FileAction { return fa.Mkdir(p, mode, opts...) })
	}
	// Directories come with their own mode, before a file would make them with the usual one.
	made := map[string]bool{"/": true}
	for _, f := range a.Files {
		if f.Dir {
			mkdir("/"+f.Path, fileMode(f.Mode, 0o755))
			made["/"+f.Path] = true
		}
	}
	for _, f := range a.Files {
		if f.Dir {
			continue
		}
		p := "/" + f.Path
		if dir := path.Dir(p); !made[dir] {
			made[dir] = true
			mkdir(dir, 0o755)
		}
		if f.Link != "" {
			add(llb.Symlink(f.Link, p, fileTime()), func() *llb.FileAction { return fa.Symlink(f.Link, p, fileTime()) })
			continue
		}
		data := f.Data
		if f.Text != "" {
			data = []byte(f.Text)
		}
		mode := fileMode(f.Mode, 0o644)
		add(llb.Mkfile(p, mode, data, fileTime()), func() *llb.FileAction { return fa.Mkfile(p, mode, data, fileTime()) })
	}
	st := llb.Scratch().File(fa, describe(n.ID, "")...)
	return result{state: st}, l.own(n.ID, st)
}

func fileMode(mode uint32, usual os.FileMode) os.FileMode {
	if mode == 0 {
		return usual
	}
	return os.FileMode(mode)
}
