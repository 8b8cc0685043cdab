// The identity of this program, by which a client tells a server of the same build from another.

package engine

import (
	"debug/elf"
	"encoding/hex"
	"fmt"
	"os"
)

// goNoteTag is the type of the ELF note in which the Go linker stores the build ID.
const goNoteTag = 4

// BuildID identifies the running executable: Go's build ID, which depends on its content, or its
// size and time where the linker was told to leave that out.
func BuildID() string {
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		return "unknown"
	}
	defer exe.Close()
	if id := goBuildID(exe); id != "" {
		return id
	}
	st, err := exe.Stat()
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%d-%d", st.Size(), st.ModTime().UnixNano())
}

func goBuildID(f *os.File) string {
	e, err := elf.NewFile(f)
	if err != nil {
		return ""
	}
	s := e.Section(".note.go.buildid")
	if s == nil {
		return ""
	}
	data, err := s.Data()
	// A note is: size of the name, size of the content, type, name ("Go\0\0"), content.
	if err != nil || len(data) < 16 || e.ByteOrder.Uint32(data[8:]) != goNoteTag {
		return ""
	}
	n := e.ByteOrder.Uint32(data[4:])
	if n == 0 || uint64(n) > uint64(len(data)-16) {
		return ""
	}
	id := data[16 : 16+n]
	for _, c := range id {
		if c <= ' ' || c > '~' {
			return hex.EncodeToString(id)
		}
	}
	return string(id)
}
