// The output directory: made by the client, and named to the embedded engine so that it can't take
// another one for it.

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/mergefest/mergefest/engine/receive"
	"github.com/moby/buildkit/client"
	"github.com/moby/sys/mountinfo"
	digest "github.com/opencontainers/go-digest"
)

// AttrResults is the attribute of the embedded engine's exporter that holds the JSON of a list of
// Delivery.
const AttrResults = "results"

// AttrDefinition is the attribute of the embedded engine's exporter that names the definition: the digest
// of its last op, which has the digests of all others in it. With it the result can be asked for again
// (MethodRepeat).
const AttrDefinition = "definition"

// Delivery is one of the results that an output directory receives. What earlier solves wrote for a
// result of the same name is removed if it isn't there any more; files of other results stay.
type Delivery struct {
	Name string `json:"name"`
	// Paths are what it brings, relative to the output directory; empty is the whole directory. A
	// path belongs to the result that covers it most closely.
	Paths []string `json:"paths,omitempty"`
}

// AttrPlaces is the attribute of the embedded engine's exporter that holds the JSON of Places.
const AttrPlaces = "places"

// Place says which directory a path leads to, for its process.
type Place struct {
	Path string `json:"path"` // relative to the output directory; empty is itself
	Dev  uint64 `json:"dev"`
	Ino  uint64 `json:"ino"`
}

// Places lists an output directory and the mount points in it, as this process sees them. An engine
// that was started before something was mounted there, or a client in a mount namespace of its own,
// sees other directories behind the same paths, and the result would be lost in them. dir is absolute
// and has no symbolic links in it.
func Places(dir string) ([]Place, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return nil, fmt.Errorf("list the mounts in %s: %w", dir, err)
	}
	paths := []string{dir}
	for _, m := range mounts {
		if m.Mountpoint != dir {
			paths = append(paths, m.Mountpoint)
		}
	}
	var places []Place
	for i, path := range paths {
		info, err := os.Lstat(path)
		if err != nil && i > 0 {
			continue // it can't be written to, either
		} else if err != nil {
			return nil, err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil, fmt.Errorf("stat %s: this system doesn't tell which file it is", path)
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, err
		}
		places = append(places, Place{Path: strings.TrimPrefix(rel, "."), Dev: uint64(st.Dev), Ino: st.Ino})
	}
	return places, nil
}

// OutputError is an output directory that can't be used.
type OutputError struct {
	Dir string
	Err error
}

func (e *OutputError) Error() string {
	cause := e.Err
	var path *fs.PathError
	if errors.As(e.Err, &path) && path.Path == e.Dir {
		cause = path.Err
	}
	return fmt.Sprintf("output directory %s: %v; name a directory that can be written to, or one that can be made", e.Dir, cause)
}
func (e *OutputError) Unwrap() error { return e.Err }

// makeOutput makes an output directory, with a path that any process understands alike: one without
// links, such as /proc/self/cwd.
func makeOutput(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(abs, 0o755)
	}
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", &OutputError{Dir: dir, Err: err}
	}
	return abs, nil
}

// delivery is a result on its way from an engine that sends it.
type delivery struct {
	receiver *receive.Receiver
	pipe     *io.PipeWriter
	read     chan error
}

// receive has a solve's result sent as an archive; see package receive for why.
func (e *Engine) receive(o *Output, opt *client.SolveOpt) (*delivery, error) {
	dir, err := makeOutput(o.Dir)
	if err != nil {
		return nil, err
	}
	d := &delivery{read: make(chan error, 1)}
	if d.receiver, err = receive.Open(dir); err != nil {
		return nil, &OutputError{Dir: o.Dir, Err: err}
	}
	archive, pipe := io.Pipe()
	d.pipe = pipe
	go func() {
		err := d.receiver.Read(archive)
		archive.CloseWithError(err) // whoever sends on is told
		d.read <- err
	}()
	opt.Exports = []client.ExportEntry{{Type: client.ExporterTar, Attrs: maps.Clone(o.Attrs),
		Output: func(map[string]string) (io.WriteCloser, error) { return d.pipe, nil }}}
	return d, nil
}

// finish puts the result in its place if the solve succeeded, and cleans up.
func (d *delivery) finish(solved error) (response map[string]string, err error) {
	d.pipe.CloseWithError(solved) // nil is the end
	err = <-d.read
	if solved != nil && (err == nil || errors.Is(err, solved)) {
		err = solved // else what went wrong here ended the solve
	}
	var done receive.Counts
	if err == nil {
		done, err = d.receiver.Commit()
	}
	if cerr := d.receiver.Close(); err == nil {
		err = cerr
	}
	return Summary{Files: done.Files, Written: done.Written, Unchanged: done.Unchanged, Bytes: done.Bytes}.Response(), err
}

// exports is how a solve of the embedded engine delivers its result to a directory.
func (e *Engine) exports(r *Request) ([]client.ExportEntry, error) {
	o := r.Output
	dir, err := makeOutput(o.Dir)
	if err != nil {
		return nil, err
	}
	attrs := map[string]string{}
	maps.Copy(attrs, o.Attrs)
	places, err := Places(dir)
	if err != nil {
		return nil, &OutputError{Dir: o.Dir, Err: err}
	}
	data, err := json.Marshal(places)
	if err != nil {
		return nil, err
	}
	attrs["dir"] = dir
	attrs[AttrPlaces] = string(data)
	if len(o.Results) > 0 {
		if data, err = json.Marshal(o.Results); err != nil {
			return nil, err
		}
		attrs[AttrResults] = string(data)
	}
	if ops := r.Definition.Def; r.Repeat && len(ops) > 0 {
		attrs[AttrDefinition] = digest.FromBytes(ops[len(ops)-1]).String()
	}
	return []client.ExportEntry{{Type: ExporterName, Attrs: attrs}}, nil
}
