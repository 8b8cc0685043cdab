package action

import (
	"fmt"
	"strconv"
	"strings"
)

// Fetched is the line that the helper prints for each download, so that clients can tell how much
// was transferred. ParseFetched reads it.
func Fetched(name string, bytes int64) string {
	return fmt.Sprintf("%s%s: %d bytes", fetched, name, bytes)
}

const fetched = "mergefest-helper: downloaded "

// ParseFetched reads a line of Fetched's. Another line isn't ok.
func ParseFetched(line string) (name string, bytes int64, ok bool) {
	rest, ok := strings.CutPrefix(line, fetched)
	rest, ok2 := strings.CutSuffix(rest, " bytes")
	i := strings.LastIndex(rest, ": ")
	if !ok || !ok2 || i < 0 {
		return "", 0, false
	}
	bytes, err := strconv.ParseInt(rest[i+2:], 10, 64)
	return rest[:i], bytes, err == nil && bytes >= 0
}
