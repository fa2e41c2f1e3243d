package strict

import (
	"errors"
	"fmt"
	"sync"
)

// pluginKey tells plugin contexts apart: identical configurations share one per
// worker, wherever they stand (PluginBase::makePluginKey).
type pluginKey struct {
	name, rootID, vmID, configuration string
	stopIteration                     bool
}

// plugin is a root context: one configuration of the module in one VM.
type plugin struct {
	pluginKey
	vm          *vm
	id          uint32
	configuring bool // the configuration can be read
	ticks       bool // the module has asked for ticks
	streams     int  // contexts below it
	retired     bool // no new streams; ends with its last one
}

// plugin returns the context for a configuration, made on first use, and counts
// the streams that are about to begin below it.
func (v *vm) plugin(key pluginKey, streams int) (*plugin, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p, known := v.plugins[key]
	if !known {
		var err error
		if p, err = v.configure(key); err != nil {
			return nil, err
		}
		v.plugins[key] = p
	}
	p.streams += streams
	return p, nil
}

// configure makes a context. The caller holds the VM.
func (v *vm) configure(key pluginKey) (*plugin, error) {
	v.lastID++
	p := &plugin{pluginKey: key, vm: v, id: v.lastID}
	if _, err := v.callRoot(p, "proxy_on_context_create", uint64(p.id), 0); err != nil {
		return nil, err
	}
	if len(v.plugins) == 0 {
		if accepted, err := p.ask("proxy_on_vm_start", 0); err != nil {
			return nil, err
		} else if !accepted {
			return nil, errors.New("the module refused to start")
		}
	}
	p.configuring = true
	accepted, err := p.ask("proxy_on_configure", len(key.configuration))
	p.configuring = false
	if err == nil && !accepted {
		err = fmt.Errorf("plugin %s refused its configuration", key.name)
	}
	return p, err
}

// ask runs a callback that may refuse; a module without it accepts.
func (p *plugin) ask(name string, size int) (accepted bool, err error) {
	if p.vm.function(name) == nil {
		return true, nil
	}
	answer, err := p.vm.callRoot(p, name, uint64(p.id), uint64(size))
	return answer != 0, err
}

// release counts a stream less. The caller holds the VM.
func (p *plugin) release() {
	p.streams--
	p.end()
}

// end deletes a retired context that no stream uses. The caller holds the VM.
func (p *plugin) end() {
	if !p.retired || p.streams > 0 || p.vm.plugins[p.pluginKey] != p {
		return
	}
	delete(p.vm.plugins, p.pluginKey)
	for _, name := range []string{"proxy_on_done", "proxy_on_delete"} {
		if _, err := p.vm.callRoot(p, name, uint64(p.id)); err != nil {
			return
		}
	}
}

// retire ends every plugin context that keep does not name, once its streams are
// over.
func (v *vm) retire(keep map[pluginKey]bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for key, p := range v.plugins {
		p.retired = !keep[key]
		p.end()
	}
}

// worker is one of Envoy's threads: a VM, entered by one stream at a time.
type worker struct {
	host *Host
	mu   sync.Mutex
	vm   *vm
	wasm []byte
}

// plugin returns the context for a configuration in a VM that works. One that
// has failed is replaced, as failure_policy FAIL_RELOAD does; its streams fail.
func (w *worker) plugin(key pluginKey, streams int) (*plugin, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.vm == nil || w.vm.dead() {
		v, err := newVM(w.host, w.wasm)
		if err != nil {
			return nil, err
		}
		if w.vm != nil {
			w.host.logf("warn", "wasm: the VM is replaced")
			w.vm.close() //nolint:errcheck // nothing runs in it any more
		}
		w.vm = v
	}
	return w.vm.plugin(key, streams)
}

// load puts another module in force for new streams.
func (w *worker) load(wasm []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wasm = wasm
	w.vm = nil
}

// memory is the size of the VM's memory in bytes.
func (w *worker) memory() uint64 {
	v := w.live()
	if v == nil {
		return 0
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return uint64(v.module.Memory().Size())
}

// tick runs proxy_on_tick where the module has asked for it.
func (w *worker) tick() {
	v := w.live()
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.plugins {
		if p.ticks {
			v.callRoot(p, "proxy_on_tick", uint64(p.id)) //nolint:errcheck // a trap is a violation
		}
	}
}

// live is the VM of new streams, nil before the first.
func (w *worker) live() *vm {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.vm
}

func (v *vm) dead() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.failed != nil
}
