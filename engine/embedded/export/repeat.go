//go:build linux

// Results that were delivered once, and can be without solving again.

package export

import (
	"context"
	"sync"

	"github.com/moby/buildkit/session"

	"github.com/mergefest/mergefest/engine"
)

// maxResults is how many are remembered. Each takes 150 bytes; what it refers to is kept by nobody.
const maxResults = 4096

// results remembers which reference a definition was solved to. The zero value remembers none.
type results struct {
	mu    sync.Mutex
	refs  map[string]string // from the definition's digest
	order []string          // digests, oldest first
}

func (r *results) add(definition, ref string) {
	if definition == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refs == nil {
		r.refs = map[string]string{}
	}
	if _, ok := r.refs[definition]; !ok {
		r.order = append(r.order, definition)
	}
	r.refs[definition] = ref
	if len(r.order) > maxResults {
		delete(r.refs, r.order[0])
		r.order = r.order[1:]
	}
}

func (r *results) get(definition string) (ref string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref, ok = r.refs[definition]
	return ref, ok
}

// Repeat delivers the result that the definition of the attributes was solved to, as an export with
// these attributes would. ok is false, without an error, if it isn't known or there any more. Keeping it
// alive is left to the cache: this counts as a use of the result, and so of what it was merged from.
func (w *Worker) Repeat(ctx context.Context, attrs map[string]string) (response map[string]string, ok bool, err error) {
	id, ok := w.known.get(attrs[engine.AttrDefinition])
	if !ok {
		return nil, false, nil
	}
	in, err := (&factory{o: w.o, known: &w.known}).instance(0, attrs)
	if err != nil {
		return nil, false, err
	}
	ref, err := w.CacheManager().Get(ctx, id, nil)
	if err != nil {
		return nil, false, nil
	}
	defer ref.Release(context.WithoutCancel(ctx))
	response, err = in.write(ctx, []placed{{ref: ref}}, session.NewGroup())
	return response, err == nil, err
}
