package npm

// The rewriting steps of version ranges: carets, tildes, x-ranges and hyphens become comparators.

import (
	"strconv"
	"strings"
)

func isX(s string) bool { return s == "" || s == "x" || s == "X" || s == "*" }

// next is the number after n; n is all digits.
func next(n string) string {
	v, err := strconv.ParseUint(n, 10, 63)
	if err != nil {
		return n // too large to be a version: the comparator is refused later
	}
	return strconv.FormatUint(v+1, 10)
}

// bounds writes ">=from <to-0".
func bounds(from, to string) string { return ">=" + from + " <" + to + "-0" }

func (m mode) lowest() string {
	if m.prerelease {
		return "-0"
	}
	return ""
}

// rewriteAll turns one comparator of the range into comparators with whole versions.
func rewriteAll(c string, m mode) string {
	for _, step := range []func(string, mode) string{rewriteCaret, rewriteTilde, rewriteX} {
		var out []string
		for _, part := range reSpaces.Split(strings.TrimSpace(c), -1) {
			out = append(out, step(part, m))
		}
		c = strings.Join(out, " ")
	}
	// A star is always as loose as it gets; only the first is dropped, as in node-semver.
	c = strings.TrimSpace(c)
	if at := reStar.FindStringIndex(c); at != nil {
		c = c[:at[0]] + c[at[1]:]
	}
	return c
}

// ^1.2.3 is >=1.2.3 <2.0.0-0, ^0.2.3 is >=0.2.3 <0.3.0-0, ^0.0.3 is >=0.0.3 <0.0.4-0.
func rewriteCaret(c string, m mode) string {
	g := m.grammar().caret.FindStringSubmatch(c)
	if g == nil {
		return c
	}
	M, n, p, pre := g[1], g[2], g[3], g[4]
	z := m.lowest()
	switch {
	case isX(M):
		return ""
	case isX(n):
		return bounds(M+".0.0"+z, next(M)+".0.0")
	case isX(p):
		if M == "0" {
			return bounds(M+"."+n+".0"+z, M+"."+next(n)+".0")
		}
		return bounds(M+"."+n+".0"+z, next(M)+".0.0")
	}
	from := M + "." + n + "." + p
	if pre != "" {
		from += "-" + pre
	}
	switch {
	case M != "0":
		return bounds(from, next(M)+".0.0")
	case n != "0":
		return bounds(from, M+"."+next(n)+".0")
	}
	return bounds(from, M+"."+n+"."+next(p))
}

// ~1.2.3 and ~1.2 allow patches, ~1 allows minors.
func rewriteTilde(c string, m mode) string {
	g := m.grammar().tilde.FindStringSubmatch(c)
	if g == nil {
		return c
	}
	M, n, p, pre := g[1], g[2], g[3], g[4]
	z := m.lowest()
	switch {
	case isX(M):
		return ""
	case isX(n):
		return bounds(M+".0.0"+z, next(M)+".0.0")
	case isX(p):
		return bounds(M+"."+n+".0"+z, M+"."+next(n)+".0")
	case pre != "":
		return bounds(M+"."+n+"."+p+"-"+pre, M+"."+next(n)+".0")
	}
	return bounds(M+"."+n+"."+p, M+"."+next(n)+".0")
}

// 1.2.x, 1.x, *, and comparators with an x such as ">1.2" or "<=1.x".
func rewriteX(c string, m mode) string {
	g := m.grammar().xrange.FindStringSubmatch(strings.TrimSpace(c))
	if g == nil {
		return strings.TrimSpace(c)
	}
	op, M, n, p := g[1], g[2], g[3], g[4]
	if isX(M) && !isX(n) || isX(n) && p != "" && !isX(p) {
		return strings.TrimSpace(c)
	}
	xM := isX(M)
	xn := xM || isX(n)
	xp := xn || isX(p)
	if op == "=" && xp {
		op = ""
	}
	z := m.lowest()
	switch {
	case xM:
		if op == ">" || op == "<" {
			return "<0.0.0-0"
		}
		return "*"
	case op != "" && xp:
		return rewriteXOp(op, M, n, xn, z)
	case xn:
		return bounds(M+".0.0"+z, next(M)+".0.0")
	case xp:
		return bounds(M+"."+n+".0"+z, M+"."+next(n)+".0")
	}
	return strings.TrimSpace(c)
}

// rewriteXOp handles an operator before a version whose end is open: >1.2 is >=1.3.0.
func rewriteXOp(op, M, n string, xn bool, z string) string {
	if xn {
		n = "0"
	}
	switch op {
	case ">":
		op = ">="
		if xn {
			M, n = next(M), "0"
		} else {
			n = next(n)
		}
	case "<=":
		op = "<"
		if xn {
			M = next(M)
		} else {
			n = next(n)
		}
	}
	if op == "<" {
		z = "-0"
	}
	return op + M + "." + n + ".0" + z
}

// hyphen rewrites "1.2 - 3.4"; g is a match of the hyphen expression.
func hyphen(g []string, prerelease bool) string {
	from, fM, fn, fp, fpre := g[1], g[2], g[3], g[4], g[5]
	to, tM, tn, tp, tpre := g[7], g[8], g[9], g[10], g[11]
	z := mode{prerelease: prerelease}.lowest()
	switch {
	case isX(fM):
		from = ""
	case isX(fn):
		from = ">=" + fM + ".0.0" + z
	case isX(fp):
		from = ">=" + fM + "." + fn + ".0" + z
	case fpre != "":
		from = ">=" + from
	default:
		from = ">=" + from + z
	}
	switch {
	case isX(tM):
		to = ""
	case isX(tn):
		to = "<" + next(tM) + ".0.0-0"
	case isX(tp):
		to = "<" + tM + "." + next(tn) + ".0-0"
	case tpre != "":
		to = "<=" + tM + "." + tn + "." + tp + "-" + tpre
	case prerelease:
		to = "<" + tM + "." + tn + "." + next(tp) + "-0"
	default:
		to = "<=" + to
	}
	return strings.TrimSpace(from + " " + to)
}
