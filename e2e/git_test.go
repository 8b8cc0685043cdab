// A server of git repositories for scripts.
package e2e

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdGitServer serves the repositories below a directory on the loopback interface: gitserver DIR
// [TOKEN]. GITURL becomes its URL. With a token, only who sends it gets the repository "private".
func cmdGitServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: gitserver DIR [TOKEN]")
	}
	out, err := exec.Command("git", "--exec-path").Output()
	ts.Check(err)
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + ts.MkAbs(args[0]), "GIT_HTTP_EXPORT_ALL=1", "HOME=/nonexistent"},
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); len(args) == 2 && password != args[1] && strings.HasPrefix(r.URL.Path, "/private/") {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "a token is needed", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	ts.Defer(srv.Close)
	ts.Setenv("GITURL", srv.URL)
}
