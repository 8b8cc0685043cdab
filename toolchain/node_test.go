package toolchain

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mergefest/mergefest/graph"
)

// TestHostNode imports this machine's Node.js and uses it with nothing else around: 450 MB, so it
// belongs to the long suite.
func TestHostNode(t *testing.T) {
	if os.Getenv("MERGEFEST_LONG") == "" {
		t.Skip("set MERGEFEST_LONG=1")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("Node.js isn't installed here")
	}
	store := OpenStore(t.TempDir())
	n, err := store.HostNode(t.Context(), node, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	again, err := store.HostNode(t.Context(), node, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	first, second := n.Node.Action.(*graph.Import).Digest, again.Node.Action.(*graph.Import).Digest
	if first != second {
		t.Errorf("the digest changed: %s, %s", first, second)
	}
	if n.Version == "" || n.Node.ID.Version != n.Version {
		t.Errorf("no version: %+v", n)
	}
	blobs, err := filepath.Glob(filepath.Join(store.dir, "blobs", "*", "*"))
	if err != nil || len(blobs) != 3 {
		t.Fatalf("blobs %v: %v", blobs, err)
	}
	if os.Getuid() != 0 {
		t.Skip("not root: the image can't be entered")
	}
	root := t.TempDir()
	for _, b := range blobs {
		if info, err := os.Stat(b); err == nil && info.Size() > 1<<20 {
			if out, err := exec.Command("tar", "-xf", b, "-C", root).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
	}
	script := `set -e; node --version; npm --version; python3 --version; make --version
printf '#include <iostream>\nint main(){std::cout<<42;}' >/tmp/a.cc; c++ -I/usr/include/node /tmp/a.cc -o /tmp/a; /tmp/a`
	cmd := exec.Command("chroot", root, "/bin/sh", "-c", script)
	cmd.Env = []string{"PATH=" + n.Path, "HOME=/root"}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "42") || !strings.Contains(string(out), "v"+n.Version) || !strings.Contains(string(out), n.NPM) {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestRelations(t *testing.T) {
	got := relations("libc6 (>= 2.36), awk | mawk:any, python3:any (>= 3)")
	want := [][]string{{"libc6"}, {"awk", "mawk"}, {"python3"}}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if len(got[i]) != len(want[i]) || got[i][0] != want[i][0] {
			t.Errorf("got %v, want %v", got[i], want[i])
		}
	}
}
