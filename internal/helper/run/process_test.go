// What commands print, and how they end.

package run

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mergefest/mergefest/graph/action"
)

func TestConsole(t *testing.T) {
	b := newBench(t)
	script := `i=0; while [ $i -lt 3000 ]; do printf '%s' 'NAME ----------'; printf '%s\n' '--------------------'; i=$((i+1)); done`
	var tasks []action.Task
	for _, n := range []string{"aa", "bb"} {
		tasks = append(tasks, b.task(n, strings.ReplaceAll(script, "NAME", n)))
	}
	if err := b.do(t, action.Run{Tasks: tasks}); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(b.console.String()) {
		counts[line]++
	}
	for _, n := range []string{"aa", "bb"} {
		if got := counts[n+" ------------------------------\n"]; got != 3000 {
			t.Errorf("%d whole lines of %s", got, n)
		}
		if counts["# "+n+"\n"] != 1 {
			t.Errorf("the output of %s is not labelled once", n)
		}
	}
}

func TestLiveOutput(t *testing.T) {
	b := newBench(t)
	if err := syscall.Mkfifo(b.tmp+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- b.do(t, action.Run{Tasks: []action.Task{b.task("t", "echo early; read x < $TMP/fifo; echo late")}})
	}()
	deadline := time.Now().Add(time.Minute)
	for b.console.String() != "early\n" {
		if time.Now().After(deadline) {
			t.Fatalf("the console has %q", b.console.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
	os.WriteFile(b.tmp+"/fifo", []byte("go\n"), 0)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := b.console.String(); got != "early\nlate\n" {
		t.Errorf("the console has %q", got)
	}
}

func TestCancelKillsDescendants(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Do(ctx, &Doc{Run: action.Run{Tasks: []action.Task{b.task("t", "sleep 1000 & echo $! > $OUT/pid; wait")}}}, b.Env)
	}()
	pid := 0
	for range 500 {
		data, _ := os.ReadFile(b.OutDir + "/pid")
		if n, _ := fmt.Sscan(string(data), &pid); n == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if pid == 0 {
		t.Fatal("the command did not start")
	}
	start := time.Now()
	cancel()
	if err := <-done; err == nil {
		t.Error("no error")
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
	waitGone(t, pid)
}

func TestBackground(t *testing.T) {
	b := newBench(t)
	start := time.Now()
	if err := b.do(t, action.Run{Tasks: []action.Task{b.task("t", "sleep 1000 & echo $! > $OUT/pid")}}); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > grace+3*time.Second {
		t.Errorf("it took %v", d)
	}
	var pid int
	fmt.Sscan(b.out(t, "pid"), &pid)
	waitGone(t, pid)
}

func waitGone(t *testing.T, pid int) {
	t.Helper()
	for range 300 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d lives on", pid)
}
