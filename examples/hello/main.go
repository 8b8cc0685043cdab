// Hello greets, with a package of its own and one from a module, so that building it shows all
// the kinds of nodes a Go program has.
package main

import (
	"fmt"

	"example.com/hello/greet"
)

func main() {
	fmt.Println(greet.World())
}
