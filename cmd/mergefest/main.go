// Mergefest builds the packages of a project as one BuildKit operation each. See `mergefest help`.
package main

import (
	"context"
	"io"
	stdlog "log"
	"os"
	"os/signal"
	"syscall"

	"github.com/containerd/log"
)

func main() {
	// Libraries' remarks about their own fallbacks are no news to a user.
	if err := log.SetLevel("error"); err != nil {
		panic(err)
	}
	stdlog.SetOutput(io.Discard) // net/http's, about connections that were closed
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}
