package goproxy

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mergefest/mergefest/internal/netrc"
)

// WithNetrc puts the logins that the user's .netrc has for the proxies of a list into their URLs, as
// the go command does where GOAUTH (its value of "go env") says netrc. A URL with a login of its own
// keeps it, and only https URLs get one. Other commands of GOAUTH aren't run. environ is the go
// command's environment; nil is the process's.
func WithNetrc(list, goauth string, environ []string) string {
	if !slices.Contains(strings.FieldsFunc(goauth, func(r rune) bool { return r == ';' || r == ' ' }), "netrc") {
		return list
	}
	if environ == nil {
		environ = os.Environ()
	}
	var file, home string
	for _, kv := range environ { // the last one counts
		switch name, value, _ := strings.Cut(kv, "="); name {
		case "NETRC":
			file = value
		case "HOME":
			home = value
		}
	}
	if file == "" {
		file = filepath.Join(home, ".netrc")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return list // the go command passes over one that it can't read, too
	}
	return withLogins(list, netrc.Parse(string(data)))
}

func withLogins(list string, logins []netrc.Login) string {
	var b strings.Builder
	for entry, sep := range entries(list) {
		if u, err := url.Parse(strings.TrimSpace(entry)); err == nil && u.Scheme == "https" && u.User == nil {
			for _, l := range logins {
				if l.Host == u.Host { // with the port, if the URL has one: so does the go command
					u.User = url.UserPassword(l.User, l.Password)
					entry = u.String()
					break
				}
			}
		}
		b.WriteString(entry + sep)
	}
	return b.String()
}
