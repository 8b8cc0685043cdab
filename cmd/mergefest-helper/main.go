// Command mergefest-helper carries out actions inside containers; see internal/helper.

//go:debug default=go1.26

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/mergefest/mergefest/internal/helper"
)

func main() {
	// Modes of what commands make must not depend on the engine's habits.
	syscall.Umask(0o022)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := helper.Main(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}
