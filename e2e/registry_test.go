// A registry of npm packages for scripts.
package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdNPMRegistry serves the tarballs of a directory as a registry on the loopback interface, to who has the
// token: npmregistry DIR TOKEN. The package "@own/dep" is the file dep.tgz, with the version 1.0.0.
// REGISTRYHOST becomes the host and port.
func cmdNPMRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: npmregistry DIR TOKEN")
	}
	dir := ts.MkAbs(args[0])
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+args[1] {
			http.Error(w, "a token is needed", http.StatusUnauthorized)
			return
		}
		if strings.HasSuffix(r.URL.Path, ".tgz") {
			http.ServeFile(w, r, filepath.Join(dir, path.Base(r.URL.Path)))
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		version := map[string]any{"name": name, "version": "1.0.0", "dist": map[string]string{
			"tarball": "http://" + r.Host + "/" + name + "/-/" + path.Base(name) + ".tgz"}}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "dist-tags": map[string]string{"latest": "1.0.0"}, "versions": map[string]any{"1.0.0": version}})
	}))
	ts.Defer(srv.Close)
	ts.Setenv("REGISTRYHOST", strings.TrimPrefix(srv.URL, "http://"))
}
