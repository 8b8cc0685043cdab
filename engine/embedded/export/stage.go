//go:build linux

// Staging: new content is written to a hidden directory of the destination, complete, before
// anything that is visible changes.

package export

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// stagePrefix begins the names of staging directories; 16 hexadecimal digits follow. Their owner
// holds a flock on them, so what is left of a killed run is told from what is in use.
const stagePrefix = ".mergefest-stage-"

// filesPerJob is how many files one goroutine writes before another one may help.
const filesPerJob = 256

// stage is a staging directory. It is on the same file system as what will be renamed out of it.
type stage struct {
	opener
	parent string
	name   string
	next   int
}

// stage writes all items. The directories that they go to are not touched.
func (r *run) stage(ctx context.Context) error {
	for _, it := range r.items {
		s, err := r.stageFor(it.mount)
		if err != nil {
			return err
		}
		it.stage, it.name = s, strconv.Itoa(s.next)
		s.next++
	}
	return runPool(ctx, r.req.Workers, func(p *pool) {
		var files []*item
		for _, it := range slices.Backward(r.items) { // the pool takes the last one first
			if it.n.kind == kindDir {
				p.add(func() error { return r.stageDir(ctx, p, it.stage, it.name, it.path, it.n) })
			} else {
				files = append(files, it)
			}
		}
		for chunk := range slices.Chunk(files, filesPerJob) {
			p.add(func() error {
				for _, it := range chunk {
					if err := r.write(ctx, it.stage.fd, it.name, it.path, it.n); err != nil {
						return err
					}
				}
				return nil
			})
		}
	})
}

// stageFor returns the staging directory of a file system.
func (r *run) stageFor(m place) (*stage, error) {
	if s := r.stages[m.dev]; s != nil {
		return s, nil
	}
	parent, err := r.root.dir(m.path)
	if err != nil {
		return nil, r.openError(m.path, err)
	}
	defer unix.Close(parent)
	for {
		s, err := r.makeStage(parent, m.path)
		if err != nil {
			return nil, err
		}
		if s != nil {
			r.stages[m.dev] = s
			return s, nil
		}
	}
}

// makeStage makes and locks a staging directory; nil if another run swept it before it was locked.
func (r *run) makeStage(parent int, path string) (*stage, error) {
	var random [8]byte
	rand.Read(random[:])
	s := &stage{parent: path, name: stagePrefix + hex.EncodeToString(random[:])}
	at := r.abs(join(path, s.name))
	if err := r.step("mkdir", at); err != nil {
		return nil, err
	}
	if err := retry(func() error { return unix.Mkdirat(parent, s.name, 0o700) }); err != nil {
		return nil, &WriteError{Op: "create", Path: at, Err: err}
	}
	fd, err := openat(parent, s.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	} else if err != nil {
		return nil, &WriteError{Op: "open", Path: at, Err: err}
	}
	var st unix.Stat_t
	if err = retry(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }); err == nil {
		err = fstat(fd, &st)
	}
	if err != nil || st.Nlink == 0 {
		unix.Close(fd)
		if err == nil || errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, &WriteError{Op: "lock", Path: at, Err: err}
	}
	s.fd = fd
	return s, nil
}

// sweepStages removes the staging directories that killed runs left in a directory.
func (r *run) sweepStages(dirfd int, path string) error {
	list, err := names(dirfd, make([]byte, 32<<10))
	if err != nil {
		return &WriteError{Op: "list", Path: r.abs(path), Err: err}
	}
	for _, name := range list {
		rest, ok := strings.CutPrefix(name, stagePrefix)
		if !ok || len(rest) != 16 {
			continue
		}
		fd, err := openat(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue // gone, or not a staging directory
		}
		err = retry(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
		if err == nil {
			if err = r.step("sweep", join(path, name)); err == nil {
				err = removeTree(dirfd, name)
			}
		}
		unix.Close(fd)
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
			return &WriteError{Op: "remove", Path: r.abs(join(path, name)), Err: err}
		}
	}
	return nil
}

// dropStages removes this run's staging directories.
func (r *run) dropStages() error {
	var errs []error
	for _, s := range r.stages {
		errs = append(errs, r.dropStage(s))
		unix.Close(s.fd)
	}
	return errors.Join(errs...)
}

func (r *run) dropStage(s *stage) error {
	at := r.abs(join(s.parent, s.name))
	if err := r.step("sweep", at); err != nil {
		return err
	}
	parent, err := r.root.dir(s.parent)
	if err == nil {
		defer unix.Close(parent)
		err = removeTree(parent, s.name)
	}
	if err != nil {
		return &WriteError{Op: "remove", Path: at, Err: err}
	}
	return nil
}

// stageDir makes a directory with its content at a path of the staging directory. path is where it
// will be.
func (r *run) stageDir(ctx context.Context, p *pool, s *stage, at, path string, n *node) error {
	if err := r.step("mkdir", path); err != nil {
		return err
	}
	err := retry(func() error { return unix.Mkdirat(s.fd, at, n.mode|0o700) })
	if err != nil {
		return &WriteError{Op: "create", Path: r.abs(path), Err: err}
	}
	fd, err := s.dir(at)
	if err != nil {
		return &WriteError{Op: "open", Path: r.abs(path), Err: err}
	}
	defer unix.Close(fd)
	if err := r.finishDir(fd, path, n); err != nil {
		return &WriteError{Op: "change the mode of", Path: r.abs(path), Err: err}
	}
	var files []string
	for _, name := range n.sorted() {
		kid := n.kids[name]
		if kid.kind == kindDir {
			p.add(func() error { return r.stageDir(ctx, p, s, at+"/"+name, join(path, name), kid) })
		} else {
			files = append(files, name)
		}
	}
	for i := filesPerJob; i < len(files); i += filesPerJob {
		chunk := files[i:min(i+filesPerJob, len(files))]
		p.add(func() error {
			fd, err := s.dir(at)
			if err != nil {
				return &WriteError{Op: "open", Path: r.abs(path), Err: err}
			}
			defer unix.Close(fd)
			return r.writeAll(ctx, fd, path, n, chunk)
		})
	}
	return r.writeAll(ctx, fd, path, n, files[:min(len(files), filesPerJob)])
}

func (r *run) writeAll(ctx context.Context, fd int, path string, n *node, files []string) error {
	for _, name := range files {
		if err := r.write(ctx, fd, name, join(path, name), n.kids[name]); err != nil {
			return err
		}
	}
	return nil
}

// finishDir sets owner and mode of a new directory. A mode that would keep its owner from filling
// or renaming it is set in the end.
func (r *run) finishDir(fd int, path string, n *node) error {
	var st unix.Stat_t
	if err := r.chown(fd); err != nil {
		return err
	}
	if err := fstat(fd, &st); err != nil {
		return err
	}
	n.rec.stat.ino, n.rec.made = st.Ino, true
	if n.mode&0o700 != 0o700 {
		r.mu.Lock()
		r.later = append(r.later, &chmod{path: path, n: n, mode: n.mode})
		r.mu.Unlock()
	} else if st.Mode&0o777 != n.mode {
		return retry(func() error { return unix.Fchmod(fd, n.mode) })
	}
	return nil
}

func (r *run) chown(fd int) error {
	if o := r.req.Owner; o != nil {
		return retry(func() error { return unix.Fchown(fd, o.UID, o.GID) })
	}
	return nil
}

// write makes a file or link. path is where it will be.
func (r *run) write(ctx context.Context, dirfd int, name, path string, n *node) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := r.step("create", path); err != nil {
		return err
	}
	var err error
	if n.kind == kindLink {
		err = r.writeLink(dirfd, name, n)
	} else {
		err = r.writeFile(ctx, dirfd, name, n)
	}
	var unreadable *LayerError
	if errors.As(err, &unreadable) {
		return err
	} else if err != nil {
		return &WriteError{Op: "write", Path: r.abs(path), Err: err}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	r.sum.Written++
	r.sum.Bytes += n.size
	if r.req.Progress != nil && (r.done%64 == 0 || r.done == r.total) {
		r.req.Progress(r.done, r.total)
	}
	return nil
}

func (r *run) writeLink(dirfd int, name string, n *node) error {
	if err := retry(func() error { return unix.Symlinkat(n.link, dirfd, name) }); err != nil {
		return err
	}
	if o := r.req.Owner; o != nil {
		if err := unix.Fchownat(dirfd, name, o.UID, o.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := lstatat(dirfd, name, &st); err != nil {
		return err
	}
	n.rec.stat = statOf(&st)
	return nil
}

func (r *run) writeFile(ctx context.Context, dirfd int, name string, n *node) (err error) {
	src, err := r.openSource(ctx, n)
	if err != nil {
		return err
	}
	defer unix.Close(src)
	dst, err := openat(dirfd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, n.mode)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := unix.Close(dst); err == nil {
			err = cerr // some file systems report a full disk here
		}
	}()
	buf := r.bufs.Get().(*[bufSize]byte)
	defer r.bufs.Put(buf)
	if err := r.copy(dst, src, n.size, buf[:]); err != nil {
		return err
	}
	if err := r.chown(dst); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := fstat(dst, &st); err != nil {
		return err
	}
	if st.Mode&0o7777 != n.mode {
		if err := retry(func() error { return unix.Fchmod(dst, n.mode) }); err != nil {
			return err
		}
		if err := fstat(dst, &st); err != nil {
			return err
		}
	}
	n.rec.stat = statOf(&st)
	return nil
}
