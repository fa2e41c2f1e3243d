package watch

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestSettle(t *testing.T) {
	const ms = time.Millisecond
	o := Options{Quiet: 100 * ms, Bound: time.Second, Rescan: 5 * time.Second}
	every := func(gap, until time.Duration) (at []time.Duration) {
		for d := time.Duration(0); d <= until; d += gap {
			at = append(at, d)
		}
		return at
	}
	for _, test := range []struct {
		name   string
		events []time.Duration
		until  time.Duration
		want   []time.Duration
	}{
		{name: "one event", events: []time.Duration{0}, until: time.Second, want: []time.Duration{100 * ms}},
		{name: "a burst is one scan", events: []time.Duration{0, 20 * ms, 90 * ms}, until: time.Second, want: []time.Duration{190 * ms}},
		{name: "the last change is not lost", events: []time.Duration{0, 100*ms + 1}, until: time.Second, want: []time.Duration{100 * ms, 200*ms + 1}},
		{name: "endless events are bounded", events: every(50*ms, 2*time.Second), until: 2 * time.Second, want: []time.Duration{1000 * ms}},
		{name: "no event", until: 12 * time.Second, want: []time.Duration{5 * time.Second, 10 * time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				epoch := time.Now()
				events := make(chan fsnotify.Event)
				var scans []time.Duration
				ctx, cancel := context.WithTimeout(t.Context(), test.until+1)
				defer cancel()
				go func() {
					for _, at := range test.events {
						time.Sleep(at - time.Since(epoch))
						events <- fsnotify.Event{}
					}
				}()
				settle(ctx, events, o, func() { scans = append(scans, time.Since(epoch)) })
				if len(scans) > len(test.want) && test.name == "endless events are bounded" {
					scans = scans[:len(test.want)]
				}
				if !slices.Equal(scans, test.want) {
					t.Errorf("scans at %v, want %v", scans, test.want)
				}
			})
		})
	}
}

// started is a running watcher of the files, whose regular reading is so rare
// that only events can report a change.
func started(t *testing.T, rescan time.Duration, files ...string) *Watcher {
	t.Helper()
	o := DefaultOptions()
	o.Quiet, o.Rescan = 20*time.Millisecond, rescan
	w, err := New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.Set(files...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func reported(t *testing.T, w *Watcher) {
	t.Helper()
	select {
	case <-w.Changes():
	case <-time.After(10 * time.Second):
		t.Fatal("the change was not reported")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// point makes a symbolic link by renaming, as Kubernetes does.
func point(t *testing.T, link, target string) {
	t.Helper()
	if err := os.Symlink(target, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
}

func TestChanges(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(t *testing.T, dir string)
		change func(t *testing.T, dir string)
	}{
		{
			name:   "written in place",
			change: func(t *testing.T, dir string) { write(t, dir+"/a.yaml", "two") },
		},
		{
			name:   "renamed over",
			change: func(t *testing.T, dir string) { replace(t, dir+"/a.yaml", "two") },
		},
		{
			name:   "appears",
			before: func(t *testing.T, dir string) { os.Remove(dir + "/a.yaml") },
			change: func(t *testing.T, dir string) { write(t, dir+"/a.yaml", "two") },
		},
		{
			name:   "disappears",
			change: func(t *testing.T, dir string) { os.Remove(dir + "/a.yaml") },
		},
		{
			name: "ConfigMap",
			before: func(t *testing.T, dir string) {
				write(t, dir+"/..1/a.yaml", "one")
				write(t, dir+"/..2/a.yaml", "two")
				point(t, dir+"/..data", "..1")
				point(t, dir+"/a.yaml", "..data/a.yaml")
			},
			change: func(t *testing.T, dir string) { point(t, dir+"/..data", "..2") },
		},
		{
			name: "what a link leads to",
			before: func(t *testing.T, dir string) {
				write(t, dir+"/elsewhere/real.yaml", "one")
				point(t, dir+"/a.yaml", "elsewhere/real.yaml")
			},
			change: func(t *testing.T, dir string) { replace(t, dir+"/elsewhere/real.yaml", "two") },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/a.yaml", "one")
			if test.before != nil {
				test.before(t, dir)
			}
			w := started(t, time.Hour, dir+"/a.yaml")
			test.change(t, dir)
			reported(t, w)
		})
	}
}

func TestASecondChangeIsReportedToo(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.yaml", "one")
	w := started(t, time.Hour, dir+"/a.yaml")
	for _, text := range []string{"two", "three", "one"} {
		replace(t, dir+"/a.yaml", text)
		reported(t, w)
	}
}

func TestADirectoryThatIsReplacedIsFollowed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/etc/a.yaml", "one")
	w := started(t, 50*time.Millisecond, dir+"/etc/a.yaml")
	if err := os.RemoveAll(dir + "/etc"); err != nil {
		t.Fatal(err)
	}
	reported(t, w)
	write(t, dir+"/etc/a.yaml", "two")
	reported(t, w)
}

func TestSetKeepsWhatWasNotReported(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.yaml", "one")
	write(t, dir+"/secret", "one")
	w := started(t, time.Hour, dir+"/a.yaml")
	replace(t, dir+"/a.yaml", "two") // may or may not be seen before the Set
	w.Set(dir+"/a.yaml", dir+"/secret")
	reported(t, w)
	replace(t, dir+"/secret", "two")
	reported(t, w)
}

func TestWhatDoesNotChangeIsNotReported(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.yaml", "one")
	w := started(t, time.Hour, dir+"/a.yaml")
	replace(t, dir+"/a.yaml", "one")
	write(t, dir+"/other", "x")
	w.compare()
	select {
	case <-w.Changes():
		t.Error("a change was reported")
	default:
	}
}
