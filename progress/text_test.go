// Tests of durations, clean text and bounded output.

package progress

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
)

func TestLogTailIsBounded(t *testing.T) {
	var l logTail
	for i := range 100000 {
		l.write(fmt.Appendf(nil, "line %d\n", i))
		if len(l.data) > 3*logLimit {
			t.Fatalf("holds %d bytes", len(l.data))
		}
	}
	got := l.take()
	if !strings.HasPrefix(got, "(earlier output is left out)\nline ") || !strings.HasSuffix(got, "line 99999\n") || len(got) > logLimit+100 {
		t.Errorf("tail of %d bytes begins %q", len(got), got[:60])
	}
}

func TestLogOfSeveralSolves(t *testing.T) {
	var l logTail
	first := &client.VertexLog{Stream: 2, Timestamp: *stamp(1), Data: []byte("first\n")}
	second := &client.VertexLog{Stream: 2, Timestamp: *stamp(2), Data: []byte("first\n")}
	other := &client.VertexLog{Stream: 1, Timestamp: *stamp(2), Data: []byte("other\n")}
	untimed := &client.VertexLog{Data: []byte("x\n")}
	for _, e := range []*client.VertexLog{first, second, first, other, second, other, untimed, untimed} {
		l.add(e)
	}
	if got, want := l.take(), "first\nfirst\nother\nx\nx\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCleanText(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n": "plain\ttext\n",
		"\x1b[1;31mred\x1b[0m\nnext\n\n\x1b]0;title\x07end\x1b]8;;u\x1b\\x\x1b]8;;\x1b\\": "red\nnext\n\nendx",
		"10%\r50%\r100%\r\ndone": "100%\ndone",
		"\n\n a\x07\x00b":        "\n\n ab",
		"bad\xffutf":             "bad�utf",
		"cut\x1b[":               "cut",
		"cut\x1b":                "cut",
		"cut\x1b]8;;x":           "cut",
	} {
		if got := cleanText(in); got != want {
			t.Errorf("cleanText(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	for _, s := range []string{"a\x1b[31mb", "\x1b]0;", "x\ry\r\n", "\x9b1m", "\xff\xfe", "a\x1b[3\nb\xff\n\xff\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := cleanText(s)
		if strings.ContainsAny(got, "\x1b\r\x00\x07\b") {
			t.Errorf("cleanText(%q) = %q has control characters", s, got)
		}
		if again := cleanText(got); again != got {
			t.Errorf("cleanText isn't idempotent: %q, then %q", got, again)
		}
		lines := ""
		for line := range strings.Lines(s) {
			lines += cleanText(line)
		}
		if lines != got {
			t.Errorf("cleanText(%q) = %q, and line by line %q", s, got, lines)
		}
	})
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0 ms", 0: "0 ms", 42 * time.Millisecond: "42 ms", 100 * time.Millisecond: "0.1 s", 1234 * time.Millisecond: "1.2 s",
		59940 * time.Millisecond: "59.9 s", 59960 * time.Millisecond: "1 m 0 s", 185 * time.Second: "3 m 5 s",
		time.Hour: "1 h 0 m", 130 * time.Minute: "2 h 10 m",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%d) = %q, want %q", d, got, want)
		}
	}
}
