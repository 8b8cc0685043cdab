// Package integrity parses the digests that lockfiles carry and checks downloads against them.
//
// Three notations are understood, because three families of lockfiles use them:
//
//   - subresource integrity (https://www.w3.org/TR/SRI/): "sha512-<base64>", several in one string
//     separated by white space, each with options after "?" that are ignored; sha1 is accepted
//     besides the specification's sha256, sha384 and sha512, because old npm lockfiles have
//     nothing else. Standard and URL-safe base64 are accepted, with or without padding.
//   - "<algorithm>:<hex>" with the same algorithms.
//   - "h1:<base64>", Go's hash of a module zip's content or of a go.mod file
//     (golang.org/x/mod/sumdb/dirhash).
//
// Of several algorithms only the strongest counts, and any one digest of it suffices, as in the
// specification. The order is sha512, sha384, sha256, h1, sha1: h1 is a sha256 too, but it covers
// a zip's content and not the bytes of the zip itself.
package integrity

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// Algorithm is a digest algorithm; a greater one is stronger. The zero value is none.
type Algorithm int

// The algorithms, weakest first.
const (
	SHA1 Algorithm = iota + 1
	H1
	SHA256
	SHA384
	SHA512
)

// String is the algorithm's name as it is written in lockfiles: "sha512", "h1".
func (a Algorithm) String() string {
	switch a {
	case SHA1:
		return "sha1"
	case H1:
		return "h1"
	case SHA256:
		return "sha256"
	case SHA384:
		return "sha384"
	case SHA512:
		return "sha512"
	}
	return "none"
}

// Size is the length of a digest in bytes.
func (a Algorithm) Size() int {
	switch a {
	case SHA1:
		return sha1.Size
	case H1, SHA256:
		return sha256.Size
	case SHA384:
		return sha512.Size384
	case SHA512:
		return sha512.Size
	}
	return 0
}

// New returns a hash over a download's bytes, or nil for H1, which is not one (see SumH1).
func (a Algorithm) New() hash.Hash {
	switch a {
	case SHA1:
		return sha1.New()
	case SHA256:
		return sha256.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	}
	return nil
}

func byName(name string) Algorithm {
	for _, a := range []Algorithm{SHA1, H1, SHA256, SHA384, SHA512} {
		if a.String() == name {
			return a
		}
	}
	return 0
}

// Format writes a digest in the form that people will recognise: "h1:<base64>" for H1, and
// subresource integrity for the others.
func (a Algorithm) Format(sum []byte) string {
	sep := "-"
	if a == H1 {
		sep = ":"
	}
	return a.String() + sep + base64.StdEncoding.EncodeToString(sum)
}

// Expectation is what a download must be: one algorithm and the digests that are accepted.
// The zero value accepts nothing.
type Expectation struct {
	Algorithm Algorithm
	Sums      [][]byte
}

// ErrNone means that there is no digest at all.
var ErrNone = errors.New("no integrity is given")

// SyntaxError is a digest that can't be understood.
type SyntaxError struct {
	Text   string // the digest as it was given
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("malformed integrity %q: %s", e.Text, e.Reason)
}

// MismatchError is content that isn't what was asked for.
type MismatchError struct {
	Want []string // in the notation of Algorithm.Format
	Got  string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("integrity mismatch: expected %s, got %s", strings.Join(e.Want, " or "), e.Got)
}

// Parse reads a list of digests, each in one of the notations of the package, and returns the
// strongest. An algorithm that isn't known (md5, or a future one) is passed over as the
// specification demands, provided that a known one is there. The error is ErrNone or a
// *SyntaxError.
func Parse(list []string) (Expectation, error) {
	var (
		e       Expectation
		unknown string
	)
	for _, s := range list {
		for _, word := range strings.Fields(s) {
			a, sum, err := parseOne(word)
			switch {
			case err != nil:
				return Expectation{}, err
			case a == 0:
				unknown = word
			case a > e.Algorithm:
				e = Expectation{Algorithm: a, Sums: [][]byte{sum}}
			case a == e.Algorithm && !e.accepts(sum):
				e.Sums = append(e.Sums, sum)
			}
		}
	}
	if e.Algorithm != 0 {
		return e, nil
	}
	if unknown != "" {
		return Expectation{}, &SyntaxError{unknown, "the algorithm is not one of sha512, sha384, sha256, sha1 and h1"}
	}
	return Expectation{}, ErrNone
}

// parseOne returns algorithm 0 for one that is not known.
func parseOne(word string) (Algorithm, []byte, error) {
	i := strings.IndexAny(word, "-:")
	if i <= 0 || i == len(word)-1 {
		return 0, nil, &SyntaxError{word, `want "sha512-<base64>", "sha256:<hex>" or "h1:<base64>"`}
	}
	name, value := word[:i], word[i+1:]
	a := byName(name)
	if a == 0 {
		return 0, nil, nil
	}
	var (
		sum []byte
		err error
	)
	switch {
	case word[i] == ':' && a != H1:
		sum, err = hex.DecodeString(value)
	case word[i] == '-' && a == H1:
		return 0, nil, &SyntaxError{word, `Go's hashes are written "h1:<base64>"`}
	default:
		value, _, _ = strings.Cut(value, "?")
		sum, err = decodeBase64(value)
	}
	if err != nil {
		return 0, nil, &SyntaxError{word, err.Error()}
	}
	if len(sum) != a.Size() {
		return 0, nil, &SyntaxError{word, fmt.Sprintf("the digest has %d bytes, %s has %d", len(sum), a, a.Size())}
	}
	return a, sum, nil
}

func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "-_") {
		return base64.RawURLEncoding.DecodeString(s)
	}
	return base64.RawStdEncoding.DecodeString(s)
}

func (e Expectation) accepts(sum []byte) bool {
	return slices.ContainsFunc(e.Sums, func(s []byte) bool { return bytes.Equal(s, sum) })
}

// Check compares a digest of e's algorithm. The error is a *MismatchError.
func (e Expectation) Check(sum []byte) error {
	if e.accepts(sum) {
		return nil
	}
	m := &MismatchError{Got: e.Algorithm.Format(sum)}
	for _, s := range e.Sums {
		m.Want = append(m.Want, e.Algorithm.Format(s))
	}
	return m
}
