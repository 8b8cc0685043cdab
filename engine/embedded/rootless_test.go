package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/internal/testengine"
)

// tryClient opens an engine, started by itself, solves something and stops it: STATE TOOLDIR.
func tryClient() int {
	o := engine.Options{StateDir: os.Args[1], ServeCommand: []string{os.Args[0]}}
	if err := os.Setenv(roleEnv, "serve"); err != nil {
		panic(err)
	}
	err := func() error {
		e, err := engine.Open(context.Background(), o)
		if err != nil {
			return err
		}
		defer e.Close()
		tool, err := testengine.OpenTool(os.Args[2])
		if err != nil {
			return err
		}
		for _, cmd := range [][]string{
			{"write", "/out/f", "x", ";", "status", "Uid"},
			{"echo", "network"},
		} {
			def, err := tool.Op(cmd, llb.Network(llb.NetModeSandbox)).Marshal(context.Background(), llb.LinuxAmd64)
			if err != nil {
				return err
			}
			_, err = e.Solve(context.Background(), engine.Request{Definition: def, Locals: tool.Locals(), Output: &engine.Output{Dir: os.Args[1] + "-out"}})
			if err != nil {
				return err
			}
		}
		return nil
	}()
	if _, serr := engine.Stop(context.Background(), o); serr != nil {
		err = errors.Join(err, serr)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// runAs runs tryClient as another user.
func runAs(t *testing.T, uid, gid int) (string, error) {
	t.Helper()
	tool := testengine.BuildTool(t)
	dir := t.TempDir()
	for d := dir; d != filepath.Clean(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(dir, "home")
	if err := errors.Join(os.Mkdir(home, 0o700), os.Chown(home, uid, gid)); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{os.Args[0]: "test", filepath.Join(tool.Dir(), "tool"): "tool"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to, to), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(dir, "test", "test"), filepath.Join(home, "state"), filepath.Join(dir, "tool"))
	cmd.Env = []string{roleEnv + "=try", "HOME=" + home, "PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	out, err := cmd.CombinedOutput()
	if t.Failed() || err != nil {
		log, _ := os.ReadFile(filepath.Join(home, "state", "engine.log"))
		t.Logf("engine.log:\n%s", log)
	}
	return string(out), err
}

// TestUserWithoutIDs is a user who may not map identities; the message names what is missing.
func TestUserWithoutIDs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it needs root to become another user")
	}
	out, err := runAs(t, 64999, 64999)
	if err == nil || !strings.Contains(out, "user namespace") || !strings.Contains(out, "run mergefest as root") {
		t.Errorf("output %q, error %v", out, err)
	}
}

// TestUser is a user with subordinate identities, if the machine has one.
func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it needs root to become another user")
	}
	uid, gid, ok := subordinateUser()
	if _, err := exec.LookPath("newuidmap"); err != nil || !ok {
		if os.Getenv("CI") != "" {
			t.Fatal("scripts/setup.sh --test makes a user with subordinate identities, and there is none")
		}
		t.Skip("it needs newuidmap (apt-get install uidmap) and a user in /etc/subuid (useradd makes one)")
	}
	if out, err := runAs(t, uid, gid); err != nil {
		t.Errorf("output %q, error %v", out, err)
	}
}

func subordinateUser() (uid, gid int, ok bool) {
	f, err := os.Open("/etc/subuid")
	if err != nil {
		return 0, 0, false
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, _, _ := strings.Cut(s.Text(), ":")
		if u, err := user.Lookup(name); err == nil && u.Uid != "0" {
			uid, _ = strconv.Atoi(u.Uid)
			gid, _ = strconv.Atoi(u.Gid)
			return uid, gid, true
		}
	}
	return 0, 0, false
}
