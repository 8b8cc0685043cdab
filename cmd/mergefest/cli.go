// The command table, usage and exit statuses.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// Exit statuses, as the go command and most others have them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// stdio is what a command reads and writes.
type stdio struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// command is one verb of the command line.
type command struct {
	name  string
	args  string // what follows the name in the usage line
	short string
	// setup declares the flags and returns what runs once they are parsed.
	setup func(*flag.FlagSet, stdio) runFunc
	// hidden commands are for mergefest itself.
	hidden bool
	// raw is set instead of setup for a command that parses its own arguments.
	raw func(ctx context.Context, args []string, std stdio) int
	// sub are verbs of their own: "engine status".
	sub []command
}

type runFunc func(ctx context.Context, args []string) error

// commands is the whole command line.
func commands() []command {
	return []command{
		buildCommand(),
		graphCommand(),
		llbCommand(),
		engineCommand(),
		versionCommand(),
	}
}

// usageError is a mistake in the arguments.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// reported wraps an error that has been shown already, in full, where it happened.
type reported struct{ error }

func (r reported) Unwrap() error { return r.error }

// exitStatus ends the program with a status that a command has chosen, and has explained.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func run(ctx context.Context, args []string, std stdio) int {
	err := dispatch(ctx, "mergefest", commands(), args, std)
	var usage *usageError
	var shown reported
	var status exitStatus
	switch {
	case errors.As(err, &status):
		return int(status)
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(std.err, "mergefest: %v\n", err)
		return exitUsage
	case errors.As(err, &shown):
		return exitFailed
	case ctx.Err() != nil:
		fmt.Fprintln(std.err, "mergefest: interrupted")
		return 130
	default:
		fmt.Fprintf(std.err, "mergefest: %v\n", err)
		return exitFailed
	}
}

func dispatch(ctx context.Context, path string, table []command, args []string, std stdio) error {
	if len(args) == 0 {
		printUsage(std.err, path, table)
		return usagef("a command is needed")
	}
	name := args[0]
	if name == "help" && len(args) > 1 {
		return dispatch(ctx, path, table, append(args[1:2:2], "-h"), std)
	}
	if name == "help" || name == "-h" || name == "-help" || name == "--help" {
		printUsage(std.out, path, table)
		return nil
	}
	for _, c := range table {
		if c.name != name {
			continue
		}
		full := path + " " + name
		if len(c.sub) > 0 {
			return dispatch(ctx, full, c.sub, args[1:], std)
		}
		if c.raw != nil {
			return exitStatus(c.raw(ctx, args[1:], std))
		}
		return c.run(ctx, full, args[1:], std)
	}
	return usagef("unknown command %q; `%s help` lists the commands", name, path)
}

func (c command) run(ctx context.Context, path string, args []string, std stdio) error {
	fs := flag.NewFlagSet(path, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fn := c.setup(fs, std)
	rest, err := parseInterspersed(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		printFlags(std.out, path, c, fs)
		return err
	}
	if err != nil {
		return usagef("%v; `%s -h` lists the flags", err, path)
	}
	return fn(ctx, rest)
}

// parseInterspersed parses flags that may stand before, between and after the other arguments, as
// docker buildx does; "--" ends the flags.
func parseInterspersed(fs *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		left := fs.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if at := len(args) - len(left); at > 0 && args[at-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

func printUsage(w io.Writer, path string, table []command) {
	fmt.Fprintf(w, "Usage: %s COMMAND\n\n", path)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range table {
		if !c.hidden {
			fmt.Fprintf(tw, "  %s\t%s\n", c.name, c.short)
		}
	}
	tw.Flush()
	fmt.Fprintf(w, "\n`%s help COMMAND` lists a command's flags.\n", path)
}

func printFlags(w io.Writer, path string, c command, fs *flag.FlagSet) {
	fmt.Fprintf(w, "Usage: %s %s\n\n%s\n\n", path, c.args, c.short)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fs.VisitAll(func(f *flag.Flag) {
		if strings.HasPrefix(f.Usage, aliasOf) {
			return
		}
		arg, text := flag.UnquoteUsage(f)
		fmt.Fprintf(tw, "  %s %s\t%s\n", strings.Join(spellings(fs, f), ", "), arg, text)
	})
	tw.Flush()
}

// chdir is -C.
func chdir(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.Chdir(dir); err != nil {
		return usagef("-C: %v", err)
	}
	return nil
}
