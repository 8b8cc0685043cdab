//go:build linux

// Sync: one export from beginning to end.

package export

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mergefest/mergefest/engine"
)

// Request is one export.
type Request struct {
	// Dest is the absolute path of the destination directory. It is made if it doesn't exist. It
	// may be a symbolic link; nothing below it may be one where the result has a directory.
	Dest string
	// Parts are what the destination gets.
	Parts []Part
	// StateDir is the directory of the manifests. Several processes may share it.
	StateDir string
	// Owner is who gets what is written; nil leaves it to this process. Only root can give away.
	Owner *Owner
	// Results names what is delivered, and the paths of each. What an earlier export wrote and this one
	// doesn't have is removed if it belongs to one of them; what belongs to other results stays.
	// None is one without a name.
	Results []engine.Delivery
	// Places is what whoever asks sees at Dest and at the mount points in it; where this process sees
	// other directories, the export fails with a PlaceError and changes nothing. nil compares nothing.
	Places []engine.Place
	// Workers is how many goroutines read and write; 0 is one for each processor.
	Workers int
	// Progress is told how many of the files that have to be written are. It is called by one
	// goroutine at a time, not for every file; nil is nobody.
	Progress func(done, total int)

	// fault is asked before every change of the destination or of the state, in tests.
	fault func(op, path string) error
}

// Summary says what a Sync did.
type Summary = engine.Summary

// Owner is a numeric user and group.
type Owner struct{ UID, GID int }

// Sync makes the destination hold the result of the parts. See the package's documentation for
// what that means. An error before the first visible change (all of ConflictError, FileTypeError,
// SelectError, LayerError, a cancelled ctx, a full disk) leaves the destination as it was. After any
// error, or the death of the process, the next Sync makes it right.
func Sync(ctx context.Context, req Request) (_ Summary, rerr error) {
	r := &run{req: req, owners: newOwners(req.Results), layers: map[string]*layer{}, stages: map[uint64]*stage{}}
	if r.req.Workers <= 0 {
		r.req.Workers = runtime.GOMAXPROCS(0)
	}
	r.bufs.New = func() any { return new([bufSize]byte) }
	if err := r.openDest(); err != nil {
		return Summary{}, err
	}
	defer unix.Close(r.root.fd)
	var err error
	if r.store, err = openStore(ctx, req.StateDir, r.dest.path); err != nil {
		return Summary{}, err
	}
	defer r.store.close()
	defer func() { rerr = errors.Join(rerr, r.closeLayers()) }()
	if err := r.loadState(); err != nil {
		return Summary{}, err
	}
	if err := r.buildTree(ctx); err != nil {
		return Summary{}, err
	}
	if err := r.plan(ctx); err != nil {
		return Summary{}, err
	}
	err = r.stage(ctx)
	if err == nil {
		err = r.commit()
	}
	err = errors.Join(err, r.dropStages())
	return r.sum, err
}

// run is the state of one Sync.
type run struct {
	req   Request
	root  *opener
	dest  identity
	store *store
	bufs  sync.Pool // of *[bufSize]byte
	copier

	// What earlier exports left.
	first  bool               // no manifest was there
	recs   []record           // in order of path
	old    map[string]*record // recs by path
	oldIDs []string           // IDs of the layers that recs name

	// What is wanted.
	owners  owners
	layers  map[string]*layer // by ID
	order   []*layer          // in order of first use
	listing map[string][]entry
	tree    *node

	// What is to be done.
	mu     sync.Mutex
	items  []*item  // to write
	chmods []*chmod // to correct
	remove []*record
	later  []*chmod // modes of directories that can be set only in the end
	stages map[uint64]*stage
	dirty  bool // the manifest has to change
	total  int  // files to write
	done   int
	sum    Summary
}

// step is where tests make a run fail.
func (r *run) step(op, path string) error {
	if r.req.fault == nil {
		return nil
	}
	return r.req.fault(op, path)
}

func (r *run) abs(path string) string { return filepath.Join(r.dest.path, path) }

// openDest makes, finds and opens the destination.
func (r *run) openDest() error {
	if !filepath.IsAbs(r.req.Dest) {
		return &WriteError{Op: "export to", Path: r.req.Dest, Err: errors.New("the path must be absolute")}
	}
	if err := os.MkdirAll(r.req.Dest, 0o755); err != nil {
		return &WriteError{Op: "create", Path: r.req.Dest, Err: bare(err)}
	}
	path, err := filepath.EvalSymlinks(r.req.Dest)
	if err != nil {
		return &WriteError{Op: "open", Path: r.req.Dest, Err: bare(err)}
	}
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return &WriteError{Op: "open", Path: path, Err: err}
	}
	r.root = &opener{fd: fd}
	var st unix.Statx_t
	err = retry(func() error {
		return unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &st)
	})
	if err != nil {
		unix.Close(fd)
		return &WriteError{Op: "stat", Path: path, Err: err}
	}
	r.dest = identity{path: path, dev: unix.Mkdev(st.Dev_major, st.Dev_minor), ino: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		r.dest.born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return nil
}

// buildTree lists the layers and lays them over each other.
func (r *run) buildTree(ctx context.Context) error {
	for _, p := range r.req.Parts {
		for _, l := range p.Layers {
			if r.layers[l.ID] == nil {
				entries, listed := r.listing[l.ID]
				in := &layer{Layer: l, entries: entries, listed: listed}
				r.layers[l.ID] = in
				r.order = append(r.order, in)
			}
		}
	}
	err := runPool(ctx, r.req.Workers, func(p *pool) {
		for _, l := range slices.Backward(r.order) { // the pool takes the last one first
			if !l.listed {
				p.add(func() error { return l.list(ctx) })
			}
		}
	})
	if err != nil {
		return err
	}
	r.tree = newDir()
	for _, p := range r.req.Parts {
		if err := r.addPart(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) addPart(p Part) error {
	path, ok1 := cleanPath(p.Path)
	dest, ok2 := cleanPath(p.Dest)
	if !ok1 || !ok2 {
		return &SelectError{Path: p.Path + " (for " + p.Dest + ")"}
	}
	t := newDir()
	for _, l := range p.Layers {
		t.apply(r.layers[l.ID])
	}
	if t = t.find(path); t == nil {
		return &SelectError{Path: path}
	}
	if dest == "" && t.kind != kindDir {
		_, dest = split(path)
	}
	r.tree.graft(dest, t)
	return nil
}

func (r *run) closeLayers() error {
	var errs []error
	for _, l := range r.order {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// source returns the ID of the layer of a record.
func (r *run) source(rec *record) string {
	if rec.layer < 0 {
		return ""
	}
	return r.oldIDs[rec.layer]
}

// manifest describes what the run leaves.
func (r *run) manifest() *manifest {
	m := &manifest{dest: r.dest}
	index := make(map[*layer]int, len(r.order))
	for i, l := range r.order {
		index[l] = i
		m.layers = append(m.layers, listing{id: l.ID, entries: l.entries})
	}
	r.tree.walk("", func(path string, n *node) {
		rec := n.rec
		rec.path, rec.kind, rec.mode, rec.src, rec.layer = path, n.kind, n.mode, n.src, -1
		rec.owner = r.owners.of(path)
		if n.from != nil {
			rec.layer = index[n.from]
		}
		m.recs = append(m.recs, rec)
	})
	r.carry(m)
	return m
}
