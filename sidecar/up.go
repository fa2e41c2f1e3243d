package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/tollgate/tollgate/sidecar/internal/gateway"
)

type up struct {
	File   string `arg:"" help:"The document. A change of it takes effect at once."`
	Listen string `placeholder:"ADDR" help:"Replaces gateway.listen."`
	Module string `placeholder:"FILE" help:"The wasm module. Default: tollgate.wasm beside this program."`
	Envoy  string `placeholder:"FILE" help:"The Envoy to run, 1.39 or later. Default: $$ENVOY, envoy on PATH, ../.tools/envoy/envoy/_bin/envoy beside this program."`
	Dir    string `name:"run" placeholder:"DIR" help:"Directory for Envoy's files and its admin socket. Default: a temporary one, removed at the end."`
	level  `embed:""`
}

func (u *up) Run(s streams) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	o := gateway.DefaultOptions()
	o.File, o.Executable, o.Output, o.Level = u.File, executable, s.err, u.level.level()
	o.Listen, o.Module, o.Envoy, o.Run = u.Listen, u.Module, u.Envoy, u.Dir

	run, force, release := signals()
	defer release()
	if err := gateway.Run(run, force, o, u.log(s.err)); err != nil {
		return err
	}
	if force.Err() != nil {
		return fmt.Errorf("stopped by a second signal; requests in flight were cut")
	}
	return nil
}

// signals are contexts that end with the first and with the second signal to stop.
func signals() (run, force context.Context, release func()) {
	force, kill := context.WithCancel(context.Background())
	run, stop := context.WithCancel(force)
	caught := make(chan os.Signal, 2)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for _, end := range []context.CancelFunc{stop, kill} {
			select {
			case <-caught:
				end()
			case <-force.Done():
			}
		}
	}()
	return run, force, func() { signal.Stop(caught); kill() }
}
