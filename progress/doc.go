// Package progress follows a build: it folds BuildKit's status streams into the states of the
// graph's nodes, shows them while the build runs (Display), and reports them when it is over
// (Report).
//
// A Tracker is the model. It knows every selected node of the graph and which node a vertex of
// BuildKit belongs to; everything that is shown or reported is derived from it. A Display is a
// view: live lines on a terminal, lines for a log, BuildKit's own events as JSON, or errors only.
//
// # Output
//
// The output of a program is shown when its node has ended, so that it is in one piece. A view for a
// log shows that of a program that takes long as it comes, in whole lines, and in the end only the
// rest; a failure then repeats the last lines. On a terminal a running node has the last line that it
// printed. Of programs that an interrupt ended the last lines are shown.
//
// # What BuildKit's events mean
//
// A vertex is announced first, without a start time. Every later pair of start and completion is
// one attempt at something, and the start time tells attempts apart, also when several solves
// share the vertex. An attempt that is marked as cached loaded a result. Any other attempt that
// ended without an error executed the vertex, with one exception: a vertex without inputs also
// asks for its cache key under the same name, which looks the same (resolving an image,
// for example). Such a vertex has executed if a second attempt follows in the same solve; an
// image has executed if layers were transferred or unpacked.
//
// BuildKit doesn't touch what it doesn't need. A node that was never mentioned in a build that
// succeeded was therefore cached. A vertex that was cancelled has neither executed nor failed.
//
// The transfer of local files is asked for in every build, because that is how the engine learns
// whether they changed; its events say nothing about single nodes. A Local node has executed if
// Tracker.Transferred says that files of it were sent.
package progress
