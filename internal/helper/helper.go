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
// An engine that recognises the program's digest and arguments can carry out a fetch in its own
// process instead: with Document, DecodeFetch, and package fetch.
package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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

// Main runs the program and returns its exit status. args are those after the program's name.
// Messages and the output of commands go to stderr.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	err := dispatch(ctx, args, stderr)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "mergefest-helper:", err)
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

func dispatch(ctx context.Context, args []string, stderr io.Writer) error {
	if len(args) != 2 {
		return &DocError{Err: errors.New("usage: mergefest-helper fetch|run|write DOC")}
	}
	doc, err := Document(args[1], os.ReadFile)
	if err != nil {
		return err
	}
	switch args[0] {
	case "fetch":
		d, err := DecodeFetch(doc)
		if err != nil {
			return err
		}
		return fetchInContainer(ctx, d, stderr)
	case "run":
		d, err := DecodeRun(doc)
		if err != nil {
			return err
		}
		return run.Do(ctx, d, run.Env{
			InDir: action.InDir, OutDir: action.OutDir, Console: stderr, Reap: os.Getpid() == 1,
		})
	case "write":
		d, err := DecodeWrite(doc)
		if err != nil {
			return err
		}
		return Write(d, action.OutDir)
	}
	return &DocError{Err: fmt.Errorf("unknown action %q (want fetch, run or write)", args[0])}
}

// fetchInContainer takes settings and credentials from where they are mounted.
func fetchInContainer(ctx context.Context, d *action.Fetch, log io.Writer) error {
	settings := fetch.Settings{Env: map[string]string{}}
	doc, err := os.ReadFile(NetFile)
	switch {
	case err == nil:
		if settings, err = fetch.ParseSettings(doc); err != nil {
			return err
		}
	case errors.Is(err, fs.ErrNotExist):
		// An engine can have set a proxy for all its containers.
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
			settings.Env[name] = os.Getenv(name)
		}
	default:
		return fmt.Errorf("read the network settings: %w", err)
	}
	f, err := fetch.New(settings, fetch.Options{})
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Do(ctx, d, fetch.Env{OutDir: action.OutDir, Auth: AuthFiles(AuthDir), Log: log})
}

// AuthFiles looks credentials up as files of a directory.
func AuthFiles(dir string) func(name string) (string, error) {
	return func(name string) (string, error) {
		if !filepath.IsLocal(name) {
			return "", fmt.Errorf("%q can't be the name of a credential", name)
		}
		value, err := os.ReadFile(filepath.Join(dir, name))
		return string(value), err
	}
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
