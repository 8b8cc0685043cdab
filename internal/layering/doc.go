// Package layering is a test: of which package may import which, as docs/architecture.md says.
package layering
