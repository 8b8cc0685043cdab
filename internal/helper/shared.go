// Fetches and writes as functions, in a container's only process or in an engine's.

package helper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"sync"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/fetch"
)

// Shared carries out fetch and write documents in the calling process, several at once if need be,
// and shares connections and buffers between them. It does what the program does in a container,
// with the same result. Runs are left out: programs belong into containers.
type Shared struct {
	opt      fetch.Options
	mu       sync.Mutex
	fetchers map[settingsKey]*fetch.Fetcher
}

// settingsKey says where settings came from, and their text there.
type settingsKey struct{ kind, text string }

// maxFetchers bounds the settings that are remembered; a client has one for years.
const maxFetchers = 16

// NewShared returns a Shared. Close it at the end.
func NewShared(opt fetch.Options) *Shared {
	return &Shared{opt: opt, fetchers: map[settingsKey]*fetch.Fetcher{}}
}

// Close drops idle connections.
func (s *Shared) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.fetchers {
		f.Close()
	}
	clear(s.fetchers)
}

// Handles reports whether Run can carry out the program's arguments (those after its name).
func (s *Shared) Handles(args []string) bool {
	return len(args) == 2 && (args[0] == "fetch" || args[0] == "write")
}

// Run carries out what Handles accepts, and returns the exit status that the program would have.
// The error, if any, has been printed to c.Stderr.
func (s *Shared) Run(ctx context.Context, args []string, c Container) (int, error) {
	if !s.Handles(args) {
		err := &DocError{Err: errors.New("only fetch and write can be carried out without a container")}
		return c.report(err), err
	}
	err := s.carryOut(ctx, args[0], args[1], c)
	return c.report(err), err
}

func (s *Shared) carryOut(ctx context.Context, verb, arg string, c Container) error {
	doc, err := Document(arg, c.ReadFile)
	if err != nil {
		return err
	}
	switch verb {
	case "fetch":
		d, err := DecodeFetch(doc)
		if err != nil {
			return err
		}
		return s.fetch(ctx, d, c)
	case "write":
		d, err := DecodeWrite(doc)
		if err != nil {
			return err
		}
		return Write(d, c.OutDir)
	}
	return &DocError{Err: fmt.Errorf("unknown action %q (want fetch, run or write)", verb)}
}

// fetch takes settings and credentials from where they are mounted.
func (s *Shared) fetch(ctx context.Context, d *action.Fetch, c Container) error {
	doc, err := c.ReadFile(NetFile)
	var f *fetch.Fetcher
	switch {
	case err == nil:
		f, err = s.bySettings(doc)
	case errors.Is(err, fs.ErrNotExist):
		f, err = s.byEnvironment(c.Getenv)
	default:
		err = fmt.Errorf("read the network settings: %w", err)
	}
	if err != nil {
		return err
	}
	return f.Do(ctx, d, fetch.Env{OutDir: c.OutDir, Auth: c.auth, Log: c.Stderr})
}

// bySettings doesn't parse a document that it knows: with an authorities' bundle it is large, and
// every fetch has it.
func (s *Shared) bySettings(doc []byte) (*fetch.Fetcher, error) {
	s.mu.Lock()
	f := s.fetchers[settingsKey{"settings", string(doc)}] // which copies nothing
	s.mu.Unlock()
	if f != nil {
		return f, nil
	}
	settings, err := fetch.ParseSettings(doc)
	if err != nil {
		return nil, err
	}
	return s.fetcher(settingsKey{"settings", string(doc)}, settings)
}

// byEnvironment is for engines that have set a proxy for all their containers. getenv can be nil.
func (s *Shared) byEnvironment(getenv func(string) string) (*fetch.Fetcher, error) {
	settings := fetch.Settings{Env: map[string]string{}}
	key := settingsKey{kind: "environment"}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if getenv != nil {
			settings.Env[name] = getenv(name)
		}
		key.text += "\x00" + settings.Env[name]
	}
	return s.fetcher(key, settings)
}

// unpackFiles carries out a document that is in a file, and whose items are files too.
func (s *Shared) unpackFiles(ctx context.Context, file string, c Container) error {
	doc, err := c.ReadFile(file)
	if err != nil {
		return err
	}
	d, err := DecodeFetch(doc)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	f, err := s.fetcher(settingsKey{kind: "files"}, fetch.Settings{})
	if err != nil {
		return err
	}
	return f.Do(ctx, d, fetch.Env{OutDir: c.OutDir, Files: true, Log: c.Stderr})
}

func (s *Shared) fetcher(key settingsKey, settings fetch.Settings) (*fetch.Fetcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.fetchers[key]; f != nil {
		return f, nil
	}
	f, err := fetch.New(settings, s.opt)
	if err != nil {
		return nil, err
	}
	if len(s.fetchers) >= maxFetchers {
		for _, old := range s.fetchers {
			old.Close() // what is in use goes on
		}
		clear(s.fetchers)
	}
	s.fetchers[key] = f
	return f, nil
}

// auth looks a credential up.
func (c Container) auth(name string) (string, error) {
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("%q can't be the name of a credential", name)
	}
	value, err := c.ReadFile(path.Join(AuthDir, name))
	return string(value), err
}
