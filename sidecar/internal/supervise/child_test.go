package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a process that ends when told to, by a signal or by the test.
type fake struct {
	done    chan struct{}
	err     error
	signals []os.Signal
	deaf    bool // ends on SIGKILL only
}

func newFake() *fake { return &fake{done: make(chan struct{})} }

func (f *fake) Done() <-chan struct{} { return f.done }
func (f *fake) Err() error            { return f.err }

func (f *fake) end(err error) {
	f.err = err
	close(f.done)
}

func (f *fake) Signal(s os.Signal) error {
	select {
	case <-f.done:
		return os.ErrProcessDone
	default:
	}
	f.signals = append(f.signals, s)
	if s == os.Kill || !f.deaf {
		f.end(errors.New("signal: " + s.String()))
	}
	return nil
}

// nursery starts fakes and remembers when, since the beginning of the test.
type nursery struct {
	epoch  time.Time
	starts []time.Duration
	born   []*fake
	errs   []error // of the next starts
}

func (n *nursery) start() (Process, error) {
	n.starts = append(n.starts, time.Since(n.epoch))
	if len(n.errs) > 0 {
		err := n.errs[0]
		n.errs = n.errs[1:]
		if err != nil {
			return nil, err
		}
	}
	f := newFake()
	n.born = append(n.born, f)
	return f, nil
}

func (n *nursery) last() *fake { return n.born[len(n.born)-1] }

// kept runs a child's Keep in a bubble with a clock of its own.
func kept(t *testing.T, test func(n *nursery, c *Child, stop, kill context.CancelFunc, done <-chan struct{})) {
	synctest.Test(t, func(t *testing.T) {
		n := &nursery{epoch: time.Now()}
		c := New("child", n.start, DefaultOptions(), slog.New(slog.DiscardHandler))
		force, kill := context.WithCancel(t.Context())
		run, stop := context.WithCancel(force)
		p, err := c.Begin(run, force, func(context.Context) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		c.Drain = func(context.Context) { n.born[0].signals = append(n.born[0].signals, syscall.SIGUSR1) }
		go func() { c.Keep(run, force, p); close(done) }()
		synctest.Wait()
		test(n, c, stop, kill, done)
		kill()
		<-done
	})
}

func TestPauseGrowsToItsBound(t *testing.T) {
	kept(t, func(n *nursery, _ *Child, _, _ context.CancelFunc, _ <-chan struct{}) {
		for range 9 {
			n.last().end(errors.New("exit status 1"))
			time.Sleep(DefaultOptions().MaxPause)
			synctest.Wait()
		}
		var pauses []time.Duration
		for i, at := range n.starts[1:] {
			pauses = append(pauses, at-time.Duration(i)*DefaultOptions().MaxPause)
		}
		want := []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(pauses, want) {
			t.Errorf("pauses %v, want %v", pauses, want)
		}
	})
}

func TestPauseIsShortAgainAfterALongLife(t *testing.T) {
	kept(t, func(n *nursery, _ *Child, _, _ context.CancelFunc, _ <-chan struct{}) {
		n.last().end(errors.New("exit status 1"))
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		time.Sleep(DefaultOptions().Settled)
		n.last().end(errors.New("exit status 1"))
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if len(n.starts) != 3 {
			t.Errorf("%d starts, want 3", len(n.starts))
		}
	})
}

func TestAStartThatFailsIsTriedAgain(t *testing.T) {
	kept(t, func(n *nursery, _ *Child, _, _ context.CancelFunc, _ <-chan struct{}) {
		n.errs = []error{errors.New("no such file"), errors.New("no such file"), nil}
		n.last().end(nil)
		time.Sleep(700 * time.Millisecond)
		synctest.Wait()
		want := []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond}
		if !slices.Equal(n.starts, want) {
			t.Errorf("starts at %v, want %v", n.starts, want)
		}
	})
}

func TestRevivedLivesAsLongAsTheProcess(t *testing.T) {
	kept(t, func(n *nursery, c *Child, _, _ context.CancelFunc, _ <-chan struct{}) {
		var began, ended int
		c.Revived = func(ctx context.Context) { began++; <-ctx.Done(); ended++ }
		for i := range 2 {
			n.last().end(nil)
			time.Sleep(time.Second)
			synctest.Wait()
			if began != i+1 || ended != i {
				t.Errorf("after %d deaths: began %d, ended %d", i+1, began, ended)
			}
		}
	})
}

func TestRestartHasNoPause(t *testing.T) {
	kept(t, func(n *nursery, c *Child, _, _ context.CancelFunc, _ <-chan struct{}) {
		c.Restart()
		synctest.Wait()
		if want := []os.Signal{syscall.SIGTERM}; !slices.Equal(n.born[0].signals, want) {
			t.Errorf("signals %v, want %v", n.born[0].signals, want)
		}
		if want := []time.Duration{0, 0}; !slices.Equal(n.starts, want) {
			t.Errorf("starts at %v, want %v", n.starts, want)
		}
	})
}

func TestStop(t *testing.T) {
	drain := syscall.SIGUSR1 // how kept records that the child was drained
	for _, test := range []struct {
		name  string
		deaf  bool
		kill  bool // at once, without a stop before
		want  []os.Signal
		after time.Duration
	}{
		{name: "drained, then told", want: []os.Signal{drain, syscall.SIGTERM}},
		{name: "killed when deaf", deaf: true, want: []os.Signal{drain, syscall.SIGTERM, os.Kill}, after: 5 * time.Second},
		{name: "killed at once when forced", deaf: true, kill: true, want: []os.Signal{drain, syscall.SIGTERM, os.Kill}},
	} {
		t.Run(test.name, func(t *testing.T) {
			kept(t, func(n *nursery, _ *Child, stop, kill context.CancelFunc, done <-chan struct{}) {
				n.born[0].deaf = test.deaf
				if test.kill {
					kill()
				}
				stop()
				<-done
				if !slices.Equal(n.born[0].signals, test.want) {
					t.Errorf("signals %v, want %v", n.born[0].signals, test.want)
				}
				if after := time.Since(n.epoch); after != test.after {
					t.Errorf("ended after %v, want %v", after, test.after)
				}
				if len(n.starts) != 1 {
					t.Errorf("%d starts, want 1", len(n.starts))
				}
			})
		})
	}
}

func TestADeathWhileDrainingEndsTheDrain(t *testing.T) {
	kept(t, func(n *nursery, c *Child, stop, _ context.CancelFunc, done <-chan struct{}) {
		c.Drain = func(ctx context.Context) { <-ctx.Done() }
		stop()
		synctest.Wait()
		n.born[0].end(errors.New("exit status 1"))
		<-done
		if len(n.born[0].signals) != 0 || len(n.starts) != 1 {
			t.Errorf("signals %v and %d starts, want none and 1", n.born[0].signals, len(n.starts))
		}
	})
}

func TestForceEndsADrain(t *testing.T) {
	kept(t, func(n *nursery, c *Child, stop, kill context.CancelFunc, done <-chan struct{}) {
		n.born[0].deaf = true
		c.Drain = func(ctx context.Context) { <-ctx.Done() }
		stop()
		synctest.Wait()
		kill()
		<-done
		if time.Since(n.epoch) != 0 {
			t.Errorf("ended after %v, want at once", time.Since(n.epoch))
		}
	})
}

func TestStopDuringThePauseStartsNothing(t *testing.T) {
	kept(t, func(n *nursery, _ *Child, stop, _ context.CancelFunc, done <-chan struct{}) {
		n.last().end(errors.New("exit status 1"))
		synctest.Wait()
		stop()
		<-done
		if len(n.starts) != 1 {
			t.Errorf("%d starts, want 1", len(n.starts))
		}
	})
}

func TestBegin(t *testing.T) {
	for _, test := range []struct {
		name    string
		startup error
		ready   func(ctx context.Context, f *fake) error
		want    string
		signals []os.Signal
	}{
		{name: "ready", ready: func(context.Context, *fake) error { return nil }},
		{name: "cannot be started", startup: errors.New("no such file"), want: "no such file"},
		{
			name: "ends before it is ready",
			ready: func(ctx context.Context, f *fake) error {
				f.end(errors.New("exit status 1"))
				<-ctx.Done()
				return ctx.Err()
			},
			want: "child ended at its start: exit status 1",
		},
		{
			name:    "is never ready",
			ready:   func(context.Context, *fake) error { return errors.New("not ready within 1m0s") },
			want:    "not ready within 1m0s",
			signals: []os.Signal{syscall.SIGTERM},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := &nursery{epoch: time.Now(), errs: []error{test.startup}}
			c := New("child", n.start, DefaultOptions(), slog.New(slog.DiscardHandler))
			_, err := c.Begin(t.Context(), t.Context(), func(ctx context.Context) error { return test.ready(ctx, n.last()) })
			if got := fmt.Sprint(err); err != nil && got != test.want || err == nil && test.want != "" {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if len(n.born) > 0 && !slices.Equal(n.last().signals, test.signals) {
				t.Errorf("signals %v, want %v", n.last().signals, test.signals)
			}
		})
	}
}
