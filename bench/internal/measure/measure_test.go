// Tests of the harness: the order of turns, the arithmetic, and whose processor time counts.

package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestContestantsTakeTurns(t *testing.T) {
	var order []string
	c := func(name string) Contestant {
		return Contestant{
			Name: name,
			Prepare: func(_ context.Context, round int) error {
				order = append(order, fmt.Sprintf("prepare %s %d", name, round))
				return nil
			},
			Run: func(context.Context) error { order = append(order, name); return nil },
		}
	}
	s, err := Compare(context.Background(), "turns", Options{Rounds: 2, Warmup: 1, Baseline: "b"}, c("a"), c("b"))
	if err != nil {
		t.Fatal(err)
	}
	want := "prepare a -1,a,prepare b -1,b,prepare a 0,a,prepare b 0,b,prepare b 1,b,prepare a 1,a"
	if got := strings.Join(order, ","); got != want {
		t.Errorf("order %s\nwant  %s", got, want)
	}
	for _, r := range s.Results {
		if len(r.Samples) != 2 {
			t.Errorf("%s has %d samples, want 2", r.Contestant, len(r.Samples))
		}
	}
}

func TestErrorsNameTheContestant(t *testing.T) {
	bad := errors.New("outputs differ")
	ok := func(context.Context) error { return nil }
	_, err := Compare(context.Background(), "edit", Options{}, Contestant{Name: "x", Run: ok, Check: func(context.Context, int) error { return bad }})
	var re *RunError
	if !errors.As(err, &re) || !errors.Is(err, bad) || re.Contestant != "x" || re.Step != "check" {
		t.Errorf("error %v", err)
	}
	if _, err := Compare(context.Background(), "s", Options{Baseline: "nobody"}, Contestant{Name: "x", Run: ok}); err == nil {
		t.Error("an unknown baseline was accepted")
	}
	if _, err := Compare(context.Background(), "s", Options{}); err == nil {
		t.Error("no contestants were accepted")
	}
}

func TestStats(t *testing.T) {
	mk := func(ms ...int) (out []Sample) {
		for _, m := range ms {
			out = append(out, Sample{Wall: time.Duration(m) * time.Millisecond})
		}
		return out
	}
	for _, tt := range []struct {
		in               []Sample
		median, min, max int
	}{{mk(), 0, 0, 0}, {mk(5), 5, 5, 5}, {mk(9, 1, 4), 4, 1, 9}, {mk(4, 1, 2, 100), 3, 1, 100}} {
		st := Stats(tt.in, Wall)
		ms := func(d time.Duration) int { return int(d / time.Millisecond) }
		if ms(st.Median) != tt.median || ms(st.Min) != tt.min || ms(st.Max) != tt.max {
			t.Errorf("Stats(%v) = %+v, want %d, %d, %d", tt.in, st, tt.median, tt.min, tt.max)
		}
	}
}

// burn uses processor time in a shell for about that long.
const burn = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"

func TestProcessorTimeOfChildrenAndDaemons(t *testing.T) {
	if testing.Short() {
		t.Skip("burns processor time")
	}
	// The daemon is a shell that works when it is told to, in a child of its own that it waits for.
	daemon := exec.Command("sh", "-c", "while read line; do ("+burn+"); echo done; done")
	in, err := daemon.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); daemon.Wait() }()
	ask := func(context.Context) error {
		if _, err := in.Write([]byte("go\n")); err != nil {
			return err
		}
		_, err := out.Read(make([]byte, 16))
		return err
	}
	s, err := Compare(context.Background(), "cpu", Options{Rounds: 1},
		Contestant{Name: "child", Run: func(ctx context.Context) error { return exec.CommandContext(ctx, "sh", "-c", burn).Run() }},
		Contestant{Name: "daemon", Run: ask, Daemons: func() []int { return []int{daemon.Process.Pid} }},
		Contestant{Name: "stranger", Run: ask},
	)
	if err != nil {
		t.Fatal(err)
	}
	cpu := func(i int) time.Duration { return s.Results[i].Samples[0].CPU() }
	if cpu(0) < 30*time.Millisecond || cpu(1) < cpu(0)/4 {
		t.Errorf("child %v, daemon %v: both must count", cpu(0), cpu(1))
	}
	if cpu(2) > cpu(1)/4 {
		t.Errorf("a process that isn't the contestant's counts: %v of %v", cpu(2), cpu(1))
	}
}

func TestBook(t *testing.T) {
	b := NewBook("builds", "a note")
	b.Add(&Scenario{Name: "cold", Baseline: "old", Results: []Result{
		{"old", []Sample{{Wall: 2 * time.Second, User: time.Second}}},
		{"new", []Sample{{Wall: time.Second, User: time.Second, System: time.Second}}},
	}})
	var text, js bytes.Buffer
	if err := b.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a note", "cold (rounds: 1)", "  new         1.000 s  1.000 s–1.000 s  0.50   2.000 s  2.000 s–2.000 s  2.00"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
	if err := b.WriteJSON(&js); err != nil {
		t.Fatal(err)
	}
	var back Book
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || len(back.Scenarios) != 1 || back.Machine.CPUs < 1 {
		t.Errorf("JSON reads back as %+v, %v", back, err)
	}
}
