// The content store, as the worker sees it.

package embedded

import (
	"context"
	"errors"

	"github.com/containerd/containerd/v2/core/content"
)

// restartingStore takes no interrupted transfer up again where it stopped. BuildKit can't read a
// client's store from the middle: with what an interrupted or killed build left, every later build
// that needs the same blob would fail.
type restartingStore struct{ content.Store }

// Writer implements content.Ingester. A transfer that is under way is locked, so that what can be
// opened has been given up.
func (s restartingStore) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var o content.WriterOpts
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	w, err := s.Store.Writer(ctx, opts...)
	if err != nil {
		return nil, err
	}
	st, err := w.Status()
	if err == nil && st.Offset > 0 && st.Offset != o.Desc.Size { // a complete one needs a commit only
		err = w.Truncate(0)
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}
