// Package gateway runs the whole gateway on one machine: Envoy on files rendered
// from the document, the sidecar beside it, and the document watched, so that a
// change of it takes effect without the loss of a request.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/tollgate/tollgate/sidecar/internal/envoyadmin"
	"github.com/tollgate/tollgate/sidecar/internal/rollout"
	"github.com/tollgate/tollgate/sidecar/internal/supervise"
	"github.com/tollgate/tollgate/sidecar/internal/watch"
)

// Options are what a gateway is started with.
type Options struct {
	// File is the document. Required.
	File string
	// Executable is the tollgate program, which is the sidecar's too. Required.
	Executable string
	// Output receives the children's logs. Required.
	Output io.Writer
	// Level is the least that is logged, by the children as well.
	Level slog.Level

	// Listen replaces gateway.listen.
	//
	// default: the document's
	Listen string
	// Module is the wasm module.
	//
	// default: tollgate.wasm beside the executable
	Module string
	// Envoy is the program to run.
	//
	// default: $ENVOY, envoy on PATH, ../.tools/envoy/envoy/_bin/envoy beside the
	// executable
	Envoy string
	// Run is the directory for Envoy's files and its admin socket.
	//
	// default: a fresh temporary one, which is removed at the end
	Run string

	// Child are the times of both children.
	Child supervise.Options
	// Watch are the times of the watch on the document.
	Watch watch.Options
	// Start bounds the time until Envoy and the sidecar are ready.
	Start time.Duration
	// Step bounds the time until one step of a change is in force.
	Step time.Duration
}

// DefaultOptions are the bounds of a machine that does other work as well.
func DefaultOptions() Options {
	return Options{
		Level: slog.LevelInfo,
		Child: supervise.DefaultOptions(),
		Watch: watch.DefaultOptions(),
		Start: time.Minute,
		Step:  10 * time.Second,
	}
}

// Run starts the gateway and keeps it running until run ends; then it lets the
// requests in flight end, bounded by gateway.drain, and stops. When force ends,
// from which run derives, it stops at once. The error says what kept it from
// starting, naming every problem of the document on a line of its own.
func Run(run, force context.Context, o Options, log *slog.Logger) (err error) {
	g := &gateway{options: o, log: log, force: force}
	if g.envoy, err = findEnvoy(run, o.Envoy, o.Executable); err != nil {
		return err
	}
	if g.module, err = findModule(o.Module, o.Executable); err != nil {
		return err
	}
	if g.folder, err = openFolder(o.Run); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.folder.close()) }()
	if g.watcher, err = watch.New(o.Watch, log); err != nil {
		return err
	}
	g.spawner = supervise.NewSpawner()
	g.envoyLog = envoyLines(o.Output, o.Level)
	g.admin = envoyadmin.New(filepath.Join(g.folder.path, socket))
	g.roller = &rollout.Runner{Stats: g.admin.Stats, Reason: g.envoyLog.take, Away: o.Start}
	return g.run(run)
}

type gateway struct {
	options  Options
	log      *slog.Logger
	force    context.Context
	envoy    string
	module   string
	folder   *folder
	spawner  *supervise.Spawner
	watcher  *watch.Watcher
	envoyLog *lines
	admin    *envoyadmin.Client
	roller   *rollout.Runner
	now      atomic.Pointer[edition] // in force
	address  <-chan string           // of the sidecar that was started last
}

// run is the life of a gateway: both children begin, are kept, and end in the
// opposite order, since a request in flight may want the sidecar.
func (g *gateway) run(run context.Context) error {
	g.watcher.Set(g.options.File)
	first, err := g.read()
	if err != nil {
		return err
	}
	if err := g.free(first); err != nil {
		return err
	}
	if err := g.adopt(first); err != nil {
		return err
	}

	sidecar := supervise.New("sidecar", g.startSidecar, g.options.Child, g.log)
	stopSidecar, err := g.begin(run, sidecar, g.sidecarReady)
	if err != nil {
		return stopped(run, err)
	}
	defer stopSidecar()
	envoy := supervise.New("envoy", g.startEnvoy, g.options.Child, g.log)
	envoy.Drain, envoy.Revived = g.drain, g.revived
	stopEnvoy, err := g.begin(run, envoy, g.envoyReady)
	if err != nil {
		return stopped(run, g.because(err))
	}
	defer stopEnvoy()

	go g.watcher.Run(run)
	for {
		select {
		case <-run.Done():
			return nil
		case <-g.watcher.Changes():
			g.reload(run, sidecar)
		}
	}
}

// begin starts a child and keeps it until stop is called, which returns when the
// child has ended.
func (g *gateway) begin(run context.Context, c *supervise.Child, ready func(context.Context) error) (stop func(), err error) {
	p, err := c.Begin(run, g.force, ready)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(g.force)
	done := make(chan struct{})
	go func() {
		c.Keep(ctx, g.force, p)
		close(done)
	}()
	return func() { cancel(); <-done }, nil
}

// stopped is nil when a start failed because it was told to stop.
func stopped(run context.Context, err error) error {
	select {
	case <-run.Done():
		return nil
	default:
		return err
	}
}

func findModule(given, executable string) (string, error) {
	path := given
	if path == "" {
		path = filepath.Join(filepath.Dir(executable), "tollgate.wasm")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("module: %w; name it with --module", err)
	}
	return filepath.Abs(path)
}
