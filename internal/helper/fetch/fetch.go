// The action: items are downloaded, checked, and unpacked or placed; files are laid beside them.

package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/integrity"
	"github.com/mergefest/mergefest/internal/helper/place"
	"github.com/mergefest/mergefest/internal/helper/unpack"
)

// Env is where a document is carried out.
type Env struct {
	// OutDir is the directory that action.OutDir stands for, as the process sees it. It exists.
	OutDir string
	// Auth returns the credential of a name: the complete value of an Authorization header. Nil
	// means that there are none.
	Auth func(name string) (string, error)
	// Files means that the items are files, with URLs "file:///path", and nothing else.
	Files bool
	// Log receives a line for each retry, and for each download one of action.Fetched; nil drops them. It need not be safe for concurrent use.
	Log io.Writer
}

func (e Env) logf(format string, args ...any) {
	if e.Log != nil {
		fmt.Fprintf(e.Log, format+"\n", args...)
	}
}

// lockedWriter makes a log usable by concurrent items.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// Do carries out a document. When it fails the content of the output directory is of no use. The
// error joins what failed, in the order of the items; after the first failure no further item is
// begun. Causes are *Error, *integrity.MismatchError, *integrity.SyntaxError, *unpack.Error,
// *place.ConflictError and *place.PathError.
func (f *Fetcher) Do(ctx context.Context, doc *action.Fetch, env Env) error {
	groups, err := plan(doc, env.Files)
	if err != nil {
		return err
	}
	if env.Log != nil {
		env.Log = &lockedWriter{w: env.Log}
	}
	out, err := place.Open(env.OutDir)
	if err != nil {
		return err
	}
	defer out.Close()
	first, second := split(groups)
	if err := f.all(ctx, first, out, env); err != nil {
		return err
	}
	if second, err = missing(second, out); err != nil {
		return err
	}
	if err := f.all(ctx, second, out, env); err != nil {
		return err
	}
	if err := out.Files(doc.Files); err != nil {
		return err
	}
	return out.Finish()
}

// group is a download and the items that are made of it.
type group struct {
	request
	items []item
}

type item struct {
	action.Item
	want integrity.Expectation
}

// split takes the groups apart that may not be needed.
func split(groups []*group) (always, perhaps []*group) {
	for _, g := range groups {
		if g.items[0].Unless == "" {
			always = append(always, g)
		} else {
			perhaps = append(perhaps, g)
		}
	}
	return always, perhaps
}

// missing keeps the groups whose paths don't exist.
func missing(groups []*group, out *place.Output) (list []*group, err error) {
	for _, g := range groups {
		there, err := out.Exists(g.items[0].Unless)
		if err != nil {
			return nil, err
		}
		if !there {
			list = append(list, g)
		}
	}
	return list, nil
}

// plan checks all items before anything is downloaded, and groups those that come from the same
// URLs: one archive can be wanted as a file and as a directory.
func plan(doc *action.Fetch, files bool) ([]*group, error) {
	var (
		groups []*group
		byKey  = map[string]*group{}
		errs   []error
	)
	for _, it := range doc.Items {
		want, err := checkItem(it, files)
		if err != nil {
			errs = append(errs, &Error{Item: it.Name, Err: err})
			continue
		}
		key := fmt.Sprint(it.Auth, "\x00", it.AuthHost, "\x00", it.AnyFailure, "\x00", it.Unless, "\x00", strings.Join(it.URLs, "\x00"))
		g := byKey[key]
		if g == nil {
			g = &group{request: request{name: it.Name, urls: it.URLs, any: it.AnyFailure, auth: it.Auth, host: it.AuthHost}}
			byKey[key], groups = g, append(groups, g)
		}
		g.items = append(g.items, item{it, want})
		g.sums = append(g.sums, want.Algorithm)
	}
	if err := place.Check(doc.Files); err != nil {
		errs = append(errs, err)
	}
	return groups, errors.Join(errs...)
}

func checkItem(it action.Item, files bool) (integrity.Expectation, error) {
	none := integrity.Expectation{}
	if len(it.URLs) == 0 {
		return none, errors.New("no URL is given")
	}
	if len(it.AnyFailure) > len(it.URLs) {
		return none, fmt.Errorf("anyFailure has %d entries for %d URLs", len(it.AnyFailure), len(it.URLs))
	}
	for _, raw := range it.URLs {
		if err := checkURL(raw, files); err != nil {
			return none, err
		}
	}
	if len(it.Dests) == 0 {
		return none, errors.New("no destination is given")
	}
	for _, d := range it.Dests {
		if elems, err := place.Split(d); err != nil {
			return none, err
		} else if len(elems) == 0 && it.Unpack == nil {
			return none, fmt.Errorf("destination %q of a file is the output directory itself", d)
		}
	}
	if _, err := place.Split(it.Unless); err != nil {
		return none, err
	}
	if it.Mode&^0o777 != 0 {
		return none, fmt.Errorf("mode %#o has more than permission bits", it.Mode)
	}
	if it.Unpack != nil {
		if err := unpack.Check(*it.Unpack); err != nil {
			return none, err
		}
	}
	want, err := integrity.Parse(it.Integrity)
	if errors.Is(err, integrity.ErrNone) {
		if it.Unverified {
			return none, nil
		}
		return none, fmt.Errorf("%w, and the item isn't marked as unverified", err)
	}
	return want, err
}

func checkURL(raw string, files bool) error {
	u, err := url.Parse(raw)
	switch {
	case files && (err != nil || u.Scheme != "file" || u.Host != "" || !path.IsAbs(u.Path)):
		return fmt.Errorf("%s is not the URL of a file, as file:///path", Redact(raw))
	case !files && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https"):
		return fmt.Errorf("%s is not an http or https URL", Redact(raw))
	}
	return nil
}

// all runs the groups, some at a time.
func (f *Fetcher) all(ctx context.Context, groups []*group, out *place.Output, env Env) error {
	var (
		wg     sync.WaitGroup
		errs   = make([]error, len(groups))
		slots  = make(chan struct{}, f.opt.Parallel)
		failed = make(chan struct{})
		once   sync.Once
	)
	for i, g := range groups {
		select {
		case slots <- struct{}{}:
		case <-failed:
		}
		select {
		case <-failed:
		default:
			wg.Go(func() {
				defer func() { <-slots }()
				if errs[i] = f.one(ctx, g, out, env); errs[i] != nil {
					once.Do(func() { close(failed) })
				}
			})
			continue
		}
		break
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (f *Fetcher) one(ctx context.Context, g *group, out *place.Output, env Env) error {
	get := f.download
	if env.Files {
		get = f.open
	}
	res, err := get(ctx, g.request, env)
	if err != nil {
		return err
	}
	defer res.release()
	if !env.Files {
		env.logf("%s", action.Fetched(g.name, res.size))
	}
	for _, it := range g.items {
		if err := f.verify(it, res); err != nil {
			return &Error{Item: it.Name, URL: res.url, Err: err, Hint: mismatchHint(err, res)}
		}
	}
	for _, it := range g.items {
		if err := f.put(ctx, it, res, out); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &Error{Item: it.Name, URL: res.url, Err: err}
		}
	}
	return nil
}

// verify compares digests. A Go hash is computed now, as it is one of an archive's content.
func (f *Fetcher) verify(it item, res *response) error {
	switch it.want.Algorithm {
	case 0:
		return nil
	case integrity.H1:
		if _, ok := res.sums[integrity.H1]; !ok {
			sum, err := f.unpack.SumH1(h1Kind(it.Item), res, res.size)
			if err != nil {
				return err
			}
			res.sums[integrity.H1] = sum
		}
	}
	return it.want.Check(res.sums[it.want.Algorithm])
}

// h1Kind tells a module zip from a go.mod by what the plan wants of it, never by its bytes.
func h1Kind(it action.Item) integrity.Kind {
	if it.Unpack != nil || slices.ContainsFunc(it.Dests, func(d string) bool { return strings.HasSuffix(d, ".zip") }) {
		return integrity.Zip
	}
	return integrity.GoMod
}

func mismatchHint(err error, res *response) string {
	var m *integrity.MismatchError
	if !errors.As(err, &m) {
		return ""
	}
	if res.local {
		return fmt.Sprintf("the file has %d bytes that are not what the lockfile promises: restore it, or update the lockfile on purpose", res.size)
	}
	head := make([]byte, min(res.size, 64))
	if n, _ := res.ReadAt(head, 0); unpack.LooksLikeHTML(head[:n]) {
		return "the server sent an HTML page in place of the file: is there a login page or a proxy in between?"
	}
	return fmt.Sprintf("the server sent %d bytes that are not what the lockfile promises: do not use them; "+
		"if the package was published anew, update the lockfile on purpose", res.size)
}

// put unpacks an item, or stores it as a file.
func (f *Fetcher) put(ctx context.Context, it item, res *response, out *place.Output) error {
	if it.Unpack != nil {
		return f.unpack.Unpack(ctx, res, res.size, *it.Unpack, out, it.Dests)
	}
	mode := fs.FileMode(it.Mode)
	if mode == 0 {
		mode = 0o644
	}
	buf := f.chunk()
	defer f.chunks.Put(buf)
	for _, d := range it.Dests {
		elems, err := place.Split(d)
		if err != nil {
			return err
		}
		if err := store(ctx, out, elems, mode, res, *buf); err != nil {
			return err
		}
	}
	return nil
}

func store(ctx context.Context, out *place.Output, elems []string, mode fs.FileMode, res *response, buf []byte) error {
	w, err := out.Writer(".")
	if err != nil {
		return err
	}
	defer w.Close()
	file, err := w.Create(elems, mode)
	if err != nil {
		return err
	}
	if _, err := copyChunks(file, io.NewSectionReader(res, 0, res.size), buf); err != nil {
		file.Close()
		return err
	}
	if err := ctx.Err(); err != nil {
		file.Close()
		return err
	}
	return place.Done(file)
}
