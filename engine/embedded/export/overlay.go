//go:build linux

// What overlayfs keeps in its directories: whiteouts, and attributes of directories and files.

package export

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func isWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// attrs are overlayfs's attributes of one file.
type attrs struct{ opaque, metacopy bool }

// overlayAttrs reads them. A directory whose content is elsewhere is ErrNotSeparable.
func overlayAttrs(fd int) (attrs, error) {
	var a attrs
	for _, space := range []string{"trusted.overlay.", "user.overlay."} {
		value, err := xattr(fd, space+"opaque")
		if err != nil {
			return a, err
		}
		a.opaque = a.opaque || value == "y"
		if value, err = xattr(fd, space+"redirect"); err != nil {
			return a, err
		} else if value != "" {
			return a, ErrNotSeparable
		}
		n, err := xattrSize(fd, space+"metacopy")
		if err != nil {
			return a, err
		}
		a.metacopy = a.metacopy || n >= 0
	}
	return a, nil
}

// xattrSize is the length of an attribute's value, or -1 if there is none.
func xattrSize(fd int, name string) (int, error) {
	var n int
	err := retry(func() (err error) { n, err = unix.Fgetxattr(fd, name, nil); return err })
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP):
		return -1, nil
	}
	return -1, err
}

// xattr reads an attribute; "" if there is none.
func xattr(fd int, name string) (string, error) {
	n, err := xattrSize(fd, name)
	if err != nil || n <= 0 {
		return "", err
	}
	buf := make([]byte, n)
	err = retry(func() (err error) { n, err = unix.Fgetxattr(fd, name, buf); return err })
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// view looks names up in stacked directories, as overlayfs does.
type view struct{ dirs []*opener } // highest first

func openView(below []string) (*view, error) {
	v := &view{}
	for _, path := range slices.Backward(below) {
		fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			v.close()
			return nil, err
		}
		v.dirs = append(v.dirs, &opener{fd: fd})
	}
	return v, nil
}

func (v *view) close() {
	for _, o := range v.dirs {
		unix.Close(o.fd)
	}
}

// has says whether the view shows something at path.
func (v *view) has(path string) (bool, error) {
	dir, name := split(path)
	list, err := v.names(dir)
	if err != nil {
		return false, err
	}
	_, found := slices.BinarySearch(list, name)
	return found, nil
}

// names lists a directory of the view in order of name; a directory that isn't shown is empty.
func (v *view) names(path string) ([]string, error) {
	var shown []string
	gone := map[string]bool{}
	buf := make([]byte, 8192)
	for _, o := range v.dirs {
		list, last, err := v.layerNames(o, path, buf)
		if err != nil {
			return nil, err
		}
		for name, present := range list {
			if _, decided := gone[name]; !decided {
				gone[name] = !present
				if present {
					shown = append(shown, name)
				}
			}
		}
		if last {
			break
		}
	}
	slices.Sort(shown)
	return shown, nil
}

// layerNames lists a directory of one layer: false marks a whiteout. last says that the layer
// hides the ones below it there.
func (v *view) layerNames(o *opener, path string, buf []byte) (list map[string]bool, last bool, err error) {
	at := ""
	for name := range strings.SplitSeq(path, "/") {
		if path == "" {
			break
		}
		opaque, err := v.enter(o, at, name)
		if err != nil || opaque == gone {
			return nil, opaque == gone, err
		}
		if opaque == missing {
			return nil, last, nil
		}
		last = last || opaque == closed
		at = join(at, name)
	}
	fd, err := o.dir(path)
	if err != nil {
		return nil, false, err
	}
	defer unix.Close(fd)
	all, err := names(fd, buf)
	if err != nil {
		return nil, false, err
	}
	list = map[string]bool{}
	for _, name := range all {
		var st unix.Stat_t
		if err := lstatat(fd, name, &st); err != nil {
			return nil, false, err
		}
		list[name] = !isWhiteout(&st)
	}
	return list, last, nil
}

// How a name in one layer bears on the layers below it.
type passage int

const (
	missing passage = iota // the layer doesn't have it
	gone                   // it is no directory: nothing below shows
	through                // a directory, joined with those below
	closed                 // an opaque directory
)

func (v *view) enter(o *opener, dir, name string) (passage, error) {
	parent, err := o.dir(dir)
	if err != nil {
		return missing, err
	}
	defer unix.Close(parent)
	var st unix.Stat_t
	err = lstatat(parent, name, &st)
	switch {
	case errors.Is(err, unix.ENOENT):
		return missing, nil
	case err != nil:
		return missing, err
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return gone, nil
	}
	fd, err := openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return missing, err
	}
	defer unix.Close(fd)
	a, err := overlayAttrs(fd)
	switch {
	case err != nil:
		return missing, err
	case a.opaque:
		return closed, nil
	}
	return through, nil
}
