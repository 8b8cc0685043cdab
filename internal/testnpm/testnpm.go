// Package testnpm asks npm, the oracle of tests, what a project's node_modules is.
package testnpm

import (
	"os/exec"
	"regexp"
	"testing"
)

// unservedOptional is npm ci's complaint about an optional package that the registry doesn't have.
// Some registries serve a part of the packages only, and npm install locks without the rest.
var unservedOptional = regexp.MustCompile(`Missing: \S+@ from lock file`)

// CI runs npm ci in a directory with the given flags.
func CI(t testing.TB, dir string, flags ...string) {
	t.Helper()
	if out, err := TryCI(t, dir, flags...); err != nil {
		t.Fatalf("npm: %v\n%s", err, out)
	}
}

// TryCI is CI for projects that npm may fail to install.
func TryCI(t testing.TB, dir string, flags ...string) ([]byte, error) {
	run := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), "npm", append(append(args, "--no-audit", "--no-fund", "--prefer-offline"), flags...)...)
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	out, err := run("ci")
	if err != nil && unservedOptional.Match(out) {
		return run("install", "--no-save")
	}
	return out, err
}
