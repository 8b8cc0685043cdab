// Local: a directory of the one local source.

package llbgen

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path"
	"strings"

	"github.com/mergefest/mergefest/graph"
	"github.com/moby/buildkit/client/llb"
)

// LocalDir is the directory of the local source that has a Local node's files. Where an op mounts
// directories of several nodes it is in the op's key, so it depends on the node's name only.
func LocalDir(id graph.ID) string {
	sum := sha256.Sum256([]byte(id.String()))
	name := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, path.Base(id.Package))
	return strings.TrimLeft(name, ".") + "-" + hex.EncodeToString(sum[:8])
}

func (l *lowerer) localFiles(n graph.Node) (result, error) {
	if l.o.LocalDigest == "" {
		return result{}, &OptionError{Option: "LocalDigest", Err: errors.New("the graph takes local files: a digest of their content is needed")}
	}
	if l.local == nil {
		st := llb.Local(LocalName, llb.WithCustomName("[mergefest] local files"))
		l.local = &st
	}
	return result{state: *l.local, dir: LocalDir(n.ID)}, l.own(n.ID, *l.local)
}
