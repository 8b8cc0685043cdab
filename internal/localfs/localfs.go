// Package localfs is the virtual file system through which a client's files reach an engine: for
// each Local node a directory that holds exactly the files of its list. A symbolic link stands for
// the file that it leads to; one that leads to a directory or nowhere is sent as a link.
//
// Whatever differs between machines without meaning anything is normalised: owners are 0, modes are
// 0644 or 0755, names come in one order. Modification times are derived from content. BuildKit
// transfers only files whose size, mode or time changed since the last transfer; with such times
// that comparison is one of content, so an edit that keeps the size and the clock is noticed, and a
// fresh checkout of the same content transfers nothing.
//
// A symbolic link to a file that the same directory doesn't send would lead nowhere in a container:
// the file is sent in its place. Other links are sent as they are, also those that lead nowhere on
// the client.
package localfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
	"golang.org/x/sync/errgroup"

	"github.com/mergefest/mergefest/graph"
)

const (
	// maxKept is the size up to which a file's bytes are kept from hashing to sending.
	maxKept = 1 << 20
	// maxKeptTotal bounds what is kept of all files; the others are read and hashed again.
	maxKeptTotal = 128 << 20
	// firstTime is the earliest modification time, 1980-01-01: the start of zip's range.
	firstTime = 315532800
)

// Dir is the directory of one Local node.
type Dir struct {
	Name  string   // path in the virtual file system, relative and clean
	Node  graph.ID // for messages
	Root  string   // the client's directory that sources are relative to
	Files []graph.LocalFile
}

// FS implements fsutil.FS. It is safe for concurrent use. What uses it to send files should run with
// Guard.
type FS struct {
	entries  []entry
	index    map[string]int
	digest   string
	failures failures
}

// entry is a file, symbolic link or directory.
type entry struct {
	path    string // relative, slashes
	dir     int    // index of its Dir in the list given to New; -1 for shared parents
	source  string // on the client; empty for a directory
	node    graph.ID
	mode    iofs.FileMode
	force   iofs.FileMode // the mode that the node asks for; 0 takes the file's
	size    int64
	link    string
	sum     [sha256.Size]byte
	kept    []byte
	isKept  bool
	sent    *atomic.Int64 // bytes that were asked for, plus one
	dirName string
}

// FileError is a file that a node lists and that can't be sent.
type FileError struct {
	Node graph.ID
	Path string // on the client
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Node, e.Path, e.Err) }
func (e *FileError) Unwrap() error { return e.Err }

// errChanged is the cause of a FileError when a file was written to during the build.
var errChanged = errors.New("the file changed while it was being sent; build again")

// New reads the files of all directories. Every file that can't be read is a *FileError.
func New(ctx context.Context, dirs []Dir) (*FS, error) {
	f := &FS{index: map[string]int{}}
	parents := map[string]bool{}
	for i, d := range dirs {
		for _, file := range d.Files {
			src := file.Source
			if src == "" {
				src = file.Path
			}
			p := path.Join(d.Name, file.Path)
			f.entries = append(f.entries, entry{
				path: p, dir: i, dirName: d.Name, node: d.Node, sent: new(atomic.Int64), force: iofs.FileMode(file.Mode),
				source: filepath.Join(d.Root, filepath.FromSlash(src)),
			})
			for up := path.Dir(p); up != "."; up = path.Dir(up) {
				parents[up] = true
			}
		}
		for up := path.Clean(d.Name); up != "."; up = path.Dir(up) {
			parents[up] = true
		}
	}
	for p := range parents {
		f.entries = append(f.entries, entry{path: p, dir: -1, mode: iofs.ModeDir | 0o755})
	}
	slices.SortFunc(f.entries, func(a, b entry) int { return fsutil.ComparePath(a.path, b.path) })
	for i, e := range f.entries {
		if _, dup := f.index[e.path]; dup {
			return nil, fmt.Errorf("%s: the path %s is listed twice", e.node, e.path)
		}
		f.index[e.path] = i
	}
	if err := f.readAll(ctx); err != nil {
		return nil, err
	}
	f.digest = f.sum()
	return f, nil
}

// readAll finds out the mode and content of every file.
func (f *FS) readAll(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(2 * runtime.GOMAXPROCS(0))
	var kept atomic.Int64
	errs := make([]error, len(f.entries))
	for i := range f.entries {
		e := &f.entries[i]
		if e.source == "" {
			continue
		}
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := f.read(e, &kept); err != nil {
				errs[i] = &FileError{Node: e.node, Path: e.source, Err: bare(err)}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// bare drops the path from an error that will be wrapped with it.
func bare(err error) error {
	var p *iofs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (f *FS) read(e *entry, kept *atomic.Int64) error {
	st, err := os.Lstat(e.source)
	if err != nil {
		return err
	}
	if st.Mode()&iofs.ModeSymlink != 0 {
		link, err := os.Readlink(e.source)
		if err != nil {
			return err
		}
		to, err := os.Stat(e.source)
		if f.inside(e, link) || err != nil || !to.Mode().IsRegular() {
			e.link, e.mode, e.sum = link, iofs.ModeSymlink|0o777, sha256.Sum256([]byte(link))
			return nil
		}
		st = to
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("it is a %s; only regular files and symbolic links can be sent", kind(st.Mode()))
	}
	switch {
	case e.force != 0:
		e.mode = e.force
	case st.Mode()&0o100 != 0:
		e.mode = 0o755
	default:
		e.mode = 0o644
	}
	file, err := os.Open(e.source)
	if err != nil {
		return err
	}
	defer file.Close()
	if st.Size() <= maxKept && kept.Add(st.Size()) <= maxKeptTotal {
		if e.kept, err = io.ReadAll(file); err != nil {
			return err
		}
		e.isKept, e.size, e.sum = true, int64(len(e.kept)), sha256.Sum256(e.kept)
		return nil
	}
	h := sha256.New()
	if e.size, err = io.Copy(h, file); err != nil {
		return err
	}
	h.Sum(e.sum[:0])
	return nil
}

// inside reports whether a link leads to something that the same directory sends, seen from where it
// will be.
func (f *FS) inside(e *entry, link string) bool {
	to := path.Join(path.Dir(e.path), filepath.ToSlash(link))
	if filepath.IsAbs(link) || to != e.dirName && !strings.HasPrefix(to, e.dirName+"/") {
		return false
	}
	_, ok := f.index[to]
	return ok
}

func kind(m iofs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&iofs.ModeNamedPipe != 0:
		return "pipe"
	case m&iofs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// sum is the digest of everything that is sent.
func (f *FS) sum() string {
	h := sha256.New()
	for _, e := range f.entries {
		fmt.Fprintf(h, "%q %o %d %x\n", e.path, e.mode, e.size, e.sum)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Digest identifies the whole content, in hex.
func (f *FS) Digest() string { return f.digest }

// stat is what the engine is told about an entry.
func (e *entry) stat() *types.Stat {
	return &types.Stat{
		Path: e.path, Mode: uint32(e.mode), Size: e.size, Linkname: e.link,
		ModTime: e.modTime().UnixNano(),
	}
}

// modTime spreads 51 bits of the content's digest over 24 days and the nanoseconds of a second.
func (e *entry) modTime() time.Time {
	if e.mode.IsDir() {
		return time.Unix(firstTime, 0).UTC()
	}
	bits := binary.BigEndian.Uint64(e.sum[:8])
	return time.Unix(firstTime+int64(bits>>43), int64(bits&(1<<30-1))%1_000_000_000).UTC()
}

// Walk implements fsutil.FS.
func (f *FS) Walk(ctx context.Context, target string, fn iofs.WalkDirFunc) error {
	target = strings.Trim(filepath.ToSlash(filepath.Clean(target)), "/")
	skip := "" // a directory that fn didn't want
	for i := range f.entries {
		e := &f.entries[i]
		if target != "" && target != "." && e.path != target && !strings.HasPrefix(e.path, target+"/") {
			continue
		}
		if skip != "" && strings.HasPrefix(e.path, skip+"/") {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch err := fn(filepath.FromSlash(e.path), &fsutil.DirEntryInfo{Stat: e.stat()}, nil); {
		case errors.Is(err, iofs.SkipAll):
			return nil
		case errors.Is(err, iofs.SkipDir):
			skip = e.path
			if !e.mode.IsDir() {
				skip = path.Dir(e.path)
			}
		case err != nil:
			return err
		}
	}
	return nil
}

// Open implements fsutil.FS. The bytes are those that were hashed: a file that has changed since
// fails to read.
func (f *FS) Open(p string) (io.ReadCloser, error) {
	i, ok := f.index[strings.Trim(filepath.ToSlash(p), "/")]
	if !ok || f.entries[i].source == "" {
		return nil, &iofs.PathError{Op: "open", Path: p, Err: iofs.ErrNotExist}
	}
	e := &f.entries[i]
	e.sent.Store(e.size + 1)
	if e.isKept {
		return io.NopCloser(bytes.NewReader(e.kept)), nil
	}
	file, err := os.Open(e.source)
	if err != nil {
		// The sender takes an error of Open for an empty file, so that it must come from Read.
		return io.NopCloser(failing{f.failures.fail(&FileError{Node: e.node, Path: e.source, Err: bare(err)})}), nil
	}
	return &verified{fs: f, file: file, hash: sha256.New(), entry: e}, nil
}

// Sent tells how many bytes of each directory an engine has asked for. A directory of which
// nothing was asked isn't in the map.
func (f *FS) Sent() map[string]int64 {
	sent := map[string]int64{}
	for i := range f.entries {
		if e := &f.entries[i]; e.sent != nil && e.sent.Load() > 0 {
			sent[e.dirName] += e.sent.Load() - 1
		}
	}
	return sent
}

// WriteTo makes the same tree as ordinary files below dir, for `buildctl build --local`.
func (f *FS) WriteTo(dir string) error {
	for i := range f.entries {
		if err := f.writeEntry(dir, &f.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f *FS) writeEntry(dir string, e *entry) error {
	dest := filepath.Join(dir, filepath.FromSlash(e.path))
	switch {
	case e.mode.IsDir():
		return os.MkdirAll(dest, 0o755)
	case e.link != "":
		if err := os.Remove(dest); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
		return os.Symlink(e.link, dest)
	}
	in, err := f.Open(e.path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dest, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, e.mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(dest, e.mode)
	}
	if err != nil {
		return err
	}
	return os.Chtimes(dest, e.modTime(), e.modTime())
}
