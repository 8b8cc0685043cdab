// Transfers with the protocol that engines use.

package localfs

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
	"golang.org/x/sync/errgroup"

	"github.com/mergefest/mergefest/graph"
)

// stream is one end of a connection in memory.
type stream struct {
	ctx     context.Context
	in, out chan []byte
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) SendMsg(m any) error {
	data, err := m.(*types.Packet).MarshalVT()
	if err != nil {
		return err
	}
	select {
	case s.out <- data:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

func (s *stream) RecvMsg(m any) error {
	select {
	case data, open := <-s.in:
		if !open {
			return io.EOF
		}
		return m.(*types.Packet).UnmarshalVT(data)
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// transfer sends a file system to a directory as an engine receives local files.
func transfer(t *testing.T, f *FS, dest string) error {
	t.Helper()
	guarded, release := f.Guard(t.Context())
	defer release()
	g, ctx := errgroup.WithContext(guarded)
	a, b := make(chan []byte, 16), make(chan []byte, 16)
	g.Go(func() error {
		defer close(b)
		return fsutil.Send(ctx, &stream{ctx: ctx, in: a, out: b}, f, nil)
	})
	g.Go(func() error {
		return fsutil.Receive(ctx, &stream{ctx: ctx, in: b, out: a}, dest, fsutil.ReceiveOpt{Differ: fsutil.DiffMetadata})
	})
	return g.Wait()
}

// TestTransferByContent: of a directory that was sent before only what has other content is sent
// again, even if the size is the same and the clock went backwards.
func TestTransferByContent(t *testing.T) {
	dest := t.TempDir()
	d := sampleDir(t, "b")
	send := func() map[string]int64 {
		t.Helper()
		f := open(t, d)
		if err := transfer(t, f, dest); err != nil {
			t.Fatal(err)
		}
		return f.Sent()
	}
	if got := send(); got["n1"] != int64(len("a")+len("b")+len("b")+len("run")+len("x")) {
		t.Errorf("the first transfer sent %v", got)
	}
	if data, err := os.ReadFile(filepath.Join(dest, "n1/a/run.sh")); err != nil || string(data) != "run" {
		t.Errorf("content %q, %v", data, err)
	}
	now, later := filepath.Join(d.Root, "a.go"), filepath.Join(d.Root, "b.go")
	st, err := os.Stat(later)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(now, st.ModTime().Add(1e12), st.ModTime().Add(1e12)); err != nil {
		t.Fatal(err)
	}
	if got := send(); len(got) != 0 {
		t.Errorf("nothing changed but a time, and %v was sent", got)
	}
	if err := os.WriteFile(later, []byte("c"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(later, st.ModTime(), st.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := send(); got["n1"] != 2 { // b.go, and moved.go with the same content
		t.Errorf("after an edit that keeps size and time %v was sent", got)
	}
	if data, err := os.ReadFile(filepath.Join(dest, "n1/moved.go")); err != nil || string(data) != "c" {
		t.Errorf("content %q, %v", data, err)
	}
}

// TestTransferFailsForAChangedFile: a file that can't be kept in memory and changes before it is
// sent fails the transfer, instead of arriving as what it isn't.
func TestTransferFailsForAChangedFile(t *testing.T) {
	for name, change := range map[string]func(string) error{
		"rewritten": func(p string) error { return os.WriteFile(p, make([]byte, maxKept+1), 0o600) },
		"truncated": func(p string) error { return os.Truncate(p, 10) },
		"removed":   os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			big := filepath.Join(root, "big")
			if err := os.WriteFile(big, append(make([]byte, maxKept), 1), 0o600); err != nil {
				t.Fatal(err)
			}
			f := open(t, Dir{Name: "n", Root: root, Files: []graph.LocalFile{{Path: "big"}}})
			if err := change(big); err != nil {
				t.Fatal(err)
			}
			err := transfer(t, f, t.TempDir())
			ctx, release := f.Guard(t.Context())
			defer release()
			var fe *FileError
			if err == nil || !errors.As(context.Cause(ctx), &fe) || fe.Path != big {
				t.Errorf("the transfer gave %v, because of %v", err, context.Cause(ctx))
			}
		})
	}
}
