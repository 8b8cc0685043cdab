package engine

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/client"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	digest "github.com/opencontainers/go-digest"
)

func TestRemote(t *testing.T) {
	for _, c := range []struct {
		url  string
		addr string
		tls  TLS
		want string // in the error
	}{
		{url: "unix:///run/b.sock", addr: "unix:///run/b.sock"},
		{url: "docker-container://name", addr: "docker-container://name"},
		{url: "kube-pod://pod?namespace=ns&container=c", addr: "kube-pod://pod?namespace=ns&container=c"},
		{url: "podman-container://name", addr: "podman-container://name"},
		{url: "ssh://user@host", addr: "ssh://user@host"},
		{url: "tcp://host:1234", addr: "tcp://host:1234"},
		{url: "tcp://host:1234?cacert=/ca&cert=/c&key=/k&servername=s", addr: "tcp://host:1234", tls: TLS{"/ca", "/c", "/k", "s"}},
		{url: "tcp://host:1234?ca=/ca", want: "knows the parameters"},
		{url: "tcp://", want: "host is missing"},
		{url: "http://host", want: "one of docker-container, kube-pod"},
		{url: "host:1234", want: "one of docker-container, kube-pod"},
		{url: "tcp://%zz", want: "invalid URL escape"},
	} {
		addr, tls, err := Options{URL: c.url}.remote()
		var ue *URLError
		if c.want != "" && (!errors.As(err, &ue) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.url, err, c.want)
		}
		if c.want == "" && (err != nil || addr != c.addr || tls != c.tls) {
			t.Errorf("%s: %q, %+v, %v", c.url, addr, tls, err)
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	env := map[string]string{
		"BUILDKIT_HOST": "tcp://e:1", "BUILDKIT_TLS_CACERT": "ca", "BUILDKIT_TLS_CERT": "cert", "BUILDKIT_TLS_KEY": "key",
		"BUILDKIT_TLS_SERVER_NAME": "name", "MERGEFEST_STATE": "/s",
	}
	got := Options{}.FromEnvironment(func(n string) string { return env[n] })
	if got.URL != "tcp://e:1" || got.TLS != (TLS{"ca", "cert", "key", "name"}) || got.StateDir != "/s" {
		t.Errorf("%+v", got)
	}
	got = Options{URL: "unix:///x", StateDir: "/mine"}.FromEnvironment(func(n string) string { return env[n] })
	if got.URL != "unix:///x" || got.StateDir != "/mine" {
		t.Errorf("a field that was set changed: %+v", got)
	}
}

func TestDefaultStateDir(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/x")
	if dir, err := DefaultStateDir(); err != nil || dir != "/x/mergefest" {
		t.Errorf("%q, %v", dir, err)
	}
	t.Setenv("XDG_STATE_HOME", "relative") // the specification says to ignore it
	t.Setenv("HOME", "/h")
	if dir, err := DefaultStateDir(); err != nil || dir != "/h/.local/state/mergefest" {
		t.Errorf("%q, %v", dir, err)
	}
	t.Setenv("HOME", "")
	if _, err := DefaultStateDir(); err == nil {
		t.Error("no error without a home")
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	for _, url := range []string{"tcp://" + addr, "unix://" + filepath.Join(t.TempDir(), "none")} {
		_, err := Open(context.Background(), Options{URL: url})
		var ce *ConnectError
		if !errors.As(err, &ce) || !strings.Contains(err.Error(), url) {
			t.Errorf("%s: error %v", url, err)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"tcp://host:1":               "tcp://host:1",
		"ssh://user@host/path":       "ssh://user@host/path",
		"ssh://user:secret@host":     "ssh://user:…@host",
		"ssh://user:se@cret@host/p/": "ssh://user:…@host/p",
	} {
		if got := redact(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestKnowsMerge(t *testing.T) {
	for v, want := range map[string]bool{"": false, "v0.9.3": false, "v0.10.0-rc1": true, "v0.33.1": true, "0.0.0+unknown": true, "abcdef": true} {
		if got := knowsMerge(v); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
}

func TestVertexError(t *testing.T) {
	logs := newVertexLogs()
	bad, next := digest.FromString("bad"), digest.FromString("next")
	long := strings.Repeat("x", 3*maxLog)
	logs.add(&client.SolveStatus{
		Vertexes: []*client.Vertex{{Digest: bad, Name: "bad one"}, {Digest: next, Name: "next one"}},
		Logs:     []*client.VertexLog{{Vertex: bad, Data: []byte(long)}, {Vertex: bad, Data: []byte("end")}},
	})
	err := error(&gatewayapi.ExitError{ExitCode: 7})
	err = errdefs.WrapVertex(errdefs.WrapVertex(err, bad), next)
	v := logs.vertexError(err)
	if v == nil || v.Digest != bad || v.Name != "bad one" || v.ExitCode != 7 || len(v.Output) != maxLog || !strings.HasSuffix(string(v.Output), "xend") {
		t.Errorf("%+v", v)
	}
	if v := logs.vertexError(errors.New("other")); v != nil {
		t.Errorf("%+v", v)
	}
}
