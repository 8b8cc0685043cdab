package npm

// What a registry says of a package: the manifests that lockfiles of version 1 lack.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// RegistryFacts answers Facts from registries over HTTP. It asks once for each package, whatever
// the number of versions. It is safe for concurrent use; the zero value works.
type RegistryFacts struct {
	// Client makes the requests; nil is a client with a timeout of a minute that honours the
	// proxy variables of the environment.
	Client *http.Client

	mu    sync.Mutex
	known map[string]*packument
}

// packument is the answer for one package.
type packument struct {
	once     sync.Once
	versions map[string]json.RawMessage
	err      error
}

// maxPackument bounds an answer; the largest known have 10 MB.
const maxPackument = 128 << 20

// abbreviated asks for the short form of the answer, which has what an installation needs.
const abbreviated = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"

// NotFoundError says that a registry hasn't got a package, or not in that version (any more).
type NotFoundError struct{ Name, Version string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("the registry has no version %s of %s", e.Version, e.Name)
}

// Manifest implements Facts.
func (f *RegistryFacts) Manifest(ctx context.Context, q ManifestQuery) ([]byte, error) {
	versions, err := f.versions(ctx, q)
	if isNotFound(err) {
		return nil, &NotFoundError{Name: q.Name, Version: q.Version}
	}
	if err != nil {
		return nil, err
	}
	data, ok := versions[q.Version]
	if !ok {
		return nil, &NotFoundError{Name: q.Name, Version: q.Version}
	}
	return data, nil
}

// Versions implements Facts.
func (f *RegistryFacts) Versions(ctx context.Context, q ManifestQuery) ([]string, error) {
	versions, err := f.versions(ctx, q)
	if isNotFound(err) {
		return nil, nil
	}
	return sortedKeys(versions), err
}

func isNotFound(err error) bool {
	var status *statusError
	return errors.As(err, &status) && status.code == http.StatusNotFound
}

// versions asks once for each package.
func (f *RegistryFacts) versions(ctx context.Context, q ManifestQuery) (map[string]json.RawMessage, error) {
	if q.Registry == "" {
		return nil, &Error{Reason: NoRegistry, Package: q.Name, Msg: "no registry is configured",
			Advice: "set registry=https://… in .npmrc or the environment variable npm_config_registry"}
	}
	f.mu.Lock()
	if f.known == nil {
		f.known = map[string]*packument{}
	}
	key := q.Registry + q.Name
	p := f.known[key]
	if p == nil {
		p = &packument{}
		f.known[key] = p
	}
	f.mu.Unlock()
	p.once.Do(func() { p.versions, p.err = f.get(ctx, q) })
	return p.versions, p.err
}

// statusError is an answer without a package.
type statusError struct {
	code         int
	status, name string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the registry answered %s for %s", e.status, e.name)
}

func (f *RegistryFacts) get(ctx context.Context, q ManifestQuery) (map[string]json.RawMessage, error) {
	client := f.Client
	if client == nil {
		client = &http.Client{Timeout: time.Minute}
	}
	var last error
	for attempt := range 3 {
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Duration(attempt) * 300 * time.Millisecond):
			}
		}
		versions, retry, err := getPackument(ctx, client, q)
		if err == nil || !retry {
			return versions, err
		}
		last = err
	}
	return nil, last
}

func getPackument(ctx context.Context, client *http.Client, q ManifestQuery) (versions map[string]json.RawMessage, retry bool, err error) {
	u := q.Registry + strings.ReplaceAll(url.PathEscape(q.Name), "%40", "@")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, false, fmt.Errorf("the registry's URL can't be used")
	}
	req.Header.Set("Accept", abbreviated)
	if q.Authorization != "" {
		req.Header.Set("Authorization", q.Authorization)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, ctx.Err() == nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests,
			&statusError{res.StatusCode, res.Status, q.Name}
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxPackument+1))
	if err != nil {
		return nil, true, err
	}
	if len(data) > maxPackument {
		return nil, false, fmt.Errorf("the registry's answer for %s is larger than 128 MiB", q.Name)
	}
	var doc struct {
		Versions map[string]json.RawMessage `json:"versions"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, false, fmt.Errorf("the registry's answer for %s isn't the JSON that was expected: %w", q.Name, err)
	}
	return doc.Versions, false, nil
}
