package npm

// The order of strings that npm uses: the English locale's, as ECMAScript's localeCompare has it.

import (
	"strings"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"
)

// asciiOrder has the printable ASCII characters in the root collation of Unicode (CLDR), which
// English doesn't change. A letter's two cases share a primary weight.
const asciiOrder = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz"

// weights maps a printable ASCII character to its primary weight, from 1.
var weights = func() (w [128]uint8) {
	for i := range len(asciiOrder) {
		c := asciiOrder[i]
		w[c] = uint8(i + 1)
		if c >= 'a' && c <= 'z' {
			w[c-'a'+'A'] = uint8(i + 1)
		}
	}
	return w
}()

// localeCompare orders by letters first, and lower before upper case only if they are the same.
// Names of packages are ASCII; for anything else the general algorithm is used.
func localeCompare(a, b string) int {
	if !printable(a) || !printable(b) {
		return collate.New(language.English).CompareString(a, b)
	}
	for i := range min(len(a), len(b)) {
		if d := int(weights[a[i]]) - int(weights[b[i]]); d != 0 {
			return d
		}
	}
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return -strings.Compare(a, b) // upper case comes first in ASCII
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
