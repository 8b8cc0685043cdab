// mergefest engine: the embedded engine's life, and where another one is.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"

	"github.com/mergefest/mergefest/engine"
	"github.com/mergefest/mergefest/engine/embedded"
)

// engineFlags choose the engine.
type engineFlags struct {
	o engine.Options
}

func (e *engineFlags) declare(fs *flag.FlagSet) {
	e.declareState(fs)
	fs.StringVar(&e.o.URL, "engine", "", "use the BuildKit at `URL` (default: $BUILDKIT_HOST, else the embedded engine)")
	fs.StringVar(&e.o.TLS.CACert, "tlscacert", "", "`FILE` with the authorities that a tcp engine's certificate is checked against")
	fs.StringVar(&e.o.TLS.Cert, "tlscert", "", "`FILE` with the client's certificate")
	fs.StringVar(&e.o.TLS.Key, "tlskey", "", "`FILE` with the client's key")
	fs.StringVar(&e.o.TLS.ServerName, "tlsservername", "", "`NAME` expected in the certificate")
}

func (e *engineFlags) declareState(fs *flag.FlagSet) {
	fs.StringVar(&e.o.StateDir, "state", "", "the embedded engine's state directory `DIR` (default: $MERGEFEST_STATE, else $XDG_STATE_HOME/mergefest)")
}

// options completes what was parsed by the environment, and says how the embedded engine starts.
func (e *engineFlags) options() engine.Options {
	o := e.o.FromEnvironment(os.Getenv)
	if self, err := os.Executable(); err == nil {
		o.ServeCommand = []string{self, "engine", "serve"}
	}
	return o
}

func engineCommand() command {
	return command{
		name: "engine", short: "show, stop or clean the embedded engine",
		sub: []command{engineStatus(), engineStop(), engineGC(), engineServe()},
	}
}

func engineStatus() command {
	return command{
		name: "status", args: "[flags]", short: "say whether the engine runs, and what it holds",
		setup: func(fs *flag.FlagSet, std stdio) runFunc {
			var e engineFlags
			e.declareState(fs)
			asJSON := fs.Bool("json", false, "print JSON")
			return noArgs(func(ctx context.Context) error {
				st, err := engine.Status(ctx, e.options())
				if err != nil {
					return err
				}
				if *asJSON {
					enc := json.NewEncoder(std.out)
					enc.SetIndent("", "  ")
					return enc.Encode(st)
				}
				return printStatus(std, st)
			})
		},
	}
}

func printStatus(std stdio, st *engine.StatusReply) error {
	tw := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(tw, "%s:\t%v\n", name, value) }
	if !st.Running {
		row("Engine", "not running; the next build starts it")
		row("State", st.StateDir)
		return tw.Flush()
	}
	row("Engine", fmt.Sprintf("running, pid %d, for %s", st.PID, time.Since(st.Started).Round(time.Second)))
	row("BuildKit", st.BuildKit)
	row("Runtime", st.Runtime)
	row("Socket", st.Socket)
	row("State", st.StateDir)
	row("Size", fmt.Sprintf("%s of at most %s", units.BytesSize(float64(st.Size)), units.BytesSize(float64(st.CacheLimit))))
	row("Builds", st.Builds)
	row("Log", st.Log)
	return tw.Flush()
}

func engineStop() command {
	return command{
		name: "stop", args: "[flags]", short: "stop the engine; the next build starts it again",
		setup: func(fs *flag.FlagSet, std stdio) runFunc {
			var e engineFlags
			e.declareState(fs)
			return noArgs(func(ctx context.Context) error {
				r, err := engine.Stop(ctx, e.options())
				if err != nil {
					return err
				}
				switch {
				case !r.Stopping:
					fmt.Fprintln(std.out, "the engine isn't running")
				case r.Builds > 0:
					fmt.Fprintf(std.out, "stopped the engine (pid %d) and %d running build(s)\n", r.PID, r.Builds)
				default:
					fmt.Fprintf(std.out, "stopped the engine (pid %d)\n", r.PID)
				}
				return nil
			})
		},
	}
}

func engineGC() command {
	return command{
		name: "gc", args: "[flags]", short: "drop the results that were not used for longest",
		setup: func(fs *flag.FlagSet, std stdio) runFunc {
			var e engineFlags
			e.declareState(fs)
			all := fs.Bool("all", false, "drop everything that no build is using")
			var max size
			fs.Var(&max, "max-used-space", "keep at most `SIZE`, such as 10GB (default: the engine's limit)")
			return noArgs(func(ctx context.Context) error {
				r, err := engine.GC(ctx, e.options(), engine.GCRequest{All: *all, MaxUsed: int64(max)})
				if err != nil {
					return err
				}
				fmt.Fprintf(std.out, "dropped %d results, %s; %s are left\n",
					r.Records, units.BytesSize(float64(r.Bytes)), units.BytesSize(float64(r.Size)))
				return nil
			})
		},
	}
}

// engineServe is what the embedded engine's process runs. It parses its own flags, because they
// are an agreement between packages engine and embedded.
func engineServe() command {
	return command{
		name: "serve", hidden: true, short: "run the embedded engine in the foreground",
		raw: func(ctx context.Context, args []string, std stdio) int {
			return embedded.Main(ctx, args, embedded.Options{Version: ownVersion()}, std.err)
		},
	}
}

// noArgs refuses arguments.
func noArgs(fn func(context.Context) error) runFunc {
	return func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return usagef("unexpected argument %q", args[0])
		}
		return fn(ctx)
	}
}
