// A server of git repositories by ssh, and an agent, for scripts.
package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// cmdSSHServer serves the repositories below a directory by ssh on the loopback interface: sshserver
// DIR. SSHURL becomes its URL, SSH_AUTH_SOCK an agent with a key that it accepts, and KNOWN_HOSTS the
// line of known_hosts with its own key.
func cmdSSHServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sshserver DIR")
	}
	user, host := newKey(ts), newKey(ts)
	accepted, err := ssh.NewSignerFromKey(user)
	ts.Check(err)
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "git" || string(key.Marshal()) != string(accepted.PublicKey().Marshal()) {
			return nil, errors.New("an unknown user or key")
		}
		return nil, nil
	}}
	own, err := ssh.NewSignerFromKey(host)
	ts.Check(err)
	config.AddHostKey(own)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	go accept(l, func(c net.Conn) { serveGit(c, config, ts.MkAbs(args[0])) })

	keys := agent.NewKeyring()
	ts.Check(keys.Add(agent.AddedKey{PrivateKey: user}))
	dir, err := os.MkdirTemp("", "agent") // the script's own path may be too long for a socket
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	a, err := net.Listen("unix", filepath.Join(dir, "s"))
	ts.Check(err)
	ts.Defer(func() { a.Close() })
	go accept(a, func(c net.Conn) { agent.ServeAgent(keys, c) })

	ts.Setenv("SSH_AUTH_SOCK", filepath.Join(dir, "s"))
	ts.Setenv("SSHURL", "ssh://git@"+l.Addr().String())
	ts.Setenv("KNOWN_HOSTS", knownhosts.Line([]string{l.Addr().String()}, own.PublicKey()))
}

func newKey(ts *testscript.TestScript) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	return key
}

// accept serves connections until the listener is closed.
func accept(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

// serveGit lets a client run git-upload-pack on a repository below dir.
func serveGit(c net.Conn, config *ssh.ServerConfig, dir string) {
	_, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for n := range channels {
		ch, requests, err := n.Accept()
		if err != nil {
			return
		}
		go func() {
			defer ch.Close()
			for r := range requests {
				if r.Type != "exec" || len(r.Payload) < 4 {
					r.Reply(r.Type == "env", nil)
					continue
				}
				repo, ok := strings.CutPrefix(string(r.Payload[4:]), "git-upload-pack ")
				r.Reply(ok, nil)
				cmd := exec.Command("git-upload-pack", filepath.Join(dir, strings.Trim(repo, "'")))
				cmd.Stdin, cmd.Stdout, cmd.Stderr = ch, ch, ch.Stderr()
				status := make([]byte, 4)
				if !ok || cmd.Run() != nil {
					binary.BigEndian.PutUint32(status, 1)
				}
				ch.SendRequest("exit-status", false, status)
				return
			}
		}()
	}
}
