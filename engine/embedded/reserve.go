// Space that is kept for a full disk: dropping results from the databases needs some.

package embedded

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// reserveSize is enough to rewrite the pages of the databases that a collection touches.
	reserveSize = 4 << 20
	// reserveRoom is how much must be free for the reserve to be taken.
	reserveRoom = 8 * reserveSize
)

// reserve is a file that occupies the space.
func (s *state) reserve() string { return filepath.Join(s.Data(), "reserve") }

// fillReserve takes the space, if there is plenty. Doing without is no error.
func (s *state) fillReserve() {
	var st unix.Statfs_t
	if err := unix.Statfs(s.Data(), &st); err != nil || st.Bavail*uint64(st.Bsize) < reserveRoom {
		return
	}
	f, err := os.OpenFile(s.reserve(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, reserveSize); err != nil {
		os.Remove(s.reserve())
	}
}

// spendReserve gives the space back.
func (s *state) spendReserve() { os.Remove(s.reserve()) }
