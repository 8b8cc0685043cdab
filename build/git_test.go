package build

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/mergefest/mergefest/graph"
)

func TestGitSecrets(t *testing.T) {
	got := secretMap{}
	gitSecrets(got, []string{"GIT_AUTH_TOKEN=a", "GIT_AUTH_TOKEN.git.example.com=b", "GIT_AUTH_HEADER=", "GIT_AUTH_TOKENS=c", "HOME=/root"})
	want := secretMap{"GIT_AUTH_TOKEN": []byte("a"), "GIT_AUTH_TOKEN.git.example.com": []byte("b")}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestKnownHosts(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	env := func(string) string { return home }
	without, err := knownHosts(env)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "known_hosts"), []byte("git.example.com ssh-ed25519 AAAA"), 0o600); err != nil {
		t.Fatal(err)
	}
	with, err := knownHosts(env)
	if err != nil || with != without+"git.example.com ssh-ed25519 AAAA\n" {
		t.Errorf("got %q, %v", with, err)
	}
}

func TestGitHints(t *testing.T) {
	g, err := graph.ParseText("g", "graph 1\nnode t/git/lib\n  git https://git.example.com/lib 0123456789012345678901234567890123456789\nroot lib from=t/git/lib\n")
	if err != nil {
		t.Fatal(err)
	}
	empty, err := graph.ParseText("g", "graph 1\n")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"fatal: could not read Username for 'https://git.example.com:8443': terminal prompts disabled": "fatal: could not read Username for 'https://git.example.com:8443': terminal prompts disabled" +
			" (the repository isn't public, or isn't there; for a private one set GIT_AUTH_TOKEN.git.example.com:8443 or GIT_AUTH_TOKEN)",
		"unknown scheme git: not found": "the engine's machine has no git command; install it there and restart the engine (mergefest engine stop)",
		"anything else":                 "anything else",
	} {
		if got := (&Planned{Graph: g}).Translate(text); got != want {
			t.Errorf("got %q", got)
		}
		if got := (&Planned{Graph: empty}).Translate(text); got != text {
			t.Errorf("without a repository: got %q", got)
		}
	}
}
