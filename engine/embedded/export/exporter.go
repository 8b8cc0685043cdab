//go:build linux

// The exporter as BuildKit sees it: attributes in, a result in a directory, a response out.

package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/exporter/local"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/progress"
	"github.com/moby/buildkit/worker"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"github.com/mergefest/mergefest/engine"
)

// Options configure the exporter of a worker.
type Options struct {
	// StateDir is where the manifests are kept. It belongs beside the worker's own stores: what
	// makes them unusable (a machine that lost power, so that files may have lost their content)
	// makes the manifests unusable too.
	StateDir string
}

// Wrap adds the exporter engine.ExporterName to a worker. Its attributes are
//
//	dir             the absolute path of the destination on the engine's machine
//	places          what the client sees at dir and at the mount points in it (engine.Places)
//	uid, gid        numeric owner of what is written; both or none
//	results         what is delivered, by name (a list of engine.Delivery)
//	definition      the digest of what was solved, under which Repeat finds the result
//	platform-split  as the local exporter's: "false" puts the results of several platforms over
//	                each other, else each gets a directory ("linux_amd64")
//
// and source-date-epoch, which means nothing here: files get the time at which they are written,
// so that tools which compare times see what changed.
//
// The response holds the Summary; see engine.ParseSummary.
func Wrap(w worker.Worker, o Options) *Worker { return &Worker{Worker: w, o: o} }

// Worker is a worker with the exporter.
type Worker struct {
	worker.Worker
	o     Options
	known results
}

// Exporter implements worker.Worker.
func (w *Worker) Exporter(name string, sm *session.Manager) (exporter.Exporter, error) {
	if name == engine.ExporterName {
		return &factory{o: w.o, known: &w.known}, nil
	}
	return w.Worker.Exporter(name, sm)
}

type factory struct {
	o     Options
	known *results
}

// Resolve checks the attributes.
func (f *factory) Resolve(_ context.Context, id int, attrs map[string]string) (exporter.ExporterInstance, error) {
	return f.instance(id, attrs)
}

func (f *factory) instance(id int, attrs map[string]string) (*instance, error) {
	in := &instance{id: id, attrs: attrs, o: f.o, known: f.known}
	var owner [2]int
	owned := 0
	for name, value := range attrs {
		var err error
		switch name {
		case "dir":
			if !filepath.IsAbs(value) {
				err = errors.New("it must be an absolute path")
			}
		case engine.AttrPlaces:
			if err = json.Unmarshal([]byte(value), &in.places); err == nil && len(in.places) == 0 {
				err = errors.New("it must list the directory")
			}
		case "uid":
			owner[0], err = strconv.Atoi(value)
			owned++
		case "gid":
			owner[1], err = strconv.Atoi(value)
			owned++
		case engine.AttrResults:
			err = json.Unmarshal([]byte(value), &in.deliveries)
		case "platform-split":
			var split bool
			split, err = strconv.ParseBool(value)
			in.flat = !split
		case "source-date-epoch", engine.AttrDefinition:
		default:
			err = errors.New("it is unknown")
		}
		if err == nil && slices.Min(owner[:]) < 0 {
			err = errors.New("it must not be negative")
		}
		if err != nil {
			return nil, fmt.Errorf("exporter %s: attribute %s=%q: %w", engine.ExporterName, name, value, err)
		}
	}
	if attrs["dir"] == "" {
		return nil, fmt.Errorf("exporter %s: attribute dir is missing", engine.ExporterName)
	}
	switch owned {
	case 1:
		return nil, fmt.Errorf("exporter %s: attributes uid and gid go together", engine.ExporterName)
	case 2:
		in.owner = &Owner{UID: owner[0], GID: owner[1]}
	}
	return in, checkPlace(attrs["dir"], in.places)
}

// checkPlace refuses a build early whose result would go to another directory than the client means.
// Mount points in it are compared when the export comes to them.
func checkPlace(dir string, places []engine.Place) error {
	for _, p := range places {
		var st unix.Stat_t
		err := retry(func() error { return unix.Stat(dir, &st) })
		if p.Path == "" && (errors.Is(err, unix.ENOENT) || err == nil && !samePlace(p, &st)) {
			return &PlaceError{Path: dir}
		}
	}
	return nil
}

// instance is one export of one build.
type instance struct {
	id    int
	attrs map[string]string
	o     Options
	owner *Owner
	flat  bool

	known      *results
	places     []engine.Place
	deliveries []engine.Delivery
}

func (in *instance) ID() int                  { return in.id }
func (in *instance) Name() string             { return "exporting to " + in.attrs["dir"] }
func (in *instance) Type() string             { return engine.ExporterName }
func (in *instance) Attrs() map[string]string { return in.attrs }
func (in *instance) Config() *exporter.Config { return exporter.NewConfig() }

// Export writes the result.
func (in *instance) Export(ctx context.Context, src *exporter.Source, info exporter.ExportBuildInfo) (map[string]string, exporter.FinalizeFunc, exporter.DescriptorReference, error) {
	results, err := in.results(src)
	if err != nil {
		return nil, nil, nil, err
	}
	response, err := in.write(ctx, results, session.NewGroup(info.SessionID))
	if err == nil && len(results) == 1 && results[0].ref != nil && results[0].dest == "" {
		in.known.add(in.attrs[engine.AttrDefinition], results[0].ref.ID())
	}
	return response, nil, nil, err
}

// write writes results to the directory.
func (in *instance) write(ctx context.Context, results []placed, group session.Group) (map[string]string, error) {
	report, done := reporter(ctx)
	req := Request{Dest: in.attrs["dir"], StateDir: in.o.StateDir, Owner: in.owner, Results: in.deliveries, Places: in.places, Progress: report}
	sum, err := exportChains(ctx, req, results, group)
	done()
	if err != nil {
		return nil, fmt.Errorf("export to %s: %w", req.Dest, err)
	}
	return sum.Response(), nil
}

// placed is a result and the directory where it goes.
type placed struct {
	ref  cache.ImmutableRef // nil is an empty result
	dest string
}

// results lists what a build gives, in order of platform.
func (in *instance) results(src *exporter.Source) ([]placed, error) {
	if len(src.Refs) == 0 {
		return []placed{{ref: src.Ref}}, nil
	}
	if _, ok := src.Metadata[exptypes.ExporterPlatformsKey]; !ok {
		return nil, fmt.Errorf("exporter %s: a result for several platforms doesn't name them", engine.ExporterName)
	}
	ps, err := exptypes.ParsePlatforms(src.Metadata)
	if err != nil {
		return nil, err
	}
	var list []placed
	for _, p := range ps.Platforms {
		ref, ok := src.FindRef(p.ID)
		if !ok {
			return nil, fmt.Errorf("exporter %s: no result for platform %s", engine.ExporterName, p.ID)
		}
		dest := local.PlatformIDToPath(p.ID)
		if in.flat {
			dest = ""
		}
		list = append(list, placed{ref, dest})
	}
	slices.SortStableFunc(list, func(a, b placed) int { return strings.Compare(a.dest, b.dest) })
	return list, nil
}

// reporter turns progress into BuildKit's status.
func reporter(ctx context.Context) (report func(done, total int), finish func()) {
	pw, _, _ := progress.NewFromContext(ctx)
	limit := rate.Sometimes{First: 1, Interval: 100 * time.Millisecond}
	now := time.Now()
	st := progress.Status{Action: "writing files", Started: &now}
	report = func(done, total int) {
		st.Current, st.Total = done, total
		limit.Do(func() { pw.Write("writing files", st) })
	}
	return report, func() {
		if st.Total > 0 {
			end := time.Now()
			st.Completed = &end
			pw.Write("writing files", st)
		}
		pw.Close()
	}
}
