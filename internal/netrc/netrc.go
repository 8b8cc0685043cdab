// Package netrc reads the logins of a .netrc file, as the go command, curl and pip do: the format is
// that of inetutils (https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html).
package netrc

import "strings"

// Login is how to log in to a host.
type Login struct {
	Host           string // without a port
	User, Password string
}

// Parse lists the logins in the order of the file. The entry "default" has no host. What isn't
// understood is left out, as by other readers of the format.
func Parse(data string) []Login {
	var out []Login
	var at Login
	inMacro, inEntry := false, false
	add := func() {
		if inEntry && at.User != "" && at.Password != "" {
			out = append(out, at)
		}
		at, inEntry = Login{}, false
	}
	for line := range strings.Lines(data) {
		line = strings.TrimRight(line, "\r\n")
		if inMacro { // up to an empty line
			inMacro = line != ""
			continue
		}
		f := strings.Fields(line)
		for i := 0; i < len(f); i++ {
			if f[i] == "default" {
				add()
				inEntry = true
				continue
			}
			if i+1 == len(f) {
				break
			}
			switch i++; f[i-1] {
			case "machine":
				add()
				at.Host, inEntry = f[i], true
			case "login":
				at.User = f[i]
			case "password":
				at.Password = f[i]
			case "macdef":
				inMacro = true
			}
		}
	}
	add()
	return out
}
