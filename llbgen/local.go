// Local: all nodes share one local source, with a directory each.

package llbgen

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"

	"github.com/moby/buildkit/client/llb"

	"github.com/mergefest/mergefest/graph"
)

// LocalDir is the directory that the client serves a Local node's files in, below LocalName.
func LocalDir(id graph.ID) string {
	sum := sha256.Sum256([]byte(id.String()))
	name := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, path.Base(id.Package))
	return strings.TrimLeft(name, ".") + "-" + hex.EncodeToString(sum[:6])
}

func (l *lowering) local() llb.State {
	return llb.Local(LocalName, llb.LocalUniqueID(l.o.LocalDigest), llb.WithCustomName("[local] files"),
		llb.Platform(platformOf(l.o.Platform)))
}
