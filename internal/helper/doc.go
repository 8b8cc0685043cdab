// Reading documents.

package helper

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/mergefest/mergefest/graph/action"
	"github.com/mergefest/mergefest/internal/helper/run"
)

// DocError is a command line or a document that can't be understood.
type DocError struct {
	Path string // of the document's file, or empty
	Err  error
}

func (e *DocError) Error() string {
	if e.Path != "" {
		return e.Path + ": " + e.Err.Error()
	}
	return e.Err.Error()
}

func (e *DocError) Unwrap() error { return e.Err }

// WriteDoc is the document of a write.
type WriteDoc struct {
	// Files have paths relative to the output.
	Files []action.File `json:"files"`
}

// Document returns the document that an argument is or names. readFile is os.ReadFile in a
// container, and looks into the container's mounts elsewhere.
func Document(arg string, readFile func(path string) ([]byte, error)) ([]byte, error) {
	path, ok := strings.CutPrefix(arg, "@")
	if !ok {
		return []byte(arg), nil
	}
	doc, err := readFile(path)
	if err != nil {
		return nil, &DocError{Path: path, Err: err}
	}
	return doc, nil
}

// DecodeFetch decodes the document of a fetch.
func DecodeFetch(doc []byte) (*action.Fetch, error) { return decode[action.Fetch](doc) }

// DecodeRun decodes the document of a run.
func DecodeRun(doc []byte) (*run.Doc, error) { return decode[run.Doc](doc) }

// DecodeWrite decodes the document of a write.
func DecodeWrite(doc []byte) (*WriteDoc, error) { return decode[WriteDoc](doc) }

// decode refuses fields that it doesn't know: a helper that is older than its document would leave
// out what it was asked for.
func decode[T any](doc []byte) (*T, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	v := new(T)
	if err := d.Decode(v); err != nil {
		return nil, &DocError{Err: fmt.Errorf("malformed document: %w", err)}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, &DocError{Err: fmt.Errorf("malformed document: something follows it")}
	}
	return v, nil
}
