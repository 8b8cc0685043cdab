// The display: which view is shown, and its life from the first line to the summary.

package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"golang.org/x/term"
)

// Mode selects a view.
type Mode string

// The views.
const (
	Auto    Mode = "auto"    // TTY on a terminal that can move its cursor, else Plain
	TTY     Mode = "tty"     // live lines; an error where there is no terminal
	Plain   Mode = "plain"   // lines for a log
	RawJSON Mode = "rawjson" // BuildKit's status events, one JSON object a line
	Quiet   Mode = "quiet"   // errors only
)

// Modes returns all modes, the default first.
func Modes() []Mode { return []Mode{Auto, TTY, Plain, RawJSON, Quiet} }

// ModeError says that a view can't be shown.
type ModeError struct {
	Mode   string
	Reason string
}

func (e *ModeError) Error() string { return fmt.Sprintf("progress %q: %s", e.Mode, e.Reason) }

// ParseMode parses the value of --progress; empty is Auto. The error is a *ModeError.
func ParseMode(s string) (Mode, error) {
	if s == "" {
		return Auto, nil
	}
	for _, m := range Modes() {
		if s == string(m) {
			return m, nil
		}
	}
	return "", &ModeError{Mode: s, Reason: "unknown; use auto, tty, plain, rawjson or quiet"}
}

// Options are the options of a display. The zero value shows the automatic view on os.Stderr.
type Options struct {
	Mode Mode
	// Out receives everything; nil is os.Stderr. A *os.File may be a terminal.
	Out io.Writer
	// Size returns the size of the terminal in columns and rows; ok is false if Out isn't one.
	// It is asked for each frame, so that a resized terminal is honoured. Nil asks Out.
	Size func() (width, height int, ok bool)
	// Env looks environment variables up: NO_COLOR, TERM, LC_ALL, LC_CTYPE, LANG. Nil is
	// os.Getenv.
	Env func(string) string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Interval is the time between frames; 0 is 100 ms.
	Interval time.Duration
}

// Outcome is how a build ended.
type Outcome int

// The outcomes.
const (
	Succeeded Outcome = iota
	Unsuccessful
	Interrupted
)

// view draws. Its methods are never called concurrently.
type view interface {
	// frame shows what happened since the last one.
	frame(f frame)
	// close shows the last frame and ends the view.
	close(f frame, o Outcome)
}

// frame is what a view draws at one moment.
type frame struct {
	now     time.Time
	elapsed time.Duration
	phase   string
	known   bool // a tracker is attached
	snap    snapshot
	events  []event
	notes   []string // messages, to be shown once
}

// Display shows a build. Its methods may be called from any goroutine.
//
// A build goes through Open, any number of Phase, Attach once the graph is known, one Solve for
// each solve, and Close. Errors of writing are ignored: a build goes on when nobody looks.
type Display struct {
	opt  Options
	view view
	raw  *rawView
	// stream says that the view shows output of programs that take long as it comes.
	stream bool
	start  time.Time
	stop   chan struct{}
	done   chan struct{}

	mu      sync.Mutex // guards what follows, and the view
	tracker *Tracker
	phase   string
	notes   []string
	closed  bool
}

// Open starts a display. The error is a *ModeError.
func Open(o Options) (*Display, error) {
	o = o.withDefaults()
	d := &Display{opt: o, start: o.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	_, _, isTerm := o.Size()
	mode := o.Mode
	if mode == Auto {
		mode = Plain
		if t := o.Env("TERM"); isTerm && t != "" && t != "dumb" {
			mode = TTY
		}
	}
	st := style{color: isTerm && o.Env("NO_COLOR") == "" && o.Env("TERM") != "dumb"}
	switch mode {
	case TTY:
		if !isTerm {
			return nil, &ModeError{Mode: string(mode), Reason: "standard error is not a terminal; use plain or auto"}
		}
		d.view = newTTYView(o, st)
	case Plain:
		d.view, d.stream = &plainView{w: o.Out, st: st}, true
	case RawJSON:
		d.raw = newRawView(o.Out)
		d.view = d.raw
	case Quiet:
		d.view = &quietView{w: o.Out, st: st}
	default:
		return nil, &ModeError{Mode: string(mode), Reason: "unknown; use auto, tty, plain, rawjson or quiet"}
	}
	go d.loop()
	return d, nil
}

func (o Options) withDefaults() Options {
	if o.Mode == "" {
		o.Mode = Auto
	}
	if o.Out == nil {
		o.Out = os.Stderr
	}
	if o.Size == nil {
		out, _ := o.Out.(*os.File)
		o.Size = func() (int, int, bool) { return terminalSize(out) }
	}
	if o.Env == nil {
		o.Env = os.Getenv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Interval <= 0 {
		o.Interval = 100 * time.Millisecond
	}
	return o
}

// terminalSize returns the size of the terminal that f is, if it is one.
func terminalSize(f *os.File) (width, height int, ok bool) {
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return 0, 0, false
	}
	w, h, err := term.GetSize(int(f.Fd()))
	if err != nil || w <= 0 || h <= 0 {
		return 80, 24, true // a terminal that doesn't know its size, as on a serial line
	}
	return w, h, true
}

// loop draws frames until Close.
func (d *Display) loop() {
	defer close(d.done)
	tick := time.NewTicker(d.opt.Interval)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-tick.C:
			d.draw()
		}
	}
}

// draw draws one frame.
func (d *Display) draw() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.view.frame(d.frame())
	}
}

// frame collects what to draw; d.mu is held.
func (d *Display) frame() frame {
	now := d.opt.Now()
	f := frame{now: now, elapsed: now.Sub(d.start), phase: d.phase, notes: d.notes}
	d.notes = nil
	if d.tracker != nil {
		f.known = true
		f.events = d.tracker.take(d.stream)
		f.snap = d.tracker.snapshot(slowest)
	}
	return f
}

// slowest is how many running nodes a view names.
const slowest = 4

// Phase says what happens besides the solves: "loading packages". Empty ends it.
func (d *Display) Phase(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.phase = cleanLine(name)
}

// Printf shows a message once, above the live lines; a warning, for instance. The views rawjson
// and quiet drop it.
func (d *Display) Printf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = append(d.notes, cleanText(fmt.Sprintf(format, args...)))
}

// Attach gives the display the build to show, and ends the phase.
func (d *Display) Attach(t *Tracker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tracker, d.phase = t, ""
}

// Solve begins a solve and returns the receiver of its status stream. It calls Tracker.Solve if
// a tracker is attached.
func (d *Display) Solve() func(*client.SolveStatus) {
	d.mu.Lock()
	defer d.mu.Unlock()
	feed := func(*client.SolveStatus) {}
	if d.tracker != nil {
		feed = d.tracker.Solve()
	}
	if d.raw == nil {
		return feed
	}
	return func(s *client.SolveStatus) {
		d.raw.status(s)
		feed(s)
	}
}

// Close finishes the attached tracker, removes the live lines, shows what is left to be said and
// the summary; of an interrupted build also the last lines of programs that hadn't ended. Further
// calls do nothing. It must also be called when the build is interrupted.
func (d *Display) Close(o Outcome) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.closed = true
	if d.tracker != nil {
		d.tracker.Finish(o == Succeeded)
		if o == Interrupted {
			d.tracker.interrupted()
		}
	}
	d.view.close(d.frame(), o)
	d.mu.Unlock()
	close(d.stop)
	<-d.done
}
