// Runs the scripts, once for each kind of engine.
package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mergefest/mergefest/internal/testengine"
)

func TestEmbedded(t *testing.T) {
	state := t.TempDir()
	bin := mergefest(t)
	t.Cleanup(func() {
		out, err := exec.Command(bin, "engine", "stop", "--state", state).CombinedOutput()
		if err != nil {
			t.Errorf("stopping the engine: %v\n%s", err, out)
		}
	})
	runScripts(t, "stock_", bin, "MERGEFEST_STATE="+state)
}

func TestStock(t *testing.T) {
	runScripts(t, "embedded_", mergefest(t),
		"MERGEFEST_STATE="+t.TempDir(), "BUILDKIT_HOST="+testengine.StockAddress(t))
}

// runScripts runs every script whose name doesn't begin with except.
func runScripts(t *testing.T, except, bin string, env ...string) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, s := range scripts {
		if !strings.HasPrefix(filepath.Base(s), except) {
			files = append(files, s)
		}
	}
	if len(files) == 0 {
		t.Fatal("no script found in testdata/script")
	}
	host := goEnv(t)
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Files:         files,
		UpdateScripts: os.Getenv("UPDATE") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"report":      cmdReport,
			"executed":    cmdExecuted,
			"failed":      cmdFailed,
			"edit":        cmdEdit,
			"gitserver":   cmdGitServer,
			"sshserver":   cmdSSHServer,
			"httpsserver": cmdHTTPSServer,
			"npmregistry": cmdNPMRegistry,
		},
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, host...)
			e.Vars = append(e.Vars, env...)
			e.Vars = append(e.Vars,
				"PATH="+filepath.Dir(bin)+string(os.PathListSeparator)+os.Getenv("PATH"),
				"ROOT="+root, "BUILDCTL="+os.Getenv("MERGEFEST_BUILDCTL"))
			return nil
		},
	})
}

// mergefest returns the binary under test: MERGEFEST_BIN, or one that is built here.
func mergefest(t *testing.T) string {
	t.Helper()
	if bin := os.Getenv("MERGEFEST_BIN"); bin != "" {
		return bin
	}
	bin := filepath.Join(t.TempDir(), "mergefest")
	cmd := exec.Command("go", "build", "-o", bin, "../cmd/mergefest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building mergefest: %v\n%s", err, out)
	}
	return bin
}

// goEnv passes the host's Go configuration on to scripts, whose HOME is a directory of their own,
// so that they use the caches and the proxy that this machine is set up for.
func goEnv(t *testing.T) []string {
	t.Helper()
	var vars []string
	for _, name := range []string{"GOMODCACHE", "GOCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOFLAGS"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		vars = append(vars, name+"="+strings.TrimSpace(string(out)))
	}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "SSL_CERT") || name == "NODE_EXTRA_CA_CERTS" || strings.HasSuffix(strings.ToUpper(name), "_PROXY") {
			vars = append(vars, kv)
		}
	}
	return vars
}
