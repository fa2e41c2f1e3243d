// Package supervise keeps one child process running: it starts it again with a
// growing pause when it ends, and stops it in order when it is told to.
package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"
)

// Process is a running child.
type Process interface {
	// Done is closed when the process has ended.
	Done() <-chan struct{}
	// Err says how the process ended, once it has; nil is status 0.
	Err() error
	// Signal sends a signal; to a process that has ended it is an error.
	Signal(os.Signal) error
}

// Options are the times of a supervised child.
type Options struct {
	// MinPause is the pause before the first new start.
	MinPause time.Duration
	// MaxPause bounds the pause, which doubles with every further failure.
	MaxPause time.Duration
	// Settled is how long a child must have run for the pause to be MinPause
	// again.
	Settled time.Duration
	// Grace is how long a child may take to end after SIGTERM before SIGKILL.
	Grace time.Duration
}

// DefaultOptions suit a child that is ready within seconds.
func DefaultOptions() Options {
	return Options{
		MinPause: 100 * time.Millisecond,
		MaxPause: 5 * time.Second,
		Settled:  10 * time.Second,
		Grace:    5 * time.Second,
	}
}

// Child is one process to be kept running.
type Child struct {
	// Drain finishes what the process is doing before it is told to end, until
	// its context ends, which it also does when the process does.
	//
	// default: none
	Drain func(context.Context)
	// Revived is called, in a goroutine of its own, when a process has taken the
	// place of another. Its context ends with the process.
	//
	// default: none
	Revived func(context.Context)

	name    string
	start   func() (Process, error)
	options Options
	log     *slog.Logger
	again   chan struct{}
}

// New is a child that start starts. The name stands in the log.
func New(name string, start func() (Process, error), o Options, log *slog.Logger) *Child {
	return &Child{name: name, start: start, options: o, log: log, again: make(chan struct{}, 1)}
}

// Restart stops the process, without draining it, and starts it again at once.
// It does not wait for that; several requests before the restart are one.
func (c *Child) Restart() {
	select {
	case c.again <- struct{}{}:
	default:
	}
}

// Begin starts the first process and waits until ready returns. A process that
// ends before, or a ready that fails, is an error, and no process is left; ready's
// context ends with the process.
func (c *Child) Begin(run, force context.Context, ready func(context.Context) error) (Process, error) {
	p, err := c.start()
	if err != nil {
		return nil, err
	}
	ctx, cancel := tied(run, p)
	defer cancel()
	err = ready(ctx)
	select {
	case <-p.Done():
		return nil, fmt.Errorf("%s ended at its start: %s", c.name, cause(p.Err()))
	default:
	}
	if err != nil {
		c.stop(force, p, nil)
		return nil, err
	}
	return p, nil
}

// Keep watches over p, which Begin has returned, and over the processes that take
// its place, and returns when none is left. When run ends, the child is drained
// and told to end; when force, from which run derives, ends, it is killed.
func (c *Child) Keep(run, force context.Context, p Process) {
	pause := c.options.MinPause
	for {
		began := time.Now()
		select {
		case <-run.Done():
			c.stop(force, p, c.Drain)
			return
		case <-c.again:
			c.stop(force, p, nil)
			pause = 0
		case <-p.Done():
			if time.Since(began) >= c.options.Settled {
				pause = c.options.MinPause
			}
			c.log.Error(c.name+" ended, starting it again", "cause", cause(p.Err()), "pause", pause)
		}
		if p = c.revive(run, &pause); p == nil {
			return
		}
		if c.Revived != nil {
			ctx, cancel := tied(run, p)
			go func() { defer cancel(); c.Revived(ctx) }()
		}
	}
}

// revive starts the process until that succeeds, pausing before each try. It
// returns nil when run has ended.
func (c *Child) revive(run context.Context, pause *time.Duration) Process {
	for {
		select {
		case <-run.Done():
			return nil
		case <-time.After(*pause):
		}
		*pause = max(c.options.MinPause, min(2**pause, c.options.MaxPause))
		p, err := c.start()
		if err == nil {
			return p
		}
		c.log.Error(c.name+" did not start", "cause", err, "pause", *pause)
	}
}

// stop ends p and returns when it has ended: drain, SIGTERM, and SIGKILL after
// the grace. A force that ends skips to the SIGKILL.
func (c *Child) stop(force context.Context, p Process, drain func(context.Context)) {
	if drain != nil {
		ctx, cancel := tied(force, p)
		drain(ctx)
		cancel()
	}
	// An error of Signal means that the process has ended already.
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.Done():
		return
	case <-force.Done():
	case <-time.After(c.options.Grace):
		c.log.Warn(c.name+" did not end in time, killing it", "grace", c.options.Grace)
	}
	_ = p.Signal(os.Kill)
	<-p.Done()
}

// tied is a context that ends with the process as well.
func tied(parent context.Context, p Process) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	go func() {
		select {
		case <-p.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// cause is how a process ended.
func cause(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}
