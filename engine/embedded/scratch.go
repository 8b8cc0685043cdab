// A file system in memory for what lives as long as a container: bundles, the runtime's state, and
// root file systems that nobody keeps. Creating and removing dozens of directories per container
// would otherwise be most of its price.

package embedded

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mountScratch mounts an empty tmpfs at a directory. It may take half of the memory, which is the
// kernel's default; swap counts.
func mountScratch(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	if err := unix.Mount("mergefest", dir, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, "mode=0711"); err != nil {
		return fmt.Errorf("mount a tmpfs at %s: %w", dir, err)
	}
	return nil
}

// unmountScratch drops it with all its content.
func unmountScratch(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // not mounted
		return nil
	}
	return err
}
