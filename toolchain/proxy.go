// Toolchains from the module proxy: the module golang.org/toolchain, whose versions are those of
// Go for each platform. The checksum database vouches for them, as no go.sum does.
package toolchain

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/goproxy"
)

// SumError says that the checksum database doesn't vouch for a toolchain.
type SumError struct {
	Module module.Version
	Err    error
}

func (e *SumError) Error() string {
	return fmt.Sprintf("verifying %s: %v; a toolchain is used only if the checksum database has it: set GOSUMDB, or use the host's toolchain", e.Module, e.Err)
}

func (e *SumError) Unwrap() error { return e.Err }

// fromProxy gives a toolchain that the engine downloads.
func (s *Store) fromProxy(ctx context.Context, env *goEnv, platform string) (*Go, error) {
	m := module.Version{Path: "golang.org/toolchain", Version: "v0.0.1-" + env.GOVERSION + "." + strings.ReplaceAll(platform, "/", "-")}
	if strings.ContainsAny(env.GOVERSION, " \t") || !strings.HasPrefix(env.GOVERSION, "go1") {
		return nil, &SumError{m, fmt.Errorf("%q is not a release", env.GOVERSION)}
	}
	list := goproxy.Parse(env.GOPROXY)
	urls, err := list.For(m, env.GONOPROXY)
	if err != nil {
		return nil, err
	}
	sum, err := s.lookup(ctx, env, list, m)
	if err != nil {
		return nil, &SumError{m, err}
	}
	for i := range urls {
		urls[i] += m.Version + ".zip"
	}
	g := &Go{Version: env.GOVERSION, Platform: platform, Root: ".", Secrets: list.Secrets()}
	programs := []string{"bin/go", "bin/gofmt"}
	for _, t := range tools {
		programs = append(programs, path.Join(g.ToolDir(), t.name))
	}
	g.Node = graph.Node{
		ID: graph.ID{Ecosystem: "go", Kind: "fetch", Package: m.Path, Version: m.Version},
		Action: &graph.Fetch{Fetch: action.Fetch{Items: []action.Item{{
			Name: m.String(), URLs: urls, AnyFailure: list.AnyFailure(), Integrity: []string{sum}, Auth: list.Auth(), AuthHost: list.AuthHost(), Dests: []string{"."},
			Unpack: &action.Unpack{Format: "zip", Prefix: m.String() + "/", SetMode: 0o444, ClearMode: 0o333, Links: "refuse", Executable: programs},
		}}}},
	}
	return g, nil
}

// lookup asks the checksum database for the hash of a module's zip.
func (s *Store) lookup(ctx context.Context, env *goEnv, list *goproxy.List, m module.Version) (string, error) {
	ops, err := s.openSumDB(ctx, env, list)
	if err != nil {
		return "", err
	}
	lines, err := sumdb.NewClient(ops).Lookup(m.Path, m.Version)
	if err != nil {
		return "", errors.Join(err, ops.security())
	}
	prefix := m.Path + " " + m.Version + " "
	for _, line := range lines {
		if sum, ok := strings.CutPrefix(line, prefix); ok {
			return sum, nil
		}
	}
	return "", errors.New("the checksum database has no hash of it")
}

// sumOps is what the checksum database's client needs of the world: a server, and a directory for
// what was verified before.
type sumOps struct {
	ctx    context.Context
	key    string
	base   string // URL
	dir    string
	client *http.Client

	mu       sync.Mutex
	problems []error
}

func (s *Store) openSumDB(ctx context.Context, env *goEnv, list *goproxy.List) (*sumOps, error) {
	fields := strings.Fields(env.GOSUMDB)
	switch {
	case env.GOSUMDB == "off":
		return nil, errors.New("the checksum database is disabled by GOSUMDB=off")
	case len(fields) == 0 || len(fields) > 2:
		return nil, fmt.Errorf("GOSUMDB %q has %d fields, want one or two", env.GOSUMDB, len(fields))
	}
	key := fields[0]
	if !strings.Contains(key, "+") {
		known, err := knownKeys(env.GOROOT)
		if err != nil {
			return nil, fmt.Errorf("the key of the checksum database %s: %w", key, err)
		}
		if key = known[key]; key == "" {
			return nil, fmt.Errorf("the key of the checksum database %s is not known; GOSUMDB can have it in full", fields[0])
		}
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("GOSUMDB: %w", err)
	}
	o := &sumOps{ctx: ctx, key: key, dir: filepath.Join(s.dir, "sumdb"), client: &http.Client{Timeout: time.Minute}}
	if len(fields) == 2 {
		o.base = strings.TrimRight(fields[1], "/")
		return o, nil
	}
	return o, o.findServer(list, verifier.Name())
}

// findServer asks each proxy whether it serves the database; else the database is asked itself.
func (o *sumOps) findServer(list *goproxy.List, name string) error {
	for _, u := range list.URLs() {
		base := u + "/sumdb/" + name
		_, err := o.get(base + "/supported")
		var status *statusError
		switch {
		case err == nil:
			o.base = base
			return nil
		case errors.As(err, &status) && (status.code == http.StatusNotFound || status.code == http.StatusGone):
		default:
			return err
		}
	}
	u, err := url.Parse("https://" + name)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("GOSUMDB: %q is not the name of a server", name)
	}
	o.base = u.String()
	return nil
}

// knownKeys reads the keys that a Go installation trusts, from its own source.
func knownKeys(goroot string) (map[string]string, error) {
	file := filepath.Join(goroot, "src", "cmd", "go", "internal", "modfetch", "key.go")
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	keys := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		if kv, ok := n.(*ast.KeyValueExpr); ok {
			name, ok1 := stringLit(kv.Key)
			key, ok2 := stringLit(kv.Value)
			if ok1 && ok2 {
				keys[name] = key
			}
		}
		return true
	})
	return keys, nil
}

func stringLit(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// statusError is an answer other than 200.
type statusError struct {
	url  string
	code int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: %d %s", e.url, e.code, http.StatusText(e.code))
}

// maxAnswer bounds what the database may send; a record has a few hundred bytes.
const maxAnswer = 1 << 20

func (o *sumOps) get(u string) ([]byte, error) {
	req, err := http.NewRequestWithContext(o.ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{u, resp.StatusCode}
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
}

// ReadRemote implements sumdb.ClientOps.
func (o *sumOps) ReadRemote(path string) ([]byte, error) { return o.get(o.base + path) }

// ReadConfig implements sumdb.ClientOps.
func (o *sumOps) ReadConfig(file string) ([]byte, error) {
	if file == "key" {
		return []byte(o.key), nil
	}
	data, err := os.ReadFile(filepath.Join(o.dir, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the first time
	}
	return data, err
}

// WriteConfig implements sumdb.ClientOps.
func (o *sumOps) WriteConfig(file string, old, new []byte) error {
	name := filepath.Join(o.dir, file)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	lock := flock.New(name + ".lock")
	if err := lock.Lock(); err != nil {
		return err
	}
	defer lock.Unlock()
	data, err := o.ReadConfig(file)
	if err != nil {
		return err
	}
	if len(data) > 0 && string(data) != string(old) {
		return sumdb.ErrWriteConflict
	}
	return writeWhole(name, new)
}

// ReadCache implements sumdb.ClientOps.
func (o *sumOps) ReadCache(file string) ([]byte, error) {
	return os.ReadFile(filepath.Join(o.dir, "cache", file))
}

// WriteCache implements sumdb.ClientOps. What can't be written is asked for again.
func (o *sumOps) WriteCache(file string, data []byte) {
	name := filepath.Join(o.dir, "cache", file)
	if os.MkdirAll(filepath.Dir(name), 0o755) == nil {
		_ = writeWhole(name, data)
	}
}

// Log implements sumdb.ClientOps.
func (*sumOps) Log(string) {}

// SecurityError implements sumdb.ClientOps: the database contradicts what it said before.
func (o *sumOps) SecurityError(msg string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.problems = append(o.problems, errors.New(msg))
}

func (o *sumOps) security() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return errors.Join(o.problems...)
}
