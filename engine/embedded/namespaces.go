// The namespaces that a server process lives in.

package embedded

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// stageEnv tells a process which namespaces it has entered already.
const stageEnv = "MERGEFEST_ENGINE_STAGE"

// enterNamespaces gives the process a mount namespace of its own, by replacing itself. What it
// mounts is then seen by nobody else, and goes when it does. What others mount it still sees.
func enterNamespaces() error {
	if os.Getenv(stageEnv) != "" {
		return os.Unsetenv(stageEnv)
	}
	if os.Geteuid() != 0 {
		return enterUserNamespace()
	}
	// Namespaces belong to threads. Replacing the program makes this thread the only one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace of its own: %w", err)
	}
	if err := detachUnified(); err != nil {
		return fmt.Errorf("a mount namespace of its own: %w", err)
	}
	return unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), stageEnv+"=mounts"))
}
