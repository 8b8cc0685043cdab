// Package greet makes greetings.
package greet

import "rsc.io/quote/v3"

// World greets everybody.
func World() string { return quote.HelloV3() }
