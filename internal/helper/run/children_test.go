package run

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/mergefest/mergefest/graph/action"
)

// firstVar makes the test's program the first process of a container.
const firstVar = "RUN_TEST_FIRST_PROCESS"

// TestReap runs a command that leaves orphans, as the first process of a process namespace, and
// looks for what nobody has waited for.
func TestReap(t *testing.T) {
	if os.Getenv(firstVar) != "" {
		asFirstProcess(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestReap$", "-test.v")
	cmd.Env = append(os.Environ(), firstVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("SKIPPED: only root can make a process namespace")
	}
	if err != nil || !strings.Contains(string(out), "no orphan is left") {
		t.Errorf("%v\n%s", err, out)
	}
}

func asFirstProcess(t *testing.T) {
	if os.Getpid() != 1 {
		t.Fatalf("this is process %d", os.Getpid())
	}
	b := newBench(t)
	b.Reap = true
	var tasks []action.Task
	for i := range 4 { // our own children end in between, and must not be taken away
		tasks = append(tasks, b.task(fmt.Sprint(i), "for i in 1 2 3 4 5; do setsid sh -c 'sleep 0.1' & done; sleep 0.2; exit 0"))
	}
	tasks = append(tasks, b.task("last", "sleep 0.8", 0, 1, 2, 3))
	if err := b.do(t, action.Run{Tasks: tasks}); err != nil {
		t.Fatal(err)
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Fatalf("process %d was not waited for (%v)", pid, err)
	}
	fmt.Println("no orphan is left")
}
