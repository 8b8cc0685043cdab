// The parser of the text notation: fetch and run.

package graph

import (
	"strings"

	"github.com/mergefest/mergefest/graph/action"
)

func (p *textParser) fetch(l *textLine) *Fetch {
	p.args(l, 0, "")
	a := &Fetch{}
	for _, c := range l.children {
		if c.words[0] == "item" {
			a.Items = append(a.Items, p.item(c))
			continue
		}
		p.file(c, l, &a.Files)
	}
	return a
}

func (p *textParser) item(l *textLine) action.Item {
	pos, _ := p.args(l, 1, "")
	it := action.Item{Name: pos[0]}
	for _, c := range l.children {
		if c.words[0] != "unpack" {
			p.leaf(c)
		}
		switch c.words[0] {
		case "url":
			it.URLs = append(it.URLs, p.one(c))
		case "anyFailure":
			for _, w := range c.words[1:] {
				if w != "true" && w != "false" {
					p.fail(c, "anyFailure: %q is neither true nor false", w)
				}
				it.AnyFailure = append(it.AnyFailure, w == "true")
			}
		case "integrity":
			it.Integrity = append(it.Integrity, p.one(c))
		case "unverified":
			p.args(c, 0, "")
			it.Unverified = true
		case "unless":
			it.Unless = p.one(c)
		case "auth":
			pos, attrs := p.args(c, 1, "host=")
			it.Auth, it.AuthHost = pos[0], attrs["host"]
		case "dest":
			it.Dests = append(it.Dests, p.one(c))
		case "mode":
			it.Mode = p.mode(c, p.one(c))
		case "unpack":
			it.Unpack = p.unpack(c)
		default:
			p.unknown(c, "item")
		}
	}
	return it
}

// one returns the only word of a line.
func (p *textParser) one(l *textLine) string {
	pos, _ := p.args(l, 1, "")
	return pos[0]
}

func (p *textParser) unpack(l *textLine) *action.Unpack {
	pos, attrs := p.args(l, 1, "strip= prefix= set= clear= links= hashbang skipdirs rawstrip")
	u := &action.Unpack{Format: pos[0], Prefix: attrs["prefix"], SetMode: p.mode(l, attrs["set"]), ClearMode: p.mode(l, attrs["clear"]),
		Links: attrs["links"], Hashbang: has(attrs, "hashbang"), SkipDirs: has(attrs, "skipdirs"), RawStrip: has(attrs, "rawstrip")}
	if has(attrs, "strip") {
		u.Strip = p.number(l, attrs["strip"])
	}
	for _, c := range l.children {
		p.leaf(c)
		switch c.words[0] {
		case "executable":
			u.Executable = append(u.Executable, p.one(c))
		case "rename":
			pos, _ := p.args(c, 2, "")
			if u.Rename == nil {
				u.Rename = map[string]string{}
			}
			u.Rename[pos[0]] = pos[1]
		default:
			p.unknown(c, "unpack")
		}
	}
	return u
}

func (p *textParser) run(l *textLine) *Run {
	p.args(l, 0, "")
	r := &Run{}
	for _, c := range l.children {
		switch c.words[0] {
		case "base":
			pos, attrs := p.args(c, 1, "path= target= writable")
			p.leaf(c)
			r.Base = &Input{From: p.id(c, pos[0]), Path: attrs["path"], Target: attrs["target"], Writable: has(attrs, "writable")}
		case "mount":
			pos, attrs := p.args(c, 3, "path= writable")
			p.leaf(c)
			if pos[1] != "from" {
				p.fail(c, `want "mount TARGET from ID"`)
				continue
			}
			r.Mounts = append(r.Mounts, Input{From: p.id(c, pos[2]), Path: attrs["path"], Target: pos[0], Writable: has(attrs, "writable")})
		case "network":
			p.args(c, 0, "")
			p.leaf(c)
			r.Network = true
		case "secret":
			pos, attrs := p.args(c, 1, "target= env= optional")
			p.leaf(c)
			r.Secrets = append(r.Secrets, Secret{Name: pos[0], Target: attrs["target"], Env: attrs["env"], Optional: has(attrs, "optional")})
		case "internal":
			pos, _ := p.args(c, 2, "")
			p.leaf(c)
			if r.Internal == nil {
				r.Internal = map[string]string{}
			}
			r.Internal[pos[0]] = pos[1]
		case "task":
			r.Tasks = append(r.Tasks, p.task(c))
		case "output":
			pos, attrs := p.args(c, 1, "from= optional")
			p.leaf(c)
			r.Outputs = append(r.Outputs, action.Output{Path: pos[0], From: attrs["from"], Optional: has(attrs, "optional")})
		default:
			p.file(c, l, &r.Files)
		}
	}
	return r
}

func (p *textParser) task(l *textLine) action.Task {
	pos, attrs := p.args(l, 1, "after=")
	t := action.Task{Name: pos[0]}
	if has(attrs, "after") {
		for n := range strings.SplitSeq(attrs["after"], ",") {
			t.After = append(t.After, p.number(l, n))
		}
	}
	for _, c := range l.children {
		if c.words[0] != "exec" {
			p.unknown(c, "task")
			continue
		}
		cmd := action.Command{Args: c.words[1:]}
		for _, o := range c.children {
			p.leaf(o)
			switch o.words[0] {
			case "env":
				cmd.Env = append(cmd.Env, p.one(o))
			case "dir":
				cmd.Dir = p.one(o)
			case "stdout":
				cmd.Stdout = p.one(o)
			default:
				p.unknown(o, "exec")
			}
		}
		t.Commands = append(t.Commands, cmd)
	}
	return t
}
