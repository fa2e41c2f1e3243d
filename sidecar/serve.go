package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/signal"
	"syscall"

	"github.com/tollgate/tollgate/sidecar/internal/server"
)

type serve struct {
	File   string `arg:"" help:"The document."`
	Listen string `placeholder:"ADDR" help:"Replaces sidecar.listen."`
	level  `embed:""`

	// Child is how up starts it: standard input is a pipe from the parent, whose
	// end is the parent's death, and the address goes to standard output once it
	// is listened on.
	Child bool `hidden:""`
}

func (v *serve) Run(s streams) error {
	d, err := parse(v.File)
	if err != nil {
		return err
	}
	address := d.Sidecar.Listen
	if v.Listen != "" {
		address = v.Listen
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("sidecar.listen: %w", err)
	}
	log := v.log(s.err)
	log.Info("sidecar ready", "address", "http://"+l.Addr().String())
	if v.Child {
		_, _ = fmt.Fprintln(s.out, l.Addr())
		go func() {
			_, _ = io.Copy(io.Discard, s.in)
			stop()
		}()
	}
	o := server.DefaultOptions()
	o.Version = current()
	return server.Serve(ctx, l, o, log)
}
