// Files, links and directories that a plan gives by value.

package place

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/mergefest/mergefest/graph/action"
)

// Check reports the first mistake of a list of files: a path given twice, or more than one kind
// of content.
func Check(files []action.File) error {
	seen := make(map[string]bool, len(files))
	for _, f := range files {
		kinds := 0
		for _, set := range []bool{f.Text != "", len(f.Data) > 0, f.Link != "", f.Dir} {
			if set {
				kinds++
			}
		}
		switch {
		case kinds > 1:
			return fmt.Errorf("file %q: more than one of text, data, link and dir is set", f.Path)
		case f.Mode&^0o777 != 0:
			return fmt.Errorf("file %q: mode %#o has more than permission bits", f.Path, f.Mode)
		case seen[f.Path]:
			return &ConflictError{f.Path, "is written twice"}
		}
		seen[f.Path] = true
	}
	return nil
}

// Files writes files below the output. They replace files and links that are there already, since
// they come from the plan and not from a package.
func (o *Output) Files(files []action.File) error {
	if err := Check(files); err != nil {
		return err
	}
	w := o.writer(nil)
	defer w.Close()
	for _, f := range files {
		elems, err := Split(f.Path)
		if err != nil {
			return err
		}
		if f.If != "" {
			there, err := o.Exists(f.If)
			if err != nil {
				return fmt.Errorf("write %s if there is %s: %w", f.Path, f.If, err)
			}
			if !there {
				continue
			}
		}
		if err := w.file(elems, f); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

// Exists tells whether there is something at a path below the output. A link at its end isn't followed.
func (o *Output) Exists(path string) (bool, error) {
	elems, err := Split(path)
	if err != nil {
		return false, err
	}
	_, err = o.root.Lstat(Join(elems))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	return err == nil, err
}

func (w *Writer) file(elems []string, f action.File) error {
	if f.Dir {
		if err := w.Dir(elems); err != nil || f.Mode == 0 || len(elems) == 0 {
			return err
		}
		return w.Chmod(elems, fs.FileMode(f.Mode))
	}
	if m, err := w.Mode(elems); err == nil && !m.IsDir() {
		if err := w.Remove(elems); err != nil {
			return err
		}
	}
	if f.Link != "" {
		return w.Symlink(elems, f.Link)
	}
	mode, data := fs.FileMode(f.Mode), f.Data
	if mode == 0 {
		mode = 0o644
	}
	if f.Text != "" {
		data = []byte(f.Text)
	}
	return w.File(elems, mode, data)
}
