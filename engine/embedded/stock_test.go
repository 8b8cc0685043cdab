package embedded_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/internal/testengine"
)

// TestStock does on a stock buildkitd what the embedded engine does.
func TestStock(t *testing.T) {
	tool := testengine.BuildTool(t)
	e := testengine.Stock(t)
	info := e.Info()
	if info.Embedded || !info.Merge || !info.HardLinks || info.MaxMessage == 0 || len(info.Platforms) == 0 || len(info.InProcess) > 0 {
		t.Errorf("info %+v", info)
	}
	dir := t.TempDir()
	def := testengine.Marshal(t, llb.Merge([]llb.State{tool.Op([]string{"write", "/out/a", "1"}), tool.Op([]string{"write", "/out/b", "2"})}))
	if _, err := e.Solve(context.Background(), engine.Request{Definition: def, Locals: tool.Locals(), Output: &engine.Output{Dir: dir}}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "b")); err != nil || string(data) != "2" {
		t.Errorf("%q, %v", data, err)
	}
	_, err := solve(t, e, tool, tool.Op([]string{"echo", "bye", ";", "exit", "7"}))
	var v *engine.VertexError
	if !errors.As(err, &v) || v.ExitCode != 7 || string(v.Output) != "bye\n" {
		t.Errorf("error %#v", err)
	}
	// An op with the network that llbgen asks for needs no entitlement.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := solve(t, e, tool, tool.Op([]string{"dial", l.Addr().String()}, llb.Network(llb.NetModeSandbox))); err != nil {
		t.Error(err)
	}
}

// TestTLS reaches an engine over TCP with certificates of both sides.
func TestTLS(t *testing.T) {
	bin := os.Getenv("MERGEFEST_BUILDKITD")
	if bin == "" || os.Geteuid() != 0 {
		t.Skip("it needs root and MERGEFEST_BUILDKITD")
	}
	dir := t.TempDir()
	ca, caKey := certificate(t, dir, "ca", nil, nil)
	certificate(t, dir, "server", ca, caKey)
	certificate(t, dir, "client", ca, caKey)
	file := func(name string) string { return filepath.Join(dir, name) }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	cmd := exec.Command(bin, "--root", file("root"), "--addr", "tcp://"+addr, "--containerd-worker", "false",
		"--otel-socket-path", file("otel.sock"), "--tlscacert", file("ca.pem"), "--tlscert", file("server.pem"), "--tlskey", file("server.key"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	waitFor(t, "buildkitd to listen", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	url := "tcp://" + addr + "?cacert=" + file("ca.pem") + "&servername=server"
	e, err := engine.Open(context.Background(), engine.Options{URL: url, TLS: engine.TLS{Cert: file("client.pem"), Key: file("client.key")}})
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	_, err = engine.Open(context.Background(), engine.Options{URL: url})
	var ce *engine.ConnectError
	if !errors.As(err, &ce) {
		t.Errorf("without a certificate: %v", err)
	}
}

// certificate writes NAME.pem and NAME.key, signed by ca, or by itself.
func certificate(t *testing.T, dir, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ca == nil {
		ca, caKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name+".pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: pk})))
	return c, key
}
