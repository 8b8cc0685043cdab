package npm

// "devEngines" of the app's package.json: the tools that its developers have agreed on.

import (
	"fmt"
	"slices"
	"strings"
)

// checkDevEngines holds them against this machine, as npm ci and npm run do: what doesn't suit is an
// error unless onFail says otherwise. Versions of tools that aren't there aren't compared.
func (a *app) checkDevEngines() *Error {
	doc := a.manifests[""]
	engines, ok := doc.top["devEngines"].(object)
	if !ok {
		return nil
	}
	p := a.opt.Platform
	have := map[string]devEngine{
		"runtime": {"node", p.Node}, "packageManager": {"npm", p.NPM}, "os": {p.OS, ""}, "cpu": {p.CPU, ""}, "libc": {p.Libc, ""},
	}
	for _, key := range sortedKeys(engines) {
		h, known := have[key]
		if !known {
			return doc.errorIn(&Error{Reason: BadConfig, Msg: fmt.Sprintf("there is no setting %q in devEngines", key),
				Advice: "it may have: " + strings.Join(sortedKeys(have), ", ")}, "devEngines", key)
		}
		list, isList := engines[key].([]any)
		if !isList {
			list = []any{engines[key]}
		}
		why, onFail, err := h.check(list)
		switch {
		case err != "":
			return doc.errorIn(&Error{Reason: BadConfig, Msg: fmt.Sprintf("devEngines.%s: %s", key, err), Advice: `write {"name": "node", "version": ">=20", "onFail": "warn"}`}, "devEngines", key)
		case why == "" || onFail == "ignore":
		case onFail == "warn" || a.opt.Config.is("force"):
			a.warnings = append(a.warnings, fmt.Sprintf("devEngines.%s: %s", key, why))
		default:
			return doc.errorIn(&Error{Reason: WrongNode, Msg: fmt.Sprintf("devEngines.%s: %s", key, why),
				Advice: `install what it asks for, or let it have "onFail": "warn"`}, "devEngines", key)
		}
	}
	return nil
}

// devEngine is what there is of a tool: its name, and its version if it is known.
type devEngine struct{ name, version string }

// check compares with a list of alternatives. why says why none suits; onFail is the last one's.
func (h devEngine) check(list []any) (why, onFail, err string) {
	var reasons []string
	onFail = "error"
	for _, v := range list {
		o, ok := v.(object)
		if !ok {
			return "", "", "it must be an object, or a list of them"
		}
		for _, k := range sortedKeys(o) {
			if s, isString := o[k].(string); !isString || !slices.Contains([]string{"name", "version", "onFail"}, k) ||
				k == "onFail" && !slices.Contains([]string{"ignore", "warn", "error", "download"}, s) {
				return "", "", fmt.Sprintf("%q is no setting, or has a value that it can't have", k)
			}
		}
		if str(o, "name") == "" {
			return "", "", "it needs a name"
		}
		if onFail = str(o, "onFail"); onFail == "" {
			onFail = "error"
		}
		if r := h.refused(str(o, "name"), str(o, "version")); r != "" {
			reasons = append(reasons, r)
		}
	}
	if len(reasons) < len(list) {
		return "", onFail, ""
	}
	return strings.Join(reasons, "; "), onFail, ""
}

// refused says why a tool isn't what is wanted, or returns "".
func (h devEngine) refused(name, version string) string {
	switch {
	case h.name == "":
	case name != h.name:
		return fmt.Sprintf("%s is asked for, and there is %s", name, h.name)
	case version == "" || h.version == "" || version == h.version:
	default:
		if _, err := parseRange(version, mode{loose: true}); err != nil || !satisfies(h.version, version, mode{}) {
			return fmt.Sprintf("%s %s is asked for, and there is %s", name, version, h.version)
		}
	}
	return ""
}
