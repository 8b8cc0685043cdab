package npm

// .npmrc files: the ini dialect of npm, with ${VARIABLES}.

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// setting is a value and where it was set.
type setting struct {
	value  string
	list   []string // of "key[]=value" lines
	source string   // "file:line", "environment"
	unset  string   // a ${VARIABLE} in it that has no value
}

var (
	iniLine = regexp.MustCompile(`^\[([^\]]*)\]\s*$|^([^=]+)(=(.*))?$`)
	envExpr = regexp.MustCompile(`(\\*)\$\{([^${}?]+)(\?)?\}`)
)

// parseNpmrc reads an .npmrc. Lines that make no sense are ignored, as npm ignores them, and so is
// everything in a [section]: no setting that matters here lives in one.
func parseNpmrc(file string, data []byte, env map[string]string) map[string]setting {
	out := map[string]setting{}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	section := false
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == ';' || trimmed[0] == '#' {
			continue
		}
		m := iniLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if strings.HasPrefix(line, "[") && m[2] == "" {
			section = true
			continue
		}
		if section {
			continue
		}
		key, _ := expandEnv(iniUnquote(m[2]), env)
		value, unset := "true", ""
		if m[3] != "" {
			value, unset = expandEnv(iniUnquote(m[4]), env)
		}
		at := setting{value: value, source: position(file, i+1), unset: unset}
		if bare, ok := strings.CutSuffix(key, "[]"); ok && bare != "" {
			at.list = append(out[bare].list, value)
			key = bare
		}
		out[key] = at
	}
	return out
}

// iniUnquote reads a key or value: quotes as in JSON, "\;" and "\#" escaped, else a comment ends it.
func iniUnquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 1 && (s[0] == '"' && s[len(s)-1] == '"' || s[0] == '\'' && s[len(s)-1] == '\'') {
		if s[0] == '\'' {
			s = s[1 : len(s)-1]
		}
		var v string
		if json.Unmarshal([]byte(s), &v) == nil {
			return v
		}
		return s
	}
	var b strings.Builder
	escaped := false
	for _, c := range s {
		switch {
		case escaped:
			if !strings.ContainsRune(`\;#`, c) {
				b.WriteByte('\\')
			}
			b.WriteRune(c)
			escaped = false
		case c == ';' || c == '#':
			return strings.TrimSpace(b.String())
		case c == '\\':
			escaped = true
		default:
			b.WriteRune(c)
		}
	}
	if escaped {
		b.WriteByte('\\')
	}
	return strings.TrimSpace(b.String())
}

// expandEnv replaces ${NAME}; ${NAME?} may be unset. An odd number of backslashes before it keeps
// it. unset is the first variable that has no value: npm leaves such a text alone.
func expandEnv(s string, env map[string]string) (out, unset string) {
	out = envExpr.ReplaceAllStringFunc(s, func(m string) string {
		g := envExpr.FindStringSubmatch(m)
		esc, name := g[1], g[2]
		if len(esc)%2 == 1 {
			return m[(len(esc)+1)/2:]
		}
		v, ok := env[name]
		if !ok && g[3] == "" {
			v = "${" + name + "}"
			if unset == "" {
				unset = name
			}
		}
		return esc[len(esc)/2:] + v
	})
	return out, unset
}

func position(file string, line int) string {
	return file + ":" + itoa(line)
}
