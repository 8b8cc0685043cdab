// The summary of an export as it travels from the engine to its client.

package engine

import (
	"strconv"
	"strings"
)

// Summary says what an export of the embedded engine did. Files are regular files and symbolic links.
type Summary struct {
	Files     int // in the result
	Written   int // created or replaced
	Unchanged int // left alone: they were as wanted
	Removed   int // were in an earlier result only
	Bytes     int64
	// Notes are remarks for people, one line each.
	Notes []string
}

// Keys of the exporter's response.
const (
	keyFiles     = "mergefest.export.files"
	keyWritten   = "mergefest.export.written"
	keyUnchanged = "mergefest.export.unchanged"
	keyRemoved   = "mergefest.export.removed"
	keyBytes     = "mergefest.export.bytes"
	keyNotes     = "mergefest.export.notes" // lines
)

// Response is the summary as the exporter answers it.
func (s Summary) Response() map[string]string {
	m := map[string]string{
		keyFiles:     strconv.Itoa(s.Files),
		keyWritten:   strconv.Itoa(s.Written),
		keyUnchanged: strconv.Itoa(s.Unchanged),
		keyRemoved:   strconv.Itoa(s.Removed),
		keyBytes:     strconv.FormatInt(s.Bytes, 10),
	}
	if len(s.Notes) > 0 {
		m[keyNotes] = strings.Join(s.Notes, "\n")
	}
	return m
}

// ParseSummary finds the summary in an exporter's response (Result.Response). It reports false if
// another exporter wrote the response.
func ParseSummary(m map[string]string) (Summary, bool) {
	var s Summary
	for key, field := range map[string]*int{keyFiles: &s.Files, keyWritten: &s.Written, keyUnchanged: &s.Unchanged, keyRemoved: &s.Removed} {
		n, err := strconv.Atoi(m[key])
		if err != nil {
			return Summary{}, false
		}
		*field = n
	}
	bytes, err := strconv.ParseInt(m[keyBytes], 10, 64)
	if err != nil {
		return Summary{}, false
	}
	s.Bytes = bytes
	if notes := m[keyNotes]; notes != "" {
		s.Notes = strings.Split(notes, "\n")
	}
	return s, true
}
