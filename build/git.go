// What an engine needs of this machine to read repositories: credentials, and servers' keys.
package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/sshforward/sshprovider"

	"github.com/mergefest/mergefest/graph"
	"github.com/mergefest/mergefest/llbgen"
)

// gitAuth begins the names of the secrets that BuildKit asks for: with "." and a host, or without.
var gitAuth = [...]string{"GIT_AUTH_TOKEN", "GIT_AUTH_HEADER"}

// gitSecrets adds the credentials for repositories: environment variables that have the names of
// the secrets.
func gitSecrets(into secretMap, environ []string) {
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		for _, prefix := range gitAuth {
			if (name == prefix || strings.HasPrefix(name, prefix+".")) && value != "" {
				into[name] = []byte(value)
			}
		}
	}
}

// knownHosts reads the keys of servers that ssh trusts on this machine.
func knownHosts(getenv func(string) string) (string, error) {
	files := []string{"/etc/ssh/ssh_known_hosts"}
	if home := getenv("HOME"); home != "" {
		files = append(files, filepath.Join(home, ".ssh", "known_hosts"))
	}
	var all strings.Builder
	for _, f := range files {
		data, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		all.Write(data)
		if len(data) > 0 && data[len(data)-1] != '\n' {
			all.WriteByte('\n')
		}
	}
	return all.String(), nil
}

// sshAgent forwards the user's agent to the engine, if a plan reads repositories by ssh.
func sshAgent(plan *llbgen.Plan, getenv func(string) string) ([]session.Attachable, error) {
	if !plan.SSH {
		return nil, nil
	}
	socket := getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, errors.New("a repository is read by ssh, and SSH_AUTH_SOCK names no agent; start ssh-agent and add a key, or use https")
	}
	agent, err := sshprovider.NewSSHAgentProvider([]sshprovider.AgentConfig{{ID: "default", Paths: []string{socket}}})
	if err != nil {
		return nil, fmt.Errorf("the agent at SSH_AUTH_SOCK: %w", err)
	}
	return []session.Attachable{agent}, nil
}

// noPrompt is how git says that it would ask for a user's name.
var noPrompt = regexp.MustCompile(`could not read Username for '\w+://([^/'@]+)[^']*': terminal prompts disabled`)

// gitHints adds what to do to what an engine says of a repository.
func gitHints(text string) string {
	text = strings.ReplaceAll(text, "unknown scheme git: not found", "the engine's machine has no git command; install it there and restart the engine (mergefest engine stop)")
	return noPrompt.ReplaceAllString(text, "$0 (the repository isn't public, or isn't there; for a private one set GIT_AUTH_TOKEN.$1 or GIT_AUTH_TOKEN)")
}

// readsGit reports whether the graph reads a repository.
func (p *Planned) readsGit() bool {
	return slices.ContainsFunc(p.Graph.Nodes(), func(n graph.Node) bool {
		_, ok := n.Action.(*graph.Git)
		return ok
	})
}
