package goproxy

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWithNetrc(t *testing.T) {
	home := t.TempDir()
	const logins = "machine a.example.com login joe password s/e:c\nmachine b.example.com:8443 login ann password x\nmachine a.example.com login never password y\n"
	for name, data := range map[string]string{".netrc": logins, "other": "machine c.example.com login c password c"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ list, goauth, netrc, want string }{
		{"https://a.example.com/go|https://b.example.com:8443,direct", "netrc", "", "https://joe:s%2Fe%3Ac@a.example.com/go|https://ann:x@b.example.com:8443,direct"},
		{"https://b.example.com,https://own:pw@a.example.com,off", "netrc", "", "https://b.example.com,https://own:pw@a.example.com,off"},
		{"http://a.example.com", "netrc", "", "http://a.example.com"},
		{"https://a.example.com", "off", "", "https://a.example.com"},
		{"https://a.example.com", "git /dir; netrc", "", "https://joe:s%2Fe%3Ac@a.example.com"},
		{"https://a.example.com,https://c.example.com", "netrc", filepath.Join(home, "other"), "https://a.example.com,https://c:c@c.example.com"},
		{"https://a.example.com", "netrc", filepath.Join(home, "missing"), "https://a.example.com"},
		{"", "netrc", "", ""},
	} {
		if got := WithNetrc(c.list, c.goauth, []string{"HOME=/nowhere", "HOME=" + home, "NETRC=" + c.netrc}); got != c.want {
			t.Errorf("%q, GOAUTH=%s: got %q, want %q", c.list, c.goauth, got, c.want)
		}
	}
	p := Parse(WithNetrc("https://a.example.com", "netrc", []string{"HOME=" + home}))
	if string(p.Secrets()[p.Auth()]) != "Basic am9lOnMvZTpj" {
		t.Errorf("secrets: %q", p.Secrets())
	}
}
