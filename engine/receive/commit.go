package receive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
)

// Commit puts what was read in its place. Call it only if the archive was complete, which the reader alone
// can't tell.
func (r *Receiver) Commit() (Counts, error) {
	for _, step := range []struct {
		what string
		list []made
		do   func(made) error
	}{
		{"make the directory", r.dirs, func(m made) error { return r.root.Mkdir(m.path, 0o700) }},
		{"write", r.files, func(m made) error { return r.root.Rename(m.target, m.path) }},
		{"link", r.links, r.link},
		{"write", r.copies, r.copy},
		{"change the mode of", r.modes, func(m made) error { return r.root.Chmod(m.path, m.mode) }},
	} {
		for _, m := range step.list {
			if err := step.do(m); err != nil {
				return r.sum, fmt.Errorf("%s %s: %w", step.what, m.path, err)
			}
		}
	}
	// A directory may be one that its owner can't write to: content before its directory.
	for _, m := range slices.Backward(r.dirs) {
		if err := r.root.Chmod(m.path, m.mode); err != nil {
			return r.sum, fmt.Errorf("change the mode of %s: %w", m.path, err)
		}
	}
	return r.sum, nil
}

// link makes a symbolic link in one step, whatever is there.
func (r *Receiver) link(m made) error {
	tmp := path.Join(r.stage, "link")
	if err := r.root.Symlink(m.target, tmp); err != nil {
		return err
	}
	r.sum.Written++
	return r.root.Rename(tmp, m.path)
}

// copy gives a second name of a file a file of its own.
func (r *Receiver) copy(m made) error {
	from, err := r.root.Open(m.target)
	if err != nil {
		return err
	}
	defer from.Close()
	if old, err := r.root.Open(m.path); err == nil {
		_, differs, cerr := common(old, from)
		st, serr := old.Stat()
		end, rerr := old.Read(make([]byte, 1))
		old.Close()
		if cerr == nil && serr == nil && differs == nil && end == 0 && rerr == io.EOF && st.Mode().IsRegular() {
			r.sum.Unchanged++
			return r.root.Chmod(m.path, m.mode)
		}
		if _, err := from.Seek(0, io.SeekStart); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp := path.Join(r.stage, "copy")
	out, err := r.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, from)
	if err == nil {
		err = out.Chmod(m.mode)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	r.sum.Written++
	r.sum.Bytes += n
	return r.root.Rename(tmp, m.path)
}
