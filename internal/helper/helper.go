// Package helper is the program that carries out actions inside the containers of an engine.
//
//	mergefest-helper fetch DOC   action.Fetch
//	mergefest-helper run DOC     action.Run, and "links" (see package run)
//	mergefest-helper write DOC   {"files": [action.File…]}, relative to action.OutDir
//
// DOC is a JSON document, or "@" and the path of a file that holds it. The exit status of run is
// that of the command that failed; otherwise it is 1 for a failure and 2 for a document or a
// command line that makes no sense.
//
// An engine that recognises the program's digest in a process's arguments can carry out a fetch or
// a write in its own process instead; see Shared.
package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/fetch"
	"github.com/mergefest/mergefest/internal/helper/place"
	"github.com/mergefest/mergefest/internal/helper/run"
)

// Where secrets are mounted.
const (
	// NetFile holds the network settings, fetch.Settings as JSON; it is optional.
	NetFile = "/.mergefest-net.json"
	// AuthDir has one file for each credential, named as Item.Auth names it.
	AuthDir = "/.mergefest-auth"
)

// Exit statuses.
const (
	codeFailed = 1
	codeUsage  = 2
)

// Container is what an action sees of the container that it runs in, or would run in.
type Container struct {
	// OutDir is the directory that action.OutDir is, as this process sees it.
	OutDir string
	// ReadFile reads a file of the container; one that isn't there is an fs.ErrNotExist.
	ReadFile func(path string) ([]byte, error)
	// Getenv is the container's environment; nil is an empty one.
	Getenv func(name string) string
	// Stderr receives messages and what commands print.
	Stderr io.Writer
}

// Main runs the program in its container and returns its exit status. args are those after the
// program's name.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	c := Container{OutDir: action.OutDir, ReadFile: os.ReadFile, Getenv: os.Getenv, Stderr: stderr}
	s := NewShared(fetch.Options{})
	defer s.Close()
	return c.report(dispatch(ctx, args, c, s))
}

// report prints an error and returns the exit status that goes with it.
func (c Container) report(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(c.Stderr, "mergefest-helper:", err)
	var (
		ce *run.CommandError
		de *DocError
		re *run.DocError
	)
	switch {
	case errors.As(err, &ce):
		return ce.Code
	case errors.As(err, &de), errors.As(err, &re):
		return codeUsage
	}
	return codeFailed
}

func dispatch(ctx context.Context, args []string, c Container, s *Shared) error {
	if len(args) != 2 {
		return &DocError{Err: errors.New("usage: mergefest-helper fetch|run|write DOC")}
	}
	if args[0] != "run" {
		return s.carryOut(ctx, args[0], args[1], c)
	}
	doc, err := Document(args[1], c.ReadFile)
	if err != nil {
		return err
	}
	d, err := DecodeRun(doc)
	if err != nil {
		return err
	}
	return run.Do(ctx, d, run.Env{
		InDir: action.InDir, OutDir: c.OutDir, Console: c.Stderr, Reap: os.Getpid() == 1,
		Unpack: func(ctx context.Context, file string) error { return s.unpackFiles(ctx, file, c) },
	})
}

// Write carries out a write document in outDir, which exists.
func Write(d *WriteDoc, outDir string) error {
	out, err := place.Open(outDir)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.Files(d.Files); err != nil {
		return err
	}
	return out.Finish()
}
