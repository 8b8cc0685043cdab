// A server with a certificate of its own authority, for scripts.
package e2e

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdHTTPSServer serves "hello" by https on the loopback interface, with a certificate that only those
// trust who have its authority: httpsserver FILE. HTTPSURL becomes its URL, and FILE has the
// certificate of the authority.
func cmdHTTPSServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: httpsserver FILE")
	}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	ts.Defer(srv.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), ca, 0o644))
	ts.Setenv("HTTPSURL", srv.URL)
}
