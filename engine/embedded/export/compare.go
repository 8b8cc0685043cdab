//go:build linux

// Comparing one file of the destination with the wanted one.

package export

import (
	"context"

	"golang.org/x/sys/unix"
)

// sameSource says whether a record came from where a node comes from.
func (r *run) sameSource(rec *record, n *node) bool {
	id := ""
	if n.from != nil {
		id = n.from.ID
	}
	return rec.src == n.src && r.source(rec) == id
}

// sameFile says whether a file or link that exists is as wanted. If so it notes what the manifest
// will say about it, and a correction of the mode if that is all that it takes.
//
// The manifest's word counts only if nothing about the file has changed since it was written:
// inode, size, times, mode. Else, and for a file of another layer, the content is compared.
func (r *run) sameFile(ctx context.Context, dirfd int, name, path string, n *node, rec *record, st *unix.Stat_t) (bool, error) {
	if rec != nil {
		rec.seen = true
	}
	if !r.rightOwner(st) {
		return false, nil
	}
	n.rec.stat = statOf(st)
	unchanged := rec != nil && rec.kind == n.kind && rec.stat == n.rec.stat && r.sameSource(rec, n)
	if !unchanged || rec.owner != r.owners.of(path) {
		r.setDirty()
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		if n.kind != kindLink {
			return false, nil
		}
		if unchanged {
			return true, nil
		}
		target, err := readlinkat(dirfd, name, st.Size)
		return err == nil && target == n.link, nil
	case unix.S_IFREG:
		if n.kind != kindFile || st.Size != n.size {
			return false, nil
		}
	default:
		return false, nil
	}
	if !unchanged {
		same, err := r.compare(ctx, dirfd, name, n)
		if err != nil || !same {
			return false, err
		}
	}
	if st.Mode&0o7777 == n.mode {
		return true, nil
	}
	if st.Nlink > 1 {
		return false, nil // its other name may be none of our business
	}
	r.mu.Lock()
	r.chmods = append(r.chmods, &chmod{path: path, n: n, mode: n.mode})
	r.dirty = true
	r.mu.Unlock()
	return true, nil
}

func (r *run) rightOwner(st *unix.Stat_t) bool {
	o := r.req.Owner
	return o == nil || int(st.Uid) == o.UID && int(st.Gid) == o.GID
}

// compare compares the content of a regular file of the right size. One that can't be read is
// different.
func (r *run) compare(ctx context.Context, dirfd int, name string, n *node) (bool, error) {
	if n.size == 0 {
		return true, nil
	}
	have, err := openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, nil
	}
	defer unix.Close(have)
	want, err := r.openSource(ctx, n)
	if err != nil {
		return false, err
	}
	defer unix.Close(want)
	buf := r.bufs.Get().(*[bufSize]byte)
	defer r.bufs.Put(buf)
	same, err := sameContent(have, want, n.size, buf[:])
	return same && err == nil, nil
}

// openSource opens a file of a layer.
func (r *run) openSource(ctx context.Context, n *node) (int, error) {
	src, err := n.from.open(ctx)
	if err != nil {
		return -1, err
	}
	fd, err := openat(unix.AT_FDCWD, src.Dir+"/"+n.src, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, &LayerError{Layer: n.from.ID, Path: n.src, Err: err}
	}
	return fd, nil
}
