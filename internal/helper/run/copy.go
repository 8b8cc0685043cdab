// Copying and moving trees.

package run

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// move renames, or copies where the two places are different mounts or the destination is a
// directory with something in it. A copied original stays where it is: it belongs to the
// container's file system, which is dropped.
func move(from, to string) error {
	err := os.Rename(from, to)
	for _, e := range []error{syscall.EXDEV, syscall.EBUSY, syscall.ENOTEMPTY, syscall.EEXIST} {
		if errors.Is(err, e) {
			return copyTree(from, to)
		}
	}
	return err
}

// copyTree copies a file, link or directory to exactly the path dst, whose parent exists. Contents
// and permission bits are kept, links are copied as they are, directories are merged into those
// that exist, and files replace files.
func copyTree(src, dst string) error {
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		return copyEntry(path, filepath.Join(dst, rel), d)
	})
}

func copyEntry(src, dst string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	if info.IsDir() {
		if err := os.Mkdir(dst, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// Never without the owner's bits: the content is still to come.
		return os.Chmod(dst, info.Mode().Perm()|0o700)
	}
	if err := os.Remove(dst); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch info.Mode().Type() {
	case 0:
		return copyFile(src, dst, info.Mode().Perm())
	case fs.ModeSymlink:
		target, err := os.Readlink(src)
		if err != nil {
			return err
		}
		return os.Symlink(target, dst)
	}
	return fmt.Errorf("%s is neither file, directory nor link (%v) and can't be copied", src, info.Mode().Type())
}

// copyFile copies by reflink or in the kernel where that is possible, which io.Copy sees to.
func copyFile(src, dst string, mode fs.FileMode) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	if err := out.Chmod(mode); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
