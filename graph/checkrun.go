// What a valid run is.

package graph

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mergefest/mergefest/graph/action"
)

func (c *checker) run(r *Run) {
	if r.Base != nil {
		c.add("run.base.path", checkRelative(r.Base.Path, true))
		if r.Base.Target != "" || r.Base.Writable {
			c.addf("run.base", "a base has neither a target nor \"writable\": it is the root, and writable")
		}
	}
	c.mounts(r)
	c.secrets(r)
	c.files("run.files", r.Files, runFiles)
	for i, f := range r.Files {
		for _, m := range r.Mounts {
			if !m.Writable && strings.HasPrefix(f.Path, "/") && below(f.Path, m.Target) {
				c.addf(fmt.Sprintf("run.files[%d].path", i), "%q is inside the read-only mount %s", f.Path, m.Target)
			}
		}
	}
	c.tasks(r.Tasks)
	made := pathSet{}
	for i, o := range r.Outputs {
		field := fmt.Sprintf("run.outputs[%d]", i)
		if err := checkRelative(o.Path, false); err != nil {
			c.add(field+".path", err)
			continue
		}
		c.add(field+".path", made.add(o.Path, fmt.Sprintf("outputs[%d]", i), false))
		if o.From != "" {
			c.add(field+".from", checkAbsolute(o.From))
		}
	}
	for in, out := range r.Internal {
		if err := checkAbsolute(in); err != nil || in == action.InDir || !below(in, action.InDir) {
			c.addf("run.internal", "%q must be a clean path below %s", in, action.InDir)
		}
		if err := checkAbsolute(out); err != nil || out == action.OutDir || !below(out, action.OutDir) {
			c.addf("run.internal", "%q must be a clean path below %s", out, action.OutDir)
		}
	}
}

func (c *checker) mounts(r *Run) {
	seen := map[string]bool{}
	for i, m := range r.Mounts {
		field := fmt.Sprintf("run.mounts[%d]", i)
		c.add(field+".path", checkRelative(m.Path, true))
		if err := checkAbsolute(m.Target); err != nil {
			c.add(field+".target", err)
			continue
		}
		c.add(field+".target", reserved(m.Target))
		if seen[m.Target] {
			c.addf(field+".target", "two mounts have the target %s", m.Target)
		}
		seen[m.Target] = true
		if _, ok := r.Internal[m.Target]; ok {
			c.addf(field+".target", "%s is also an internal path", m.Target)
		}
	}
}

func (c *checker) secrets(r *Run) {
	for i, s := range r.Secrets {
		field := fmt.Sprintf("run.secrets[%d]", i)
		c.add(field+".name", checkSecretName(s.Name))
		switch {
		case (s.Target == "") == (s.Env == ""):
			c.addf(field, "a secret needs either a target or an environment variable")
		case s.Env != "":
			c.add(field+".env", checkEnvName(s.Env))
		default:
			if err := checkAbsolute(s.Target); err != nil {
				c.add(field+".target", err)
			} else {
				c.add(field+".target", reserved(s.Target))
			}
		}
	}
}

func checkEnvName(s string) error {
	if s == "" || strings.ContainsAny(s, "=") {
		return fmt.Errorf("%q isn't a name of an environment variable", s)
	}
	return checkText(s)
}

func (c *checker) tasks(tasks []action.Task) {
	for i, t := range tasks {
		field := fmt.Sprintf("run.tasks[%d]", i)
		if len(t.Commands) == 0 {
			c.addf(field+".commands", "a task needs a command")
		}
		for j, cmd := range t.Commands {
			c.command(fmt.Sprintf("%s.commands[%d]", field, j), cmd)
		}
		for _, after := range t.After {
			if after < 0 || after >= len(tasks) {
				c.addf(field+".after", "there is no task %d", after)
			}
		}
	}
	if at := taskCycle(tasks); at >= 0 {
		c.addf(fmt.Sprintf("run.tasks[%d].after", at), "the task waits for itself")
	}
}

func (c *checker) command(field string, cmd action.Command) {
	if len(cmd.Args) == 0 || cmd.Args[0] == "" {
		c.addf(field+".args", "a command needs a program")
		return
	}
	if err := checkBuiltin(cmd.Args); err != nil {
		c.add(field+".args", err)
	}
	for i, a := range cmd.Args {
		c.add(fmt.Sprintf("%s.args[%d]", field, i), checkText(a))
	}
	for i, e := range cmd.Env {
		if name, _, _ := strings.Cut(e, "="); name == "" {
			c.addf(fmt.Sprintf("%s.env[%d]", field, i), `%q isn't "NAME=value", or the "NAME" of a secret's variable`, e)
		}
		c.add(fmt.Sprintf("%s.env[%d]", field, i), checkText(e))
	}
	if cmd.Dir != "" && cmd.Dir != "/" {
		c.add(field+".dir", checkAbsolute(cmd.Dir))
	}
	if cmd.Stdout != "" {
		c.add(field+".stdout", checkAbsolute(cmd.Stdout))
	}
}

// checkBuiltin checks the number of arguments of a built-in operation.
func checkBuiltin(args []string) error {
	n := len(args) - 1
	switch name := args[0]; {
	case !strings.HasPrefix(name, "@"):
		return nil
	case name == "@append" && n >= 2, name == "@copy" && n == 2, name == "@mkdir" && n >= 1, name == "@unpack" && n == 1:
		return nil
	case name == "@append":
		return errors.New("want @append ARCHIVE FILE...")
	case name == "@copy":
		return errors.New("want @copy SRC DST")
	case name == "@mkdir":
		return errors.New("want @mkdir DIR...")
	case name == "@unpack":
		return errors.New("want @unpack FILE")
	default:
		return fmt.Errorf("there is no built-in operation %s; want @append, @copy, @mkdir or @unpack", name)
	}
}

// taskCycle returns the index of a task that waits for itself, or -1.
func taskCycle(tasks []action.Task) int {
	const (
		unseen = iota
		open
		done
	)
	state := make([]int, len(tasks))
	var visit func(i int) bool
	visit = func(i int) bool {
		state[i] = open
		for _, a := range tasks[i].After {
			if a < 0 || a >= len(tasks) {
				continue
			}
			if state[a] == open || state[a] == unseen && visit(a) {
				return true
			}
		}
		state[i] = done
		return false
	}
	for i := range tasks {
		if state[i] == unseen && visit(i) {
			return i
		}
	}
	return -1
}
