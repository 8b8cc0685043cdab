// Package engine connects to a BuildKit and solves definitions with it.
//
// Two kinds of engine exist. The embedded one is BuildKit assembled by package engine/embedded and
// served by a background process of this program: Open starts it when none runs, several clients
// share it, and it stops by itself when nobody has used it for a while. Everything that it owns is
// below one state directory. Any other BuildKit is reached by a URL (see Options.URL); nothing is
// ever started or stopped there.
//
// What runs on one runs on the other. They differ in speed, in the limit of a message
// (Info.MaxMessage), and in how results reach the disk (Request.Output).
package engine
