//go:build linux

// The state directory: manifests, intents and locks, by destination.

package export

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// store is the state of one destination. Its files are named after the hash of the destination's
// canonical path:
//
//	<hash>.lock      held (flock) by the process that exports there
//	<hash>.manifest  what the last complete export left
//	<hash>.intent    what the export that is changing the destination is going to leave
type store struct {
	dir, base string
	lock      *os.File
}

// openStore locks the state of a destination. It waits for another export to the same
// destination, in this process or another one, as long as ctx lives.
func openStore(ctx context.Context, dir, dest string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &StateError{Path: dir, Err: err}
	}
	sum := sha256.Sum256([]byte(dest))
	s := &store{dir: dir, base: filepath.Join(dir, hex.EncodeToString(sum[:16]))}
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		ok, err := s.tryLock()
		if err != nil {
			return nil, &StateError{Path: s.base + ".lock", Err: err}
		}
		if ok {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

func (s *store) tryLock() (bool, error) {
	f, err := os.OpenFile(s.base+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, err
	}
	err = retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return false, nil
		}
		return false, err
	}
	// The sweep of another export may have removed the file between opening and locking it.
	held, err1 := f.Stat()
	named, err2 := os.Stat(f.Name())
	if err1 != nil || err2 != nil || !os.SameFile(held, named) {
		f.Close()
		return false, nil
	}
	s.lock = f
	return true, nil
}

func (s *store) close() { s.lock.Close() }

// load reads a manifest or intent (by its suffix). One that doesn't exist, or that describes
// another directory which had the same path, is nil. One that can't be used is nil with a note.
func (s *store) load(suffix string, dest identity) (m *manifest, note string, err error) {
	data, err := os.ReadFile(s.base + suffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	} else if err != nil {
		return nil, "", &StateError{Path: s.base + suffix, Err: err}
	}
	m, err = decode(data)
	if err != nil {
		return nil, fmt.Sprintf("the record of the last export to %s couldn't be used (%v): files that only it wrote are left in place", dest.path, err), nil
	}
	if m.dest != dest {
		return nil, "", nil
	}
	return m, "", nil
}

// save replaces a manifest or intent in one step.
func (s *store) save(suffix string, m *manifest) error {
	tmp := s.base + ".tmp"
	err := os.WriteFile(tmp, m.encode(), 0o600)
	if err == nil {
		err = os.Rename(tmp, s.base+suffix)
	}
	if err != nil {
		os.Remove(tmp)
		return &StateError{Path: s.base + suffix, Err: err}
	}
	return nil
}

func (s *store) remove(suffix string) error {
	if err := os.Remove(s.base + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &StateError{Path: s.base + suffix, Err: err}
	}
	return nil
}

// sweep forgets destinations that don't exist any more. It does what it can: what it leaves costs
// space only.
func (s *store) sweep() {
	all, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, file := range all {
		name, ok := strings.CutSuffix(file.Name(), ".manifest")
		if !ok {
			continue
		}
		path := filepath.Join(s.dir, file.Name())
		other := &store{dir: s.dir, base: filepath.Join(s.dir, name)}
		if other.base == s.base || !destGone(path) {
			continue
		}
		if ok, err := other.tryLock(); err != nil || !ok {
			continue
		}
		for _, suffix := range []string{".intent", ".tmp", ".manifest", ".lock"} {
			os.Remove(other.base + suffix)
		}
		other.close()
	}
}

// destGone tells, from the beginning of a manifest, whether its destination has disappeared.
func destGone(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	buf := make([]byte, len(format)+10+4096)
	n, err := f.Read(buf)
	if err != nil || n < len(format) || string(buf[:len(format)]) != format {
		return false
	}
	r := &decoder{buf: buf[len(format):n]}
	dest := r.str()
	if r.bad {
		return false
	}
	_, err = os.Lstat(dest)
	return errors.Is(err, fs.ErrNotExist)
}
