package integrity

import (
	"archive/zip"
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"
)

var (
	data   = []byte("hello")
	sum1   = sha1.Sum(data)
	sum256 = sha256.Sum256(data)
	sum384 = sha512.Sum384(data)
	sum512 = sha512.Sum512(data)
)

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func TestParse(t *testing.T) {
	other := bytes.Repeat([]byte{1}, 64)
	tests := []struct {
		name string
		in   []string
		want Algorithm
		n    int // digests
		err  string
	}{
		{"sri sha512", []string{"sha512-" + b64(sum512[:])}, SHA512, 1, ""},
		{"sri sha384", []string{"sha384-" + b64(sum384[:])}, SHA384, 1, ""},
		{"sri sha256", []string{"sha256-" + b64(sum256[:])}, SHA256, 1, ""},
		{"sri sha1", []string{"sha1-" + b64(sum1[:])}, SHA1, 1, ""},
		{"hex", []string{"sha256:" + hex.EncodeToString(sum256[:])}, SHA256, 1, ""},
		{"upper case hex", []string{"sha256:" + strings.ToUpper(hex.EncodeToString(sum256[:]))}, SHA256, 1, ""},
		{"h1", []string{"h1:" + b64(sum256[:])}, H1, 1, ""},
		{"strongest of one string", []string{"sha1-" + b64(sum1[:]) + " \n\tsha512-" + b64(sum512[:])}, SHA512, 1, ""},
		{"strongest of a list", []string{"sha512-" + b64(sum512[:]), "sha1-" + b64(sum1[:])}, SHA512, 1, ""},
		{"any of the strongest", []string{"sha512-" + b64(sum512[:]), "sha512-" + b64(other)}, SHA512, 2, ""},
		{"the same twice", []string{"sha512-" + b64(sum512[:]), "sha512-" + b64(sum512[:])}, SHA512, 1, ""},
		{"options", []string{"sha512-" + b64(sum512[:]) + "?ct=text/plain"}, SHA512, 1, ""},
		{"no padding", []string{"sha512-" + strings.TrimRight(b64(sum512[:]), "=")}, SHA512, 1, ""},
		{"URL-safe", []string{"sha512-" + base64.URLEncoding.EncodeToString(sum512[:])}, SHA512, 1, ""},
		{"unknown beside a known one", []string{"md5-XUFAKrxLKna5cZ2REBfFkg== sha1-" + b64(sum1[:])}, SHA1, 1, ""},
		{"h1 is weaker than a digest of the bytes", []string{"h1:" + b64(sum256[:]), "sha256-" + b64(sum256[:])}, SHA256, 1, ""},
		{"nothing", nil, 0, 0, "no integrity is given"},
		{"blank", []string{"", " "}, 0, 0, "no integrity is given"},
		{"unknown only", []string{"md5-XUFAKrxLKna5cZ2REBfFkg=="}, 0, 0, "algorithm is not one of"},
		{"no digest", []string{"sha512-"}, 0, 0, "malformed integrity"},
		{"no algorithm", []string{"-abc"}, 0, 0, "malformed integrity"},
		{"word", []string{"deadbeef"}, 0, 0, "malformed integrity"},
		{"short", []string{"sha512-aGVsbG8="}, 0, 0, "the digest has 5 bytes, sha512 has 64"},
		{"not base64", []string{"sha512-!!!!"}, 0, 0, "illegal base64"},
		{"not hex", []string{"sha256:zz"}, 0, 0, "invalid byte"},
		{"malformed beside a good one", []string{"sha512-" + b64(sum512[:]), "sha1-x"}, 0, 0, "malformed integrity"},
		{"h1 as SRI", []string{"h1-" + b64(sum256[:])}, 0, 0, "written \"h1:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := Parse(tt.in)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				var se *SyntaxError
				if !errors.As(err, &se) && !errors.Is(err, ErrNone) {
					t.Errorf("error is a %T", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.Algorithm != tt.want || len(e.Sums) != tt.n {
				t.Errorf("got %v with %d digests, want %v with %d", e.Algorithm, len(e.Sums), tt.want, tt.n)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	e, err := Parse([]string{"sha1-" + b64(sum1[:]) + " sha512-" + b64(sum512[:])})
	if err != nil {
		t.Fatal(err)
	}
	h := e.Algorithm.New()
	h.Write(data)
	if err := e.Check(h.Sum(nil)); err != nil {
		t.Error(err)
	}
	h.Write(data)
	got := h.Sum(nil)
	err = e.Check(got)
	var m *MismatchError
	if !errors.As(err, &m) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"sha512-" + b64(sum512[:]), "sha512-" + b64(got)} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if (Expectation{}).Check(nil) == nil {
		t.Error("the zero expectation accepts something")
	}
}

func TestSumH1(t *testing.T) {
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for _, name := range []string{"m@v1/go.mod", "m@v1/a.go", "m@v1/sub/"} {
		w, err := zw.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "/") {
			w.Write([]byte("content of " + name))
		}
	}
	zw.Close()
	file := filepath.Join(t.TempDir(), "m.zip")
	if err := os.WriteFile(file, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	want, err := dirhash.HashZip(file, dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := SumH1(Zip, bytes.NewReader(buf.Bytes()), int64(buf.Len()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := H1.Format(sum); got != want {
		t.Errorf("zip: got %s, want %s", got, want)
	}

	// The go.sum line of golang.org/x/mod v0.17.0's go.mod is made of these bytes.
	mod := "module golang.org/x/mod\n\ngo 1.18\n\nrequire golang.org/x/tools v0.13.0 // tagx:ignore\n"
	sum, err = SumH1(GoMod, strings.NewReader(mod), int64(len(mod)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := H1.Format(sum), "h1:hTbmBsO62+eylJbnUtE2MGJUyE7QWk4xUqPFrRgJ+7c="; got != want {
		t.Errorf("go.mod: got %s, want %s", got, want)
	}
	if _, err := SumH1(Zip, strings.NewReader("no zip"), 6, nil); err == nil {
		t.Error("garbage was hashed as a zip")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"sha512-" + b64(sum512[:]), "sha1-" + b64(sum1[:]) + " sha256:" + hex.EncodeToString(sum256[:]),
		"h1:" + b64(sum256[:]), "md5-AA==", "sha512-?x", "a-b", "-", ":", "sha384-====",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Parse([]string{s})
		if err != nil {
			return
		}
		// What was accepted has complete digests, and survives being written and read again.
		for _, sum := range e.Sums {
			if len(sum) != e.Algorithm.Size() {
				t.Fatalf("digest of %d bytes for %v", len(sum), e.Algorithm)
			}
			again, err := Parse([]string{e.Algorithm.Format(sum)})
			if err != nil || again.Check(sum) != nil || again.Algorithm != e.Algorithm {
				t.Fatalf("%s doesn't round-trip: %v", e.Algorithm.Format(sum), err)
			}
		}
	})
}
