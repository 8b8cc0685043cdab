// Tool is what tests run inside containers: a few commands in one static program, so that no image
// and no shell is needed.
//
//	tool CMD ARGS... [; CMD ARGS...]...
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	for _, cmd := range split(os.Args[1:]) {
		if err := run(cmd); err != nil {
			fmt.Fprintln(os.Stderr, "tool:", err)
			os.Exit(125)
		}
	}
}

func split(args []string) [][]string {
	var out [][]string
	var cmd []string
	for _, a := range append(args, ";") {
		if a != ";" {
			cmd = append(cmd, a)
		} else if len(cmd) > 0 {
			out, cmd = append(out, cmd), nil
		}
	}
	return out
}

func run(cmd []string) error {
	name, args := cmd[0], append(cmd[1:], "", "")
	switch name {
	case "echo":
		fmt.Println(strings.Join(cmd[1:], " "))
	case "stderr":
		fmt.Fprintln(os.Stderr, strings.Join(cmd[1:], " "))
	case "exit":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		os.Exit(n)
	case "write": // write FILE TEXT
		return os.WriteFile(args[0], []byte(args[1]), 0o644)
	case "mkdir":
		return os.MkdirAll(args[0], 0o755)
	case "cat":
		data, err := os.ReadFile(args[0])
		os.Stdout.Write(data)
		return err
	case "ls":
		entries, err := os.ReadDir(args[0])
		for _, e := range entries {
			fmt.Println(e.Name())
		}
		return err
	case "fill": // fill FILE MIB
		return fill(args[0], args[1])
	case "sleep":
		d, err := time.ParseDuration(args[0])
		time.Sleep(d)
		return err
	case "dial": // dial HOST:PORT
		c, err := net.DialTimeout("tcp", args[0], 5*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	case "status": // status FIELD, of /proc/self/status
		return status(args[0] + ":")
	case "mknod":
		return syscall.Mknod(args[0], syscall.S_IFBLK|0o600, 8<<8)
	case "mount":
		return syscall.Mount("none", args[0], "tmpfs", 0, "")
	default:
		return fmt.Errorf("unknown command %q", name)
	}
	return nil
}

func fill(file, mib string) error {
	n, err := strconv.Atoi(mib)
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for range n {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return nil
}

func status(field string) error {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), field); ok {
			fmt.Println(strings.TrimSpace(v))
		}
	}
	return nil
}
