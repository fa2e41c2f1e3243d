package strict

// filter is the module's context of one HTTP stream: of a client's request in
// the listener's chain, or of one try in a cluster's.
type filter struct {
	vm       *vm
	id       uint32
	plugin   *plugin
	stream   *stream
	chain    chain
	upstream bool

	request, response *lane

	logging bool // in OnHttpStreamDone: headers can be read, nothing written
	deleted bool

	// deferred are the effects of host calls on the stream. They happen when
	// the callback has returned (proxy-wasm-cpp-host, DeferAfterCallActions).
	deferred []func()
	replied  bool // the module answered in the current callback
	downed   bool // the stream was answered because the VM had failed
}

// chain is what a filter stands in: the listener's chain of a stream, or a
// cluster's of a try.
type chain interface {
	reply(r reply)        // end it with an answer of the module's
	collapse()            // end it because the VM has failed
	reset(details string) // end it without an answer
}

// newFilter creates the module's context below p, which has counted it. Its lanes
// still want their next hops.
func newFilter(s *stream, p *plugin, c chain, upstream bool) *filter {
	f := &filter{vm: p.vm, plugin: p, stream: s, chain: c, upstream: upstream}
	f.request = &lane{filter: f, callbacks: [2]string{"proxy_on_request_headers", "proxy_on_request_body"}}
	f.response = &lane{filter: f, callbacks: [2]string{"proxy_on_response_headers", "proxy_on_response_body"}}
	f.vm.mu.Lock()
	defer f.vm.mu.Unlock()
	f.vm.lastID++
	f.id = f.vm.lastID
	f.vm.filters[f.id] = f
	f.vm.callFilter(f, "proxy_on_context_create", uint64(f.id), uint64(p.id)) //nolint:errcheck // the next callback sees the failure
	return f
}

// call runs a callback of this context and then what its host calls have
// deferred. What it returns counts for nothing, and call reports false, when the
// VM has failed or the callback has sent a reply (WasmBase::stopNextIteration).
// Only the goroutine that owns the stream calls it.
func (f *filter) call(name string, params ...uint64) (action uint32, counts bool) {
	f.vm.mu.Lock()
	f.replied = false
	action, err := f.vm.callFilter(f, name, append([]uint64{uint64(f.id)}, params...)...)
	replied := f.replied
	f.vm.mu.Unlock()
	if err != nil {
		f.fail()
		return 0, false
	}
	f.settle()
	return action, !replied
}

// settle carries out what host calls have deferred.
func (f *filter) settle() {
	for {
		f.vm.mu.Lock()
		if len(f.deferred) == 0 {
			f.vm.mu.Unlock()
			return
		}
		next := f.deferred[0]
		f.deferred = f.deferred[1:]
		f.vm.mu.Unlock()
		next()
	}
}

// later defers an effect on the stream until the callback has returned. The
// caller runs in the VM. An effect on a stream whose callback is not the one
// that runs is carried out by that stream's own goroutine.
func (f *filter) later(effect func()) {
	f.deferred = append(f.deferred, effect)
	if f.vm.current != f {
		go f.stream.post(f.settle)
	}
}

// fail answers the stream as Envoy does when the VM has failed, once, past our
// own callbacks.
func (f *filter) fail() {
	if f.downed {
		return
	}
	f.downed = true
	f.chain.collapse()
}

// done ends the context. Only the listener's chain logs, which is what the SDK
// turns into OnHttpStreamDone; an upstream filter is just deleted.
func (f *filter) done() {
	if f.deleted {
		return
	}
	f.deleted = true
	f.vm.mu.Lock()
	defer f.vm.mu.Unlock()
	defer f.plugin.release()
	defer delete(f.vm.filters, f.id)
	calls := []string{"proxy_on_done", "proxy_on_delete"}
	if !f.upstream {
		calls = append([]string{"proxy_on_log"}, calls...)
	}
	for _, name := range calls {
		f.logging = name == "proxy_on_log"
		if _, err := f.vm.callFilter(f, name, uint64(f.id)); err != nil {
			return
		}
	}
}

// lane returns the lane that a header map or buffer type belongs to.
func (f *filter) lane(request bool) *lane {
	if request {
		return f.request
	}
	return f.response
}
