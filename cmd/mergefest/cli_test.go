package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/gobuild"
)

func TestParseInterspersed(t *testing.T) {
	for _, c := range []struct {
		args string
		rest []string
		o    string
	}{
		{"./...", []string{"./..."}, ""},
		{"-o out ./...", []string{"./..."}, "out"},
		{"./... --output out ./x", []string{"./...", "./x"}, "out"},
		{"./a -- -o x", []string{"./a", "-o", "x"}, ""},
		{"-- ./a", []string{"./a"}, ""},
		{"", nil, ""},
	} {
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		o := fs.String("o", "", "")
		alias(fs, "output", "o")
		rest, err := parseInterspersed(fs, strings.Fields(c.args))
		if err != nil || !slices.Equal(rest, c.rest) || *o != c.o {
			t.Errorf("%q: %q, o = %q, %v", c.args, rest, *o, err)
		}
	}
}

func TestExitStatusAndMessages(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		out    string // in standard output
		err    string // in standard error
	}{
		{"", exitUsage, "", "a command is needed"},
		{"help", exitOK, "build the packages", ""},
		{"help build", exitOK, "-o, --output OUT", ""},
		{"build -h", exitOK, "--platform PLATFORMS", ""},
		{"help engine", exitOK, "status", ""},
		{"nonsense", exitUsage, "", `unknown command "nonsense"`},
		{"build --nonsense", exitUsage, "", "nonsense"},
		{"build --progress loud", exitUsage, "", "loud"},
		{"build --graph g.json ./...", exitUsage, "", "--graph takes no patterns"},
		{"build --local src", exitUsage, "", "--local is for --graph"},
		{"build --graph g.json --local sub=", exitUsage, "", "no directory is named"},
		{"build -C /nonexistent/dir", exitUsage, "", "-C"},
		{"build --engine nonsense", exitUsage, "", "the scheme must be one of"},
		{"graph --format yaml", exitUsage, "", "yaml"},
		{"engine", exitUsage, "", "a command is needed"},
		{"engine status extra", exitUsage, "", "extra"},
		{"version", exitOK, "BuildKit v0.33.1", ""},
	} {
		var out, err bytes.Buffer
		status := run(context.Background(), strings.Fields(c.args), stdio{nil, &out, &err})
		if status != c.status || !strings.Contains(out.String(), c.out) || !strings.Contains(err.String(), c.err) {
			t.Errorf("mergefest %s: status %d\nstdout: %s\nstderr: %s", c.args, status, &out, &err)
		}
	}
}

// Every command and flag says what it does, and hidden commands stay out of sight.
func TestHelpIsComplete(t *testing.T) {
	var walk func(path string, table []command)
	walk = func(path string, table []command) {
		for _, c := range table {
			if c.short == "" {
				t.Errorf("%s %s has no description", path, c.name)
			}
			if c.setup != nil {
				fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
				c.setup(fs, stdio{})
				fs.VisitAll(func(f *flag.Flag) {
					if f.Usage == "" {
						t.Errorf("%s %s: flag -%s has no description", path, c.name, f.Name)
					}
				})
			}
			walk(path+" "+c.name, c.sub)
		}
	}
	walk("mergefest", commands())
	var help bytes.Buffer
	printUsage(&help, "mergefest engine", engineCommand().sub)
	if strings.Contains(help.String(), "serve") {
		t.Errorf("the help of engine shows a hidden command:\n%s", &help)
	}
}

// A status that can't be written is no success.
func TestStatusToFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	var text bytes.Buffer
	args := []string{"engine", "status", "--state", t.TempDir()}
	if code := run(context.Background(), args, stdio{nil, full, &text}); code != exitFailed || !strings.Contains(text.String(), "no space left") {
		t.Errorf("status %d: %s", code, &text)
	}
}

func TestListFlag(t *testing.T) {
	var l list
	for _, v := range []string{"a,b", " c ", ",", ""} {
		if err := l.Set(v); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(l, []string{"a", "b", "c"}) {
		t.Errorf("list = %q", l)
	}
}

// TestGoFlags: what isn't given leaves the word to GOFLAGS, and what is given is read as the go
// command reads it.
func TestGoFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want gobuild.Flags
	}{
		{nil, gobuild.Flags{}},
		{[]string{"-tags=a,b", "-tags", "c d"}, gobuild.Flags{Tags: []string{"c", "d"}}},
		{[]string{"-tags=a", "-tags="}, gobuild.Flags{Tags: []string{}}},
		{[]string{"-ldflags=-s", "-ldflags=", "-buildvcs=0", "-trimpath=T"},
			gobuild.Flags{LDFlags: []string{"-s", ""}, BuildVCS: "false", Trimpath: "true"}},
		{[]string{"-trimpath", "-buildvcs=auto", "-pgo=off", "-buildmode=pie"},
			gobuild.Flags{Trimpath: "true", BuildVCS: "auto", PGO: "off", BuildMode: "pie"}},
	} {
		var p planFlags
		fs := flag.NewFlagSet("build", flag.ContinueOnError)
		p.declare(fs)
		if err := fs.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		o, err := p.options(nil)
		if err != nil || !reflect.DeepEqual(o.Go, c.want) {
			t.Errorf("%q: got %#v, %v, want %#v", c.args, o.Go, err, c.want)
		}
	}
}
