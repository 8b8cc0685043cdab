//go:build linux

// What earlier exports left: the manifest, and the intent of one that was interrupted.

package export

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// loadState fills r.recs and what belongs to it.
func (r *run) loadState() error {
	m, note, err := r.store.load(".manifest", r.dest)
	if err != nil {
		return err
	}
	intent, note2, err := r.store.load(".intent", r.dest)
	if err != nil {
		return err
	}
	for _, n := range []string{note, note2} {
		if n != "" {
			r.sum.Notes = append(r.sum.Notes, n)
		}
	}
	if r.first = m == nil; r.first {
		m = &manifest{dest: r.dest}
		r.dirty = true
	}
	if intent != nil {
		if m, err = r.resolve(m, intent); err != nil {
			return err
		}
		// The intent is about to be replaced, so what it knew goes into the manifest first.
		if err := r.saveState(".manifest", m); err != nil {
			return err
		}
		if err := r.removeIntent(); err != nil {
			return err
		}
		r.dirty = true
	}
	r.recs = m.recs
	r.old = make(map[string]*record, len(m.recs))
	for i := range m.recs {
		r.old[m.recs[i].path] = &m.recs[i]
	}
	r.listing = make(map[string][]entry, len(m.layers))
	for _, l := range m.layers {
		r.oldIDs = append(r.oldIDs, l.id)
		r.listing[l.id] = l.entries
	}
	return nil
}

// resolve joins what an interrupted export did into the manifest of the one before it. Whether the
// interrupted one had come to a path is told by the inode, which the intent names: staging gave
// it, and renaming keeps it. So a file of the user's that was going to be replaced, but was not,
// doesn't become ours.
func (r *run) resolve(m, intent *manifest) (*manifest, error) {
	recs := make(map[string]record, len(m.recs)+len(intent.recs))
	for _, rec := range m.recs {
		recs[rec.path] = rec
	}
	out := &manifest{dest: m.dest, layers: append(slices.Clip(m.layers), intent.layers...)}
	lastDir, fd := "", -1
	defer func() {
		if fd >= 0 {
			unix.Close(fd)
		}
	}()
	for i, rec := range intent.recs {
		dir, name := split(rec.path)
		if i == 0 || dir != lastDir {
			if fd >= 0 {
				unix.Close(fd)
			}
			lastDir = dir
			fd, _ = r.root.dir(dir) // one that can't be opened has nothing of ours
		}
		var st unix.Stat_t
		if fd < 0 || lstatat(fd, name, &st) != nil || st.Ino != rec.stat.ino {
			continue
		}
		if rec.layer >= 0 {
			rec.layer += len(m.layers)
		}
		if old, ok := recs[rec.path]; ok && old.stat.ino == rec.stat.ino {
			rec.made = rec.made || old.made
		}
		recs[rec.path] = rec
	}
	for _, path := range slices.Sorted(maps.Keys(recs)) {
		out.recs = append(out.recs, recs[path])
	}
	return out, nil
}

func (r *run) saveState(suffix string, m *manifest) error {
	if err := r.step("save", suffix); err != nil {
		return err
	}
	return r.store.save(suffix, m)
}

func (r *run) removeIntent() error {
	if err := r.step("remove", ".intent"); err != nil {
		return err
	}
	return r.store.remove(".intent")
}
