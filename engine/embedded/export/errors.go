//go:build linux

// The errors of an export: what is wrong, where, and what to do about it.

package export

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ConflictError means that something which no export wrote is in the way. Nothing was changed.
type ConflictError struct {
	Dest string // the destination directory
	Path string // what is in the way, relative to Dest
	Have string // what it is: "a symbolic link"
	Want string // what the result has there: "a directory"
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s is %s, but the result has %s there; nothing was changed: move it away, or choose another output directory",
		filepath.Join(e.Dest, e.Path), e.Have, e.Want)
}

// PlaceError means that whoever asked for the export sees another directory at a path. Nothing was
// changed.
type PlaceError struct{ Path string } // absolute

func (e *PlaceError) Error() string {
	return fmt.Sprintf("the engine sees another directory at %s: it was started before something was mounted or unmounted there, or in another mount namespace; nothing was written: run `mergefest engine stop`, and build again", e.Path)
}

// FileTypeError means that a layer holds something that isn't a file, directory or symbolic link.
type FileTypeError struct {
	Layer string // the layer's ID
	Path  string // relative to the layer
	Type  string // "a device"
}

func (e *FileTypeError) Error() string {
	return fmt.Sprintf("the result has %s at %s, which can't be exported to a directory; leave it out of the result", e.Type, e.Path)
}

// SelectError means that a part names something that its layers don't have.
type SelectError struct{ Path string }

func (e *SelectError) Error() string { return fmt.Sprintf("the result has no %s", e.Path) }

// LayerError is a failure to read a layer.
type LayerError struct {
	Layer string // the layer's ID
	Path  string // relative to the layer; may be empty
	Err   error
}

func (e *LayerError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("read layer %s: %v", e.Layer, e.Err)
	}
	return fmt.Sprintf("read %s of layer %s: %v", e.Path, e.Layer, e.Err)
}

func (e *LayerError) Unwrap() error { return e.Err }

// WriteError is a failure to change the destination.
type WriteError struct {
	Op   string // "create", "rename", …
	Path string // absolute
	Err  error
}

func (e *WriteError) Error() string {
	advice := ""
	switch {
	case errors.Is(e.Err, unix.ENOSPC), errors.Is(e.Err, unix.EDQUOT):
		advice = "; free some space there and build again"
	case errors.Is(e.Err, unix.EROFS):
		advice = "; choose an output directory on a writable file system"
	case errors.Is(e.Err, unix.EACCES), errors.Is(e.Err, unix.EPERM):
		advice = "; choose an output directory that you may write to"
	}
	return fmt.Sprintf("%s %s: %v%s", e.Op, e.Path, e.Err, advice)
}

func (e *WriteError) Unwrap() error { return e.Err }

// bare drops the path of an error of package os, for messages that name it already.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// StateError is a failure to use the directory of the manifests.
type StateError struct {
	Path string
	Err  error
}

func (e *StateError) Error() string {
	return fmt.Sprintf("record of the exports: %s: %v; make the state directory writable, or name another one", e.Path, e.Err)
}

func (e *StateError) Unwrap() error { return e.Err }

// ErrNotSeparable means that a layer's directory doesn't hold all that the layer changes (overlay
// redirects and metadata-only copies). The caller exports the mounted whole as one layer instead.
var ErrNotSeparable = errors.New("the layer's directory alone doesn't tell its content")
