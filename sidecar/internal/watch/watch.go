// Package watch tells when the contents of files change, however they are
// replaced: written in place, renamed over as editors do, or by the swap of a
// symbolic link as Kubernetes does with mounted ConfigMaps and Secrets.
package watch

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options are the times of a watcher.
type Options struct {
	// Quiet is how long nothing must have happened before the files are read, so
	// that a file that is being written is read once, when it is whole.
	Quiet time.Duration
	// Bound is the longest a change waits for quiet.
	Bound time.Duration
	// Rescan is how often the files are read without an event: for file systems
	// that send none, and for changes farther up than the watched directories.
	Rescan time.Duration
}

// DefaultOptions make a change known in a tenth of a second.
func DefaultOptions() Options {
	return Options{Quiet: 100 * time.Millisecond, Bound: time.Second, Rescan: 5 * time.Second}
}

// Watcher compares the contents of a set of files with what they were.
type Watcher struct {
	options Options
	log     *slog.Logger
	notify  *fsnotify.Watcher
	changes chan struct{}

	mu    sync.Mutex
	files map[string]fingerprint
	dirs  map[string]bool
}

// New is a watcher of nothing yet.
func New(o Options, log *slog.Logger) (*Watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching files: %w", err)
	}
	return &Watcher{
		options: o,
		log:     log,
		notify:  notify,
		changes: make(chan struct{}, 1),
		files:   map[string]fingerprint{},
		dirs:    map[string]bool{},
	}, nil
}

// Changes receives a value after a change. One that nobody has taken yet stands
// for all that follow, so the files must be read after it has been taken.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// Set replaces the set of files. A file that is new in it is compared with what
// it is at this moment, so it is to be read after the call; one that was in the
// set before is still compared with what was last reported.
func (w *Watcher) Set(paths ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	files := make(map[string]fingerprint, len(paths))
	for _, path := range paths {
		known, ok := w.files[path]
		if !ok {
			known = read(path)
		}
		files[path] = known
	}
	w.files = files
	w.follow()
}

// Run watches until ctx ends. It is called once.
func (w *Watcher) Run(ctx context.Context) {
	defer func() { _ = w.notify.Close() }()
	go func() {
		for err := range w.notify.Errors {
			w.log.Warn("watching files", "cause", err)
		}
	}()
	settle(ctx, w.notify.Events, w.options, w.compare)
}

// settle calls scan after events once they have been quiet, and regularly
// without any.
func settle(ctx context.Context, events <-chan fsnotify.Event, o Options, scan func()) {
	rescan := time.NewTicker(o.Rescan)
	defer rescan.Stop()
	var first time.Time
	var quiet <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if quiet == nil {
				first = time.Now()
			}
			quiet = time.After(min(o.Quiet, o.Bound-time.Since(first)))
			continue
		case <-quiet:
		case <-rescan.C:
		}
		quiet = nil
		scan()
	}
}

// compare reads the files and reports when one of them is another than before.
func (w *Watcher) compare() {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := false
	for path, before := range w.files {
		if after := read(path); after != before {
			w.files[path] = after
			changed = true
		}
	}
	w.follow()
	if !changed {
		return
	}
	select {
	case w.changes <- struct{}{}:
	default:
	}
}

// follow watches the directory that holds each file's name and the one that
// holds what its name leads to. Directories are watched because a watch on a
// file ends with the file.
func (w *Watcher) follow() {
	dirs := map[string]bool{}
	for path := range w.files {
		dirs[filepath.Dir(path)] = true
		if target, err := filepath.EvalSymlinks(path); err == nil {
			dirs[filepath.Dir(target)] = true
		}
	}
	for dir := range w.dirs {
		if !dirs[dir] {
			// It is an error for a directory that is gone, and so is its watch.
			_ = w.notify.Remove(dir)
		}
	}
	for dir := range dirs {
		// Again for those watched already: one may have been replaced.
		if err := w.notify.Add(dir); err != nil && !w.dirs[dir] {
			w.log.Warn("watching files: reading them regularly instead", "cause", err, "every", w.options.Rescan)
		}
	}
	w.dirs = dirs
}

// fingerprint is the hash of a file's contents, or of the reason why there are
// none. Contents are secrets and are not kept.
type fingerprint [sha256.Size]byte

func read(path string) fingerprint {
	contents, err := os.ReadFile(path)
	if err != nil {
		return sha256.Sum256([]byte("unreadable: " + err.Error()))
	}
	return sha256.Sum256(contents)
}
