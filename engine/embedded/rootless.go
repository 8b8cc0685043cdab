// Users other than root: the server runs as root of a user namespace.

package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	osuser "os/user"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/mergefest/mergefest/engine"
)

// mapEnv tells a process in a new user namespace to wait, on the file descriptor that it names, for
// the namespace's identities.
const mapEnv = "MERGEFEST_ENGINE_WAIT_FD"

// idMap is the identities that a user may use in a user namespace, in the words of newuidmap.
type idMap struct{ uids, gids []string }

// enterUserNamespace is enterNamespaces for a user who isn't root.
func enterUserNamespace(readyFD int) error {
	ids, err := subordinateIDs()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	fd := max(readyFD, 2) + 1
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	err = runInside(readyFD, attr, inherited{file: r, fd: fd, env: mapEnv + "=" + strconv.Itoa(fd)}, func(pid int) error {
		defer w.Close()
		if err := ids.apply(pid); err != nil {
			return err
		}
		_, err := w.WriteString("ok")
		return err
	})
	w.Close()
	if namespaceDenied(err) {
		return &engine.StartError{Kind: engine.KindPermission, Message: fmt.Sprintf("user namespaces aren't allowed: %v; %s", err, denialAdvice())}
	}
	return err
}

// namespaceDenied tells whether an error says that no user namespace may be made.
func namespaceDenied(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) || errors.Is(err, unix.EINVAL)
}

// denialAdvice looks for the setting that forbids user namespaces.
func denialAdvice() string {
	for _, s := range []struct{ name, forbids, allow string }{
		{"user.max_user_namespaces", "0", "28633"},
		{"kernel.unprivileged_userns_clone", "0", "1"},
		{"kernel.apparmor_restrict_unprivileged_userns", "1", "0"},
	} {
		data, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(s.name, ".", "/"))
		if err == nil && strings.TrimSpace(string(data)) == s.forbids {
			return fmt.Sprintf("ask an administrator for `sysctl -w %s=%s`, or run mergefest as root", s.name, s.allow)
		}
	}
	return "run mergefest as root, or in an environment that allows them"
}

// subordinateIDs finds out which identities the user may map.
func subordinateIDs() (*idMap, error) {
	u, err := osuser.Current()
	if err != nil { // a user that no database knows
		id := strconv.Itoa(os.Getuid())
		u = &osuser.User{Uid: id, Gid: strconv.Itoa(os.Getgid()), Username: id}
	}
	uids, uerr := subordinates("/etc/subuid", u)
	gids, gerr := subordinates("/etc/subgid", u)
	var missing []string
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := lookPath(tool); err != nil {
			missing = append(missing, tool+" isn't installed (apt-get install uidmap)")
			break
		}
	}
	if uerr != nil || gerr != nil {
		missing = append(missing, fmt.Sprintf("user %s has no subordinate identities (usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s)", u.Username, u.Username))
	}
	if len(missing) > 0 {
		return nil, &engine.StartError{Kind: engine.KindPermission, Message: "a user other than root needs a user namespace with several identities: " +
			strings.Join(missing, "; ") + "; or run mergefest as root"}
	}
	return &idMap{uids: append([]string{"0", u.Uid, "1"}, uids...), gids: append([]string{"0", u.Gid, "1"}, gids...)}, nil
}

// subordinates reads the ranges of a user, which are mapped from 1 on.
func subordinates(file string, u *osuser.User) ([]string, error) {
	ranges, err := user.ParseSubIDFileFilter(file, func(s user.SubID) bool { return s.Name == u.Username || s.Name == u.Uid })
	if err != nil {
		return nil, err
	}
	var args []string
	next := int64(1)
	for _, r := range ranges {
		args = append(args, strconv.FormatInt(next, 10), strconv.FormatInt(r.SubID, 10), strconv.FormatInt(r.Count, 10))
		next += r.Count
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("%s has no line for %s", file, u.Username)
	}
	return args, nil
}

// apply maps the identities into the namespace of a process.
func (m *idMap) apply(pid int) error {
	for tool, ids := range map[string][]string{"newuidmap": m.uids, "newgidmap": m.gids} {
		path, err := lookPath(tool)
		if err != nil {
			return err
		}
		if out, err := exec.Command(path, append([]string{strconv.Itoa(pid)}, ids...)...).CombinedOutput(); err != nil {
			return &engine.StartError{Kind: engine.KindPermission, Message: fmt.Sprintf("%s failed: %v: %s; it must be installed setuid root, and /etc/subuid and /etc/subgid must allow the ranges",
				tool, err, strings.TrimSpace(string(out)))}
		}
	}
	return nil
}

// awaitIDs waits for the identities of a new user namespace, and starts over with the rights that
// its root has: they are given at the start of a program only.
func awaitIDs(fd string) error {
	n, err := strconv.Atoi(fd)
	if err != nil {
		return fmt.Errorf("%s: %w", mapEnv, err)
	}
	f := os.NewFile(uintptr(n), "identities")
	said, err := io.ReadAll(f)
	f.Close()
	if err != nil || string(said) != "ok" {
		return exitStatus(1) // the parent tells why
	}
	if err := os.Unsetenv(mapEnv); err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}
