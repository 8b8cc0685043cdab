package netrc

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	const file = `
machine a.example.com login joe password secret
machine b.example.com
	login ann
	account x
	password "quoted"
machine c.example.com login nobody
macdef init
machine never.example.com login x password y

machine a.example.com login second password p
default login anonymous password mail@example.com
`
	want := []Login{
		{"a.example.com", "joe", "secret"}, {"b.example.com", "ann", `"quoted"`},
		{"a.example.com", "second", "p"}, {"", "anonymous", "mail@example.com"},
	}
	if got := Parse(file); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for _, odd := range []string{"", "machine", "machine x login", "password p", "\x00", "default", "macdef"} {
		if got := Parse(odd); len(got) > 0 {
			t.Errorf("%q: got %q", odd, got)
		}
	}
}
