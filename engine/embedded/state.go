// The state directory: who owns it, whether its content can be trusted, which format it has.

package embedded

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mergefest/mergefest/engine"
)

// formatVersion of what is below engine.Layout.Data. It changes when an older program could not
// use the stores any more; newer formats are refused, older ones discarded.
const formatVersion = 1

// state is an owned state directory.
type state struct {
	engine.Layout
	lock *os.File
}

// openState takes a state directory for this process and prepares its data directory: discards it
// if it can't be trusted, and marks it as being in use.
func openState(ctx context.Context, o Options) (_ *state, err error) {
	dir := o.StateDir
	s := &state{Layout: engine.Layout{Dir: dir}}
	if s.lock, err = takeLock(ctx, s.Lock(), cmp.Or(o.LockWait, defaultLockWait)); err != nil {
		return nil, startError(dir, err)
	}
	defer func() {
		if err != nil {
			s.lock.Close()
			err = startError(dir, err)
		}
	}()
	if err := s.checkFormat(); err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	if old, err := os.ReadFile(s.marker()); err == nil && string(old) != boot {
		// The machine went down while the stores were open without fsync.
		if err := s.discard(); err != nil {
			return nil, err
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(s.Data(), 0o700); err != nil {
		return nil, err
	}
	if err := writeSync(s.format(), []byte(strconv.Itoa(formatVersion)+"\n")); err != nil {
		return nil, err
	}
	// The marker must be on the disk before the first write to a store is.
	if err := writeSync(s.marker(), []byte(boot)); err != nil {
		return nil, err
	}
	s.fillReserve()
	go s.emptyTrash()
	return s, nil
}

// makeStateDir makes the state directory and returns its path without symbolic links: BuildKit takes
// one in a path to be an escape of a container's, and then refuses to mount.
func makeStateDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(abs, 0o700)
	}
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", startError(dir, err)
	}
	return abs, nil
}

func (s *state) format() string { return filepath.Join(s.Data(), "format") }

// marker holds the boot id of the machine while stores are open.
func (s *state) marker() string { return filepath.Join(s.Data(), "open") }

// checkFormat refuses state of a newer program and discards that of an older one.
func (s *state) checkFormat() error {
	switch info, err := os.Lstat(s.Data()); {
	case err == nil && info.Mode()&fs.ModeSymlink != 0: // see makeStateDir
		return &engine.StartError{Kind: engine.KindOther, Message: fmt.Sprintf(
			"%s is a symbolic link, which it must not be; make the whole state directory a link, or name another directory with --state", s.Data())}
	case err == nil && !info.IsDir():
		return s.discard()
	}
	data, err := os.ReadFile(s.format())
	if errors.Is(err, fs.ErrNotExist) {
		if entries, err := os.ReadDir(s.Data()); err == nil && len(entries) > 0 {
			return s.discard() // killed before the format was written, or not ours
		}
		return nil
	} else if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(data)))
	switch {
	case err != nil || n < formatVersion:
		return s.discard()
	case n > formatVersion:
		return &engine.StartError{Kind: engine.KindNewer, Message: fmt.Sprintf(
			"state directory %s has format %d, and this mergefest knows formats up to %d: a newer mergefest wrote it; use that one, name another directory with --state, or remove %s",
			s.Dir, n, formatVersion, s.Data())}
	}
	return nil
}

// discard takes the data away at once and for good; emptyTrash removes it later.
func (s *state) discard() error {
	for i := 0; ; i++ {
		trash := filepath.Join(s.Dir, fmt.Sprintf("%s%d-%d", trashPrefix, time.Now().Unix(), i))
		err := os.Rename(s.Data(), trash)
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
			return nil
		case !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY):
			return err
		}
	}
}

const trashPrefix = "engine-trash-"

func (s *state) emptyTrash() {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), trashPrefix) {
			os.RemoveAll(filepath.Join(s.Dir, e.Name())) // what stays is tried again at the next start
		}
	}
}

// close gives the directory up. clean tells that all stores were closed without an error, so that
// their content can be trusted after the next start of the machine.
func (s *state) close(clean bool) error {
	defer s.lock.Close()
	if !clean {
		return nil
	}
	d, err := os.Open(s.Data())
	if err != nil {
		return err
	}
	defer d.Close()
	// One syncfs replaces the thousands of fsyncs that the stores didn't make.
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return err
	}
	return os.Remove(s.marker())
}

// takeLock makes this process the one server of a state directory.
func takeLock(ctx context.Context, path string, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ask := time.NewTicker(100 * time.Millisecond)
	defer ask.Stop()
	for deadline := time.Now().Add(wait); ; {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		select {
		case <-ask.C:
			// It may be starting, not closing: for a client that has gone since.
			if pid, ok := engine.Serving(ctx, filepath.Dir(path)); ok {
				f.Close()
				return nil, &engine.StartError{Kind: engine.KindServed, Message: fmt.Sprintf(
					"state directory %s is served by process %d already", filepath.Dir(path), pid)}
			}
		default:
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) || time.Now().After(deadline) || ctx.Err() != nil {
			owner, _ := os.ReadFile(path)
			f.Close()
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if !errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, fmt.Errorf("lock %s: %w", path, err)
			}
			return nil, &engine.StartError{Kind: engine.KindInUse, Message: fmt.Sprintf(
				"state directory %s is in use by process %s, which doesn't answer; wait for it, end it, or name another directory with --state",
				filepath.Dir(path), bytes.TrimSpace(owner))}
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(processID())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("the machine's boot id, by which a crash is noticed: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// writeSync writes a small file so that it survives the machine from its return on.
func writeSync(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// startError gives an error of the start its kind and its advice.
func startError(dir string, err error) error {
	var done *engine.StartError
	if errors.As(err, &done) {
		return done
	}
	e := &engine.StartError{Kind: engine.KindOther, Message: fmt.Sprintf("state directory %s: %v", dir, err)}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Kind = engine.KindDiskFull
		e.Message += "; free some space, or name a directory on another disk with --state"
	case errors.Is(err, syscall.EROFS):
		e.Kind = engine.KindReadOnly
		e.Message += "; name a directory that can be written with --state or MERGEFEST_STATE"
	case errors.Is(err, fs.ErrPermission):
		e.Kind = engine.KindPermission
		e.Message += "; name a directory of yours with --state or MERGEFEST_STATE"
	}
	return e
}
