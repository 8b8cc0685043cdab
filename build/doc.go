// Package build is the whole pipeline, for the command line and for programs that import it: find
// the ecosystems of a project, let their analyzers plan, lower the graph, solve it on an engine,
// write the results and the report.
//
//	plan, err := build.Plan(ctx, build.Options{Dir: "app", Patterns: []string{"./..."}})
//	…
//	result, err := build.Build(ctx, build.Options{Dir: "app", Output: "out"})
//
// The zero Options build "." of the working directory on the embedded engine, and write nothing.
package build
