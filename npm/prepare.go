package npm

// Packages from git that npm prepares: with a network, if the policy lets them have one, and with the
// registries of the project's configuration.

import (
	"path"
	"strings"

	"github.com/mergefest/mergefest/graph"
)

// Paths in the container of a node that prepares.
const (
	prepareDir     = "/package" // the repository, writable
	credentialsDir = "/mergefest-credentials"
)

// preparation is what npm has to know when it installs the dependencies of a package before packing it.
type preparation struct {
	config  []npmSetting
	secrets []graph.Secret
}

// npmSetting is a setting of the npm in a container. A credential is a secret in a file: scripts that
// print their environment don't print it.
type npmSetting struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	File  string `json:"file,omitempty"`
}

// inherited are the settings beside registries that decide on what an installation gives, wherever they
// are set.
var inherited = [...]string{"legacy-peer-deps", "replace-registry-host"}

// prepares notes in a package's source how it is prepared, if it comes from git and may have a network.
func (a *app) prepares(src *sources, n *node, s *source) *Error {
	if _, network := a.decide(n); s.git == nil || !network {
		return nil
	}
	p := &preparation{}
	if err := src.registries(p); err != nil {
		return asError(err)
	}
	for _, key := range inherited {
		if v, ok := src.cfg.get(key); ok {
			p.config = append(p.config, npmSetting{Key: key, Value: v.value})
		}
	}
	s.prepare = p
	return nil
}

// registries adds the registries that are configured, and the credentials for these alone: scripts can
// read what npm reads.
func (s *sources) registries(p *preparation) error {
	keys := []string{"registry"}
	if s.cfg != nil {
		for _, key := range sortedKeys(s.cfg.values) {
			if strings.HasPrefix(key, "@") && strings.HasSuffix(key, ":registry") {
				keys = append(keys, key)
			}
		}
	}
	seen := map[string]bool{}
	for _, key := range keys {
		scope, _, _ := strings.Cut(key, ":")
		base, err := s.cfg.registry(scope + "/") // of a package in it; without a scope that is any
		if err != nil {
			return err
		}
		if _, ok := s.cfg.get(key); ok && base != "" {
			p.config = append(p.config, npmSetting{Key: key, Value: base})
		}
		at, value, err := s.cfg.authAt(base)
		if err != nil {
			return err
		}
		if value != "" && !seen[at] {
			seen[at] = true
			s.credential(p, at, value)
		}
	}
	return nil
}

// credential adds the secret behind the value of an Authorization header.
func (s *sources) credential(p *preparation, at, header string) {
	kind, value, _ := strings.Cut(header, " ")
	setting := at + ":_auth"
	if kind == "Bearer" {
		setting += "Token"
	}
	name := strings.Replace(secretName(at), "auth", "credential", 1) // that one is the whole header
	s.secrets[name] = value
	file := path.Join(credentialsDir, name)
	p.config = append(p.config, npmSetting{Key: setting, File: file})
	p.secrets = append(p.secrets, graph.Secret{Name: name, Target: file})
}

// fromGit lists the packages from git as ones with scripts: whether they have any isn't known before
// their commits are there.
func fromGit(fetches []*tarball) []Script {
	var out []Script
	for _, f := range fetches {
		if f.src.git != nil {
			out = append(out, Script{Package: f.name, Version: f.version})
		}
	}
	return out
}
