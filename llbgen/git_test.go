package llbgen

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph"
)

const commit = "0123456789012345678901234567890123456789"

// TestGit: a commit is a source of BuildKit's, and the definition asks no server for anything.
func TestGit(t *testing.T) {
	for _, tt := range []struct {
		action, identifier string
		attrs              map[string]string // those that matter here
		ssh                bool
	}{
		{"git https://git.example.com/a/lib.git " + commit + " submodules", "git://git.example.com/a/lib.git#" + commit,
			map[string]string{"git.fullurl": "https://git.example.com/a/lib.git"}, false},
		{"git http://git.example.com:8080/lib " + commit, "git://git.example.com:8080/lib#" + commit,
			map[string]string{"git.fullurl": "http://git.example.com:8080/lib", "git.skipsubmodules": "true"}, false},
		{"git ssh://git@git.example.com/lib " + commit, "git://git.example.com/lib#" + commit,
			map[string]string{"git.fullurl": "ssh://git@git.example.com/lib", "git.skipsubmodules": "true", "git.knownsshhosts": "git.example.com ssh-ed25519 AAAA\n", "git.mountsshsock": "default"}, true},
	} {
		text := "graph 1\nnode t/git/lib\n  " + tt.action + "\nroot lib from=t/git/lib\n"
		p := lower(t, text, func(o *Options) { o.KnownHosts = "git.example.com ssh-ed25519 AAAA\n" })
		ops := one(t, p)
		source := ops[0].GetSource()
		got := maps.Clone(source.GetAttrs())
		for _, name := range []string{"git.authheadersecret", "git.authtokensecret"} {
			if got[name] == "" {
				t.Errorf("%s: no %s", tt.action, name)
			}
			delete(got, name)
		}
		if source.GetIdentifier() != tt.identifier || !maps.Equal(got, tt.attrs) {
			t.Errorf("%s: %s %v", tt.action, source.GetIdentifier(), got)
		}
		if p.SSH != tt.ssh || ops[0].name != "[t/git] lib" || len(p.Vertices[ops[0].digest]) != 1 {
			t.Errorf("%s: ssh %v, vertex %q of %v", tt.action, p.SSH, ops[0].name, p.Vertices)
		}
	}
}

// TestGitUnknownHost: without known keys nothing is read by ssh.
func TestGitUnknownHost(t *testing.T) {
	g, err := graph.ParseText("g", "graph 1\nnode t/git/lib\n  git ssh://git@git.example.com/lib "+commit+"\nroot lib from=t/git/lib\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lower(context.Background(), g, options()); err == nil || !strings.Contains(err.Error(), "known_hosts") {
		t.Errorf("got %v", err)
	}
}
