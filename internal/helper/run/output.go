// What commands print: kept together by command, whole lines only.

package run

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// When output is shown before the command ends.
const (
	patience  = time.Second
	maxBuffer = 64 << 10
)

// maxHeader is the length at which a command line is cut in a header, in bytes.
const maxHeader = 2000

// header introduces the output of a command, for people:
//
//	# task
//	$ program argument...
func header(task string, args []string) string {
	var b strings.Builder
	b.WriteString("# " + task + "\n$")
	for i, a := range args {
		if b.Len() > maxHeader {
			fmt.Fprintf(&b, " … (%d more arguments)", len(args)-i)
			break
		}
		b.WriteString(" " + quote(a))
	}
	b.WriteByte('\n')
	return b.String()
}

// quote quotes an argument for a shell where that is needed.
func quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=./,:+@%^", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// console is shared by all commands.
type console struct {
	mu sync.Mutex
	w  io.Writer
}

func (c *console) write(p []byte) {
	if c.w == nil || len(p) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.w.Write(p) // nobody is left to tell when the console is gone
}

// output collects what one command prints. It is held back until it is known whether the command
// fails, because then a header comes first; a command that takes long is shown as it goes.
type output struct {
	console *console
	header  string
	label   bool // the header is shown with early output too, because several tasks print

	mu    sync.Mutex
	buf   []byte
	live  bool
	shown bool // the header was
	ended bool
	timer *time.Timer
}

func newOutput(c *console, header string, label bool) *output {
	o := &output{console: c, header: header, label: label}
	o.timer = time.AfterFunc(patience, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if !o.ended {
			o.live = true
			o.flush()
		}
	})
	return o
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, p...)
	if len(o.buf) > maxBuffer {
		o.live = true
	}
	if o.live {
		o.flush()
	}
	return len(p), nil
}

// flush shows the complete lines, or all if a line is too long to wait for.
func (o *output) flush() {
	end := bytes.LastIndexByte(o.buf, '\n') + 1
	if end == 0 && len(o.buf) > maxBuffer {
		end = len(o.buf)
	}
	if end == 0 {
		return
	}
	var text []byte
	if o.label && !o.shown {
		o.shown = true
		text = append(text, o.header...)
	}
	o.console.write(append(text, o.buf[:end]...))
	o.buf = append(o.buf[:0], o.buf[end:]...)
}

// finish shows the rest.
func (o *output) finish(failed bool) {
	o.timer.Stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	var text []byte
	if failed && !o.shown {
		text = append(text, o.header...)
	}
	text = append(text, o.buf...)
	o.buf = nil
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text, '\n')
	}
	o.console.write(text)
}
