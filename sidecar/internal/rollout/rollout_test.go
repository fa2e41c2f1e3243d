package rollout

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fake is an Envoy that takes what is written after a while, or does not.
type fake struct {
	mu        sync.Mutex // of what happens later
	epoch     time.Time
	stats     map[string]string
	away      bool
	complaint string
	written   []string
	at        []time.Duration
}

// after makes something happen to it.
func (f *fake) after(d time.Duration, happens func()) {
	time.AfterFunc(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		happens()
	})
}

func (f *fake) Stats(_ context.Context, names ...string) (map[string]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return nil, errors.New("envoy's admin socket: connection refused")
	}
	stats := maps.Clone(f.stats)
	maps.DeleteFunc(stats, func(name, _ string) bool { return !slices.Contains(names, name) })
	return stats, nil
}

func (f *fake) Reason() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.complaint
	f.complaint = ""
	return c
}

// step writes a file; then happens after a second.
func (f *fake) step(name string, then func()) Step {
	return Step{
		Name: name,
		Write: func() error {
			f.written = append(f.written, name)
			f.at = append(f.at, time.Since(f.epoch).Truncate(time.Second))
			f.after(time.Second, then)
			return nil
		},
		Want:     map[string]string{name + ".version_text": "2"},
		Refusals: []string{name + ".update_rejected"},
	}
}

func TestRun(t *testing.T) {
	for _, test := range []struct {
		name    string
		before  map[string]string
		routes  func(f *fake) // what Envoy makes of the second of three steps
		want    string
		written []string
		at      []time.Duration
	}{
		{
			name:    "each step waits for the one before",
			routes:  func(f *fake) { f.stats["routes.version_text"] = "2" },
			written: []string{"clusters", "routes", "filter"},
			at:      []time.Duration{0, time.Second, 2 * time.Second},
		},
		{
			name: "a refusal stops it, with the reason that comes later",
			routes: func(f *fake) {
				f.stats["routes.update_rejected"] = "1"
				f.after(100*time.Millisecond, func() { f.complaint = "unknown cluster 'x'" })
			},
			want:    "routes: refused by Envoy: unknown cluster 'x'",
			written: []string{"clusters", "routes"},
			at:      []time.Duration{0, time.Second},
		},
		{
			name:    "a refusal without a reason",
			routes:  func(f *fake) { f.stats["routes.update_rejected"] = "1" },
			want:    "routes: refused by Envoy: its log says why",
			written: []string{"clusters", "routes"},
			at:      []time.Duration{0, time.Second},
		},
		{
			name:    "a refusal of before is none of this change",
			before:  map[string]string{"routes.update_rejected": "3"},
			routes:  func(f *fake) { f.stats["routes.version_text"] = "2" },
			written: []string{"clusters", "routes", "filter"},
			at:      []time.Duration{0, time.Second, 2 * time.Second},
		},
		{
			name:    "nothing happens",
			routes:  func(*fake) {},
			want:    "routes: not in force after 10s",
			written: []string{"clusters", "routes"},
			at:      []time.Duration{0, time.Second},
		},
		{
			name:   "Envoy is restarted in the middle and comes back on the files",
			before: map[string]string{"routes.update_rejected": "3"},
			routes: func(f *fake) {
				f.away = true
				f.after(5*time.Second, func() {
					f.away = false
					f.stats = map[string]string{"routes.version_text": "2", "routes.update_rejected": "0"}
				})
			},
			written: []string{"clusters", "routes", "filter"},
			at:      []time.Duration{0, time.Second, 7 * time.Second},
		},
		{
			name: "Envoy takes long to come back",
			routes: func(f *fake) {
				f.away = true
				f.after(30*time.Second, func() {
					f.away = false
					f.stats = map[string]string{}
				})
				f.after(39*time.Second, func() { f.stats = map[string]string{"routes.version_text": "2"} })
			},
			written: []string{"clusters", "routes", "filter"},
			at:      []time.Duration{0, time.Second, 41 * time.Second},
		},
		{
			name:   "Envoy is restarted in the middle and refuses",
			before: map[string]string{"routes.update_rejected": "3"},
			routes: func(f *fake) {
				f.away = true
				f.after(time.Second, func() {
					f.away = false
					f.stats = map[string]string{"routes.update_rejected": "1"}
				})
			},
			want:    "routes: refused by Envoy: its log says why",
			written: []string{"clusters", "routes"},
			at:      []time.Duration{0, time.Second},
		},
		{
			name:    "Envoy is gone",
			routes:  func(f *fake) { f.away = true },
			want:    "routes: not in force after 1m0s: envoy's admin socket: connection refused",
			written: []string{"clusters", "routes"},
			at:      []time.Duration{0, time.Second},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{epoch: time.Now(), stats: map[string]string{}, complaint: "an old story"}
				maps.Copy(f.stats, test.before)
				r := Runner{Stats: f.Stats, Reason: f.Reason, Away: time.Minute}
				_, err := r.Run(t.Context(), 10*time.Second, []Step{
					f.step("clusters", func() { f.stats["clusters.version_text"] = "2" }),
					f.step("routes", func() { test.routes(f) }),
					f.step("filter", func() { f.stats["filter.version_text"] = "2" }),
				})
				if got := message(err); got != test.want {
					t.Errorf("error %q, want %q", got, test.want)
				}
				if !slices.Equal(f.written, test.written) || !slices.Equal(f.at, test.at) {
					t.Errorf("wrote %v at %v, want %v at %v", f.written, f.at, test.written, test.at)
				}
			})
		})
	}
}

func TestAFileThatCannotBeWritten(t *testing.T) {
	f := &fake{}
	s := f.step("clusters", nil)
	s.Write = func() error { return errors.New("no space left on device") }
	_, err := (&Runner{Stats: f.Stats, Reason: f.Reason, Away: time.Minute}).Run(t.Context(), time.Second, []Step{s})
	if want := "clusters: no space left on device"; message(err) != want {
		t.Errorf("error %q, want %q", message(err), want)
	}
}

func TestWhatNothingReadsIsNotWaitedFor(t *testing.T) {
	f := &fake{away: true}
	s := f.step("credential", func() {})
	s.Want = nil
	if _, err := (&Runner{Stats: f.Stats, Reason: f.Reason}).Run(t.Context(), time.Hour, []Step{s}); err != nil {
		t.Error(err)
	}
}

func TestAStopEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{stats: map[string]string{}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := (&Runner{Stats: f.Stats, Reason: f.Reason, Away: time.Minute}).Run(ctx, time.Hour, []Step{f.step("clusters", func() {})})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{away: true}
		r := Runner{Stats: f.Stats, Reason: f.Reason, Away: time.Minute}
		steps := []Step{f.step("clusters", nil), f.step("routes", nil)}
		f.after(time.Second, func() {
			f.away = false
			f.stats = map[string]string{"clusters.version_text": "2", "routes.version_text": "2"}
		})
		if err := r.Await(t.Context(), 10*time.Second, steps); err != nil {
			t.Error(err)
		}
		f.stats = map[string]string{"clusters.version_text": "2", "routes.update_rejected": "1"}
		f.complaint = "cannot bind"
		if err := r.Await(t.Context(), 10*time.Second, steps); message(err) != "routes: refused by Envoy: cannot bind" {
			t.Errorf("error %v", err)
		}
		if len(f.written) != 0 {
			t.Errorf("wrote %v", f.written)
		}
	})
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAPauseComesBeforeItsStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{epoch: time.Now(), stats: map[string]string{}}
		r := Runner{Stats: f.Stats, Reason: f.Reason, Away: time.Minute}
		routes := f.step("routes", func() { f.stats["routes.version_text"] = "2" })
		routes.Pause = time.Second
		done, err := r.Run(t.Context(), time.Minute, []Step{
			f.step("filter", func() { f.stats["filter.version_text"] = "2" }),
			routes,
		})
		// The filter is in force after a second.
		if want := []time.Duration{0, 2 * time.Second}; err != nil || done != 2 || !slices.Equal(f.at, want) {
			t.Errorf("%d steps at %v, error %v; want 2 at %v", done, f.at, err, want)
		}
	})
}
