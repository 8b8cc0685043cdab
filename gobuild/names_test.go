package gobuild

import "testing"

func TestNames(t *testing.T) {
	n := Names{Dirs: map[string]string{"example.com/app": ".", "example.com/app/greet": "greet", "example.com/lib@v1.0.0": "../lib"}}
	for _, c := range [][2]string{
		{"example.com/app/main.go:3:5: undefined: x", "./main.go:3:5: undefined: x"},
		{"example.com/app/greet/greet.go:1:1: a\n\texample.com/app/greet/other.go:2:3: b\n", "greet/greet.go:1:1: a\n\tgreet/other.go:2:3: b\n"},
		{"x (example.com/lib@v1.0.0/lib.go:7)", "x (../lib/lib.go:7)"},
		{"example.com/other/main.go:3:5: x", "example.com/other/main.go:3:5: x"},
		{"fmt/print.go:3:5: x", "fmt/print.go:3:5: x"},
		{"see example.com/app/main.go", "see example.com/app/main.go"},
	} {
		if got := n.Translate(c[0]); got != c[1] {
			t.Errorf("%q: got %q, want %q", c[0], got, c[1])
		}
	}
}
