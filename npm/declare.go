package npm

// The object "mergefest" of a package.json: what a script reads and leaves, and whose install
// scripts run. Its words are those of other runners of scripts: inputs, outputs, env, dependsOn.
//
//	"mergefest": {
//	  "npm": {"scripts": ["esbuild", "."], "network": ["sharp"]},
//	  "scripts": {
//	    "build": {"outputs": ["dist/**"], "inputs": ["src/**"], "env": ["VITE_*"], "network": false, "dependsOn": ["^build"]}
//	  }
//	}

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// settings is the object of one package.json. The zero value has none.
type settings struct {
	scripts map[string]*declaration
	policy  ScriptPolicy // as far as it is given
	project []string     // packages whose install scripts see the project
}

// declaration says what a script reads and leaves. A nil list isn't given.
type declaration struct {
	doc  *document // where it stands
	name string    // of the script

	inputs    []string
	outputs   []string // files and directories, relative to the package
	removed   []string // parts of outputs that aren't kept
	env       []string
	dependsOn []string
	network   bool
}

// errorf is an error at a key of the declaration.
func (d *declaration) error(key string, e *Error) *Error {
	return d.doc.errorIn(e, "mergefest", "scripts", d.name, key)
}

const settingsAdvice = "the documentation of npm projects has the form of the object \"mergefest\""

// readSettings reads and checks the object; doc may be nil.
func readSettings(doc *document) (*settings, Errors) {
	s := &settings{scripts: map[string]*declaration{}}
	if doc == nil {
		return s, nil
	}
	raw, ok := doc.top["mergefest"]
	if !ok {
		return s, nil
	}
	var errs Errors
	top := checkObject(doc, raw, &errs, []string{"mergefest"}, "npm", "scripts")
	s.readPolicy(doc, top["npm"], &errs)
	scripts, ok := top["scripts"].(object)
	if top["scripts"] != nil && !ok {
		errs = append(errs, wrongType(doc, "an object with the names of scripts", "mergefest", "scripts"))
	}
	for _, name := range sortedKeys(scripts) {
		s.scripts[name] = readDeclaration(doc, name, scripts[name], &errs)
	}
	return s, errs
}

func (s *settings) readPolicy(doc *document, raw any, errs *Errors) {
	if raw == nil {
		return
	}
	at := []string{"mergefest", "npm"}
	o := checkObject(doc, raw, errs, at, "scripts", "network", "project")
	switch v := o["scripts"].(type) {
	case nil:
	case string:
		switch v {
		case "all":
			s.policy.All = true
		case "none":
			s.policy.None = true
		default:
			*errs = append(*errs, wrongType(doc, `"all", "none" or a list of packages`, append(at, "scripts")...))
		}
	default:
		s.policy.Only = checkStrings(doc, v, errs, append(at, "scripts")...)
	}
	s.project = checkStrings(doc, o["project"], errs, append(at, "project")...)
	s.policy.Network = checkStrings(doc, o["network"], errs, append(at, "network")...)
}

func readDeclaration(doc *document, name string, raw any, errs *Errors) *declaration {
	d := &declaration{doc: doc, name: name}
	at := []string{"mergefest", "scripts", name}
	o := checkObject(doc, raw, errs, at, "inputs", "outputs", "env", "dependsOn", "network")
	list := func(key string) []string { return checkStrings(doc, o[key], errs, append(at, key)...) }
	d.env, d.dependsOn, d.inputs = list("env"), list("dependsOn"), list("inputs")
	for _, e := range d.env {
		if !envPattern.MatchString(e) {
			*errs = append(*errs, d.error("env", &Error{Reason: BadDeclaration, Msg: fmt.Sprintf("%q isn't the name of a variable", e), Advice: "a name may have stars: \"VITE_*\""}))
		}
	}
	for _, in := range d.inputs {
		if in != defaultInputs && !doublestar.ValidatePattern(strings.TrimPrefix(in, "!")) {
			*errs = append(*errs, d.error("inputs", &Error{Reason: BadDeclaration, Msg: fmt.Sprintf("%q isn't a pattern", in), Advice: settingsAdvice}))
		}
	}
	var err *Error
	if d.outputs, d.removed, err = parseOutputs(list("outputs")); err != nil {
		*errs = append(*errs, d.error("outputs", err))
	}
	switch v := o["network"].(type) {
	case nil:
	case bool:
		d.network = v
	default:
		*errs = append(*errs, wrongType(doc, "true or false", append(at, "network")...))
	}
	return d
}

// envPattern are names of variables, with stars.
var envPattern = regexp.MustCompile(`^[A-Za-z_*][A-Za-z0-9_*]*$`)

// parseOutputs splits a list into what is kept and what is taken out of that. An entry is a file or
// directory; a directory may end in "/", "/**" or "/**/*". A nil list stays nil.
func parseOutputs(list []string) (kept, removed []string, err *Error) {
	if list == nil {
		return nil, nil, nil
	}
	kept = []string{}
	for _, raw := range list {
		s, not := strings.CutPrefix(raw, "!")
		for _, end := range []string{"/**/*", "/**", "/"} {
			s = strings.TrimSuffix(s, end)
		}
		s = path.Clean(s)
		switch {
		case strings.ContainsAny(s, "*?[]{}\\"):
			return nil, nil, &Error{Reason: BadDeclaration, Msg: fmt.Sprintf("%q: an output is a file or a directory; no pattern but a final /** is possible", raw), Advice: "name the directory"}
		case s == "." || path.IsAbs(s) || raw == "":
			return nil, nil, &Error{Reason: BadDeclaration, Msg: fmt.Sprintf("%q isn't a path below the package", raw), Advice: "name what the script makes"}
		case not:
			removed = append(removed, s)
		default:
			kept = append(kept, s)
		}
	}
	return outermost(kept), sortedUnique(removed), nil
}

// outermost sorts paths and drops those that are below another.
func outermost(paths []string) []string {
	out := []string{}
	for _, p := range sortedUnique(append([]string{}, paths...)) {
		inside := false
		for _, q := range out {
			inside = inside || isBelow(p, q)
		}
		if !inside {
			out = append(out, p)
		}
	}
	return out
}

// isBelow reports whether p is dir or inside it.
func isBelow(p, dir string) bool {
	return dir == "." || p == dir || strings.HasPrefix(p, dir+"/")
}

// checkObject returns raw as an object that has none but these keys; nil after an error.
func checkObject(doc *document, raw any, errs *Errors, at []string, keys ...string) object {
	o, ok := raw.(object)
	if !ok {
		*errs = append(*errs, wrongType(doc, "an object", at...))
		return nil
	}
	for _, k := range sortedKeys(o) {
		if !contains(keys, k) {
			*errs = append(*errs, doc.errorIn(&Error{Reason: BadDeclaration, Msg: fmt.Sprintf("there is no setting %q in %q", k, strings.Join(at, ".")),
				Advice: "it may have: " + strings.Join(keys, ", ")}, append(append([]string{}, at...), k)...))
		}
	}
	return o
}

// checkStrings returns raw as a list of strings; nil if it isn't given.
func checkStrings(doc *document, raw any, errs *Errors, at ...string) []string {
	if raw == nil {
		return nil
	}
	list, ok := raw.([]any)
	out := []string{}
	for _, v := range list {
		s, isString := v.(string)
		ok = ok && isString && s != ""
		out = append(out, s)
	}
	if !ok {
		*errs = append(*errs, wrongType(doc, "a list of strings", at...))
		return nil
	}
	return out
}

func wrongType(doc *document, want string, at ...string) *Error {
	return doc.errorIn(&Error{Reason: BadDeclaration, Msg: fmt.Sprintf("%q must be %s", strings.Join(at, "."), want), Advice: settingsAdvice}, at...)
}
