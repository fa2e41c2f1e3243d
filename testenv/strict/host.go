// Package strict plays Envoy 1.40 around a proxy-wasm module, from the files
// that `tollgate render envoy` writes: a listener with the gateway filter, the
// route with its matcher and retries, and per try the filters of the chosen
// cluster. Requests come and go over HTTP.
//
// It is stricter than Envoy where Envoy forgives: whatever the module does that
// Envoy would refuse, lose or punish later is recorded as a violation. See
// README.md for what it plays and what it does not.
package strict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
)

// Options say what to run.
type Options struct {
	// Dir holds the rendered files; bootstrap.json is read first.
	Dir string

	// Workers is the number of VMs, 1 if not set. Connections are spread over
	// them in turn.
	Workers int

	// Log gets the log lines of the module and of the host; nil drops them.
	Log io.Writer
}

// Host is a running gateway.
type Host struct {
	// URL is where clients connect, without a trailing slash.
	URL string

	dir     string
	server  *http.Server
	workers []*worker
	shared  store
	conns   atomic.Uint64
	streams sync.WaitGroup

	reload sync.Mutex // one reload at a time

	mu         sync.Mutex
	config     *config
	metrics    map[string]*metric
	violations []string
	retired    []*vm // of modules that have been replaced
	closed     bool

	logMu sync.Mutex
	log   io.Writer
}

// Start serves the files in o.Dir on a free port of 127.0.0.1 until Close, or
// until ctx ends. It fails where Envoy would not start: on files it cannot read,
// on a module that does not load, and on a configuration that the module refuses.
func Start(ctx context.Context, o Options) (*Host, error) {
	h := &Host{dir: o.Dir, log: o.Log, metrics: map[string]*metric{}}
	for range max(1, o.Workers) {
		h.workers = append(h.workers, &worker{host: h})
	}
	if err := h.Reload(); err != nil {
		return nil, errors.Join(err, h.closeVMs())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, h.closeVMs())
	}
	h.URL = "http://" + l.Addr().String()
	h.server = &http.Server{Handler: http.HandlerFunc(h.serve), ConnContext: h.connect}
	go h.server.Serve(l)                         //nolint:errcheck // ends with Close
	context.AfterFunc(ctx, func() { h.Close() }) //nolint:errcheck // nobody to tell
	return h, nil
}

// Close ends the gateway; requests that run are cut.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	err := h.server.Close()
	h.streams.Wait()
	return errors.Join(err, h.closeVMs())
}

// enter counts a stream, unless the host is closed.
func (h *Host) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.streams.Add(1)
	return true
}

func (h *Host) closeVMs() error {
	var errs []error
	for _, v := range h.vms() {
		v.retire(nil)
		errs = append(errs, v.close())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.config != nil {
		h.config.closeIdle()
	}
	return errors.Join(errs...)
}

func (h *Host) vms() []*vm {
	h.mu.Lock()
	all := slices.Clone(h.retired)
	h.mu.Unlock()
	for _, w := range h.workers {
		if v := w.live(); v != nil {
			all = append(all, v)
		}
	}
	return all
}

// Reload reads the files again. New streams run under the new configuration, old
// ones end under theirs. A configuration that the module refuses in a VM made
// for the purpose changes nothing.
func (h *Host) Reload() error {
	h.reload.Lock()
	defer h.reload.Unlock()
	next, err := readConfig(h.dir)
	if err != nil {
		return err
	}
	wasm, err := next.module()
	if err != nil {
		return err
	}
	if err := h.canary(next, wasm); err != nil {
		return err
	}
	for _, w := range h.workers {
		if !bytes.Equal(w.wasm, wasm) {
			if v := w.live(); v != nil {
				v.retire(nil)
				h.mu.Lock()
				h.retired = append(h.retired, v)
				h.mu.Unlock()
			}
			w.load(wasm)
		}
		for key := range next.plugins() {
			if _, err := w.plugin(key, 0); err != nil {
				return err
			}
		}
	}
	h.mu.Lock()
	last := h.config
	h.config = next
	h.mu.Unlock()
	if last != nil {
		last.closeIdle()
	}
	for _, w := range h.workers {
		if v := w.live(); v != nil {
			v.retire(next.plugins())
		}
	}
	return nil
}

// canary tries every configuration in a VM that is thrown away.
func (h *Host) canary(c *config, wasm []byte) error {
	v, err := newVM(h, wasm)
	if err != nil {
		return err
	}
	for key := range c.plugins() {
		if _, pluginErr := v.plugin(key, 0); pluginErr != nil {
			err = errors.Join(err, pluginErr)
		}
	}
	v.retire(nil)
	return errors.Join(err, v.close())
}

// Violations are the rules that the module has broken so far, in order.
func (h *Host) Violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.violations)
}

func (h *Host) violate(format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	h.logf("error", "violation: %s", text)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.violations = append(h.violations, text)
}

// Stats is what an operator could see from outside.
type Stats struct {
	Metrics map[string]int64 // of the module, by the name it gave; a histogram's sum
	Memory  []uint64         // bytes of each worker's VM
}

// Stats reads the statistics.
func (h *Host) Stats() Stats {
	s := Stats{Metrics: map[string]int64{}}
	for _, w := range h.workers {
		s.Memory = append(s.Memory, w.memory())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, m := range h.metrics {
		s.Metrics[name] = m.load()
	}
	return s
}

// Tick runs proxy_on_tick in every plugin context that has asked for ticks.
func (h *Host) Tick() {
	for _, w := range h.workers {
		w.tick()
	}
}

// Kill fails the VM of a worker as a trap would, and records nothing. The next
// request gets a new one.
func (h *Host) Kill(worker int) {
	if v := h.workers[worker].live(); v != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.failed = errors.New("killed by the test")
	}
}

func (h *Host) metric(name string) *metric {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, known := h.metrics[name]
	if !known {
		m = &metric{}
		h.metrics[name] = m
	}
	return m
}

// cluster looks a cluster up as it is now, nil when there is none.
func (h *Host) cluster(name string) *cluster { return h.current().clusters[name] }

func (h *Host) current() *config {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.config
}

func (h *Host) logf(level, format string, a ...any) {
	if h.log == nil {
		return
	}
	h.logMu.Lock()
	defer h.logMu.Unlock()
	//nolint:errcheck // a log that cannot be written is not the test's subject
	fmt.Fprintf(h.log, "[%s] %s\n", level, fmt.Sprintf(format, a...))
}

// plugins are all configurations of the module, in either role.
func (c *config) plugins() map[pluginKey]bool {
	keys := map[pluginKey]bool{c.gateway.key(): true}
	for _, cl := range c.clusters {
		for _, f := range cl.filters {
			if f.wasm != nil {
				keys[f.wasm.key()] = true
			}
		}
	}
	return keys
}

// module reads the code. All roles name the same file, as one VM holds them.
func (c *config) module() ([]byte, error) {
	name := c.gateway.VMConfig.Code.Local.Filename
	for _, cl := range c.clusters {
		for _, f := range cl.filters {
			if f.wasm != nil && (f.wasm.VMConfig.Code.Local.Filename != name || f.wasm.VMConfig.VMID != c.gateway.VMConfig.VMID) {
				return nil, fmt.Errorf("cluster %s: another module or vm_id than the gateway's", cl.name)
			}
		}
	}
	return os.ReadFile(name)
}

func (c *config) closeIdle() {
	for _, cl := range c.clusters {
		cl.transport.CloseIdleConnections()
	}
}
