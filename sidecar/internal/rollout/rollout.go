// Package rollout carries out the steps of a change one after another. A step is
// done when Envoy's statistics show that what it wrote is in force, so that no
// file leads to something another file has yet to bring.
package rollout

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Step is one file's part in a change.
type Step struct {
	// Name says in an operator's words what changes.
	Name string
	// Write puts the file in its place.
	Write func() error
	// Want are the statistics, with their values, that show it in force. Without
	// any, nothing reads the file and the step is done when it is written.
	Want map[string]string
	// Refusals are the counters of which one grows when Envoy refuses it.
	Refusals []string
	// Pause is how long to wait before it.
	Pause time.Duration
}

// Runner carries out steps on one Envoy.
type Runner struct {
	// Stats reads statistics by name; those that Envoy does not have are absent.
	// An error is an Envoy that is not there, which may come back. Required.
	Stats func(ctx context.Context, names ...string) (map[string]string, error)
	// Reason takes the latest complaint from Envoy's log, empty when there is
	// none. Required.
	Reason func() string
	// Away is how long Envoy may not be there, because it is being started again,
	// before a step is given up.
	Away time.Duration
}

// pauses between two looks at the statistics, and how long a complaint may take
// to arrive through the log's pipe.
const (
	minPause  = 10 * time.Millisecond
	maxPause  = 200 * time.Millisecond
	logArrive = 500 * time.Millisecond
)

// Run carries out the steps, and stops at the first that fails: that cannot be
// written, that Envoy refuses, or that is not in force in time. What has been
// written until then stays; done is the number of steps begun. Bound is how long
// each may take to be in force, counted from when Envoy was last away.
func (r *Runner) Run(ctx context.Context, bound time.Duration, steps []Step) (done int, err error) {
	for i, s := range steps {
		if err := r.step(ctx, bound, s); err != nil {
			return i + 1, fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return len(steps), nil
}

func (r *Runner) step(ctx context.Context, bound time.Duration, s Step) error {
	if s.Pause > 0 {
		select {
		case <-time.After(s.Pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if len(s.Want) == 0 {
		return s.Write()
	}
	_ = r.Reason() // one of before
	before, err := r.Stats(ctx, s.Refusals...)
	if err != nil {
		before = nil // the counters of the next Envoy start at zero
	}
	if err := s.Write(); err != nil {
		return err
	}
	return r.await(ctx, bound, s, before)
}

// Await waits until what the steps wrote is in force in an Envoy that was started
// on it. Any refusal it has counted is one of theirs.
func (r *Runner) Await(ctx context.Context, bound time.Duration, steps []Step) error {
	for _, s := range steps {
		if err := r.await(ctx, bound, s, nil); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

// await looks at the statistics until the step is in force. Refusals are counted
// from before, and from zero after an Envoy that went away.
func (r *Runner) await(ctx context.Context, bound time.Duration, s Step, before map[string]string) error {
	names := append([]string{}, s.Refusals...)
	for name := range s.Want {
		names = append(names, name)
	}
	began := time.Now()
	deadline := began.Add(bound)
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		stats, err := r.Stats(ctx, names...)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			before = nil
			deadline = earlier(time.Now().Add(bound), began.Add(r.Away))
		case inForce(s.Want, stats):
			return nil
		case grew(s.Refusals, before, stats):
			return fmt.Errorf("refused by Envoy: %s", r.reason(ctx))
		}
		if left := time.Until(deadline); left <= 0 {
			took := time.Since(began).Round(time.Second)
			if err != nil {
				return fmt.Errorf("not in force after %s: %w", took, err)
			}
			return fmt.Errorf("not in force after %s", took)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func inForce(want, stats map[string]string) bool {
	for name, value := range want {
		if stats[name] != value {
			return false
		}
	}
	return true
}

// grew compares counters. One that has shrunk is that of another process.
func grew(counters []string, before, after map[string]string) bool {
	for _, name := range counters {
		if n, was := count(after[name]), count(before[name]); n > was || n < was && n > 0 {
			return true
		}
	}
	return false
}

func count(value string) uint64 {
	n, _ := strconv.ParseUint(value, 10, 64) // absent is zero
	return n
}

func (r *Runner) reason(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, logArrive)
	defer cancel()
	for {
		if reason := r.Reason(); reason != "" {
			return reason
		}
		select {
		case <-ctx.Done():
			return "its log says why"
		case <-time.After(minPause):
		}
	}
}
