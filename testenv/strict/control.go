package strict

import "strings"

// envcalls are the proxy functions that Envoy offers to ABI 0.2.0
// (proxy-wasm-cpp-host, FOR_ALL_HOST_FUNCTIONS and registerCallbacks).
func envcalls() []hostcall {
	return []hostcall{
		{"proxy_log", "iii", "i", proxyLog},
		{"proxy_get_status", "iii", "i", unsupported("proxy_get_status")},
		{"proxy_set_property", "iiii", "i", setProperty},
		{"proxy_get_property", "iiii", "i", getProperty},
		{"proxy_send_local_response", "iiiiiiii", "i", sendLocalResponse},
		{"proxy_get_shared_data", "iiiii", "i", getSharedData},
		{"proxy_set_shared_data", "iiiii", "i", setSharedData},
		{"proxy_register_shared_queue", "iii", "i", unsupported("proxy_register_shared_queue")},
		{"proxy_resolve_shared_queue", "iiiii", "i", unsupported("proxy_resolve_shared_queue")},
		{"proxy_dequeue_shared_queue", "iii", "i", unsupported("proxy_dequeue_shared_queue")},
		{"proxy_enqueue_shared_queue", "iii", "i", unsupported("proxy_enqueue_shared_queue")},
		{"proxy_get_header_map_value", "iiiii", "i", getHeaderMapValue},
		{"proxy_add_header_map_value", "iiiii", "i", addHeaderMapValue},
		{"proxy_replace_header_map_value", "iiiii", "i", replaceHeaderMapValue},
		{"proxy_remove_header_map_value", "iii", "i", removeHeaderMapValue},
		{"proxy_get_header_map_pairs", "iii", "i", getHeaderMapPairs},
		{"proxy_set_header_map_pairs", "iii", "i", setHeaderMapPairs},
		{"proxy_get_header_map_size", "ii", "i", getHeaderMapSize},
		{"proxy_get_buffer_status", "iii", "i", getBufferStatus},
		{"proxy_get_buffer_bytes", "iiiii", "i", getBufferBytes},
		{"proxy_set_buffer_bytes", "iiiii", "i", setBufferBytes},
		{"proxy_http_call", "iiiiiiiiii", "i", httpCall},
		{"proxy_grpc_call", "iiiiiiiiiiii", "i", unsupported("proxy_grpc_call")},
		{"proxy_grpc_stream", "iiiiiiiii", "i", unsupported("proxy_grpc_stream")},
		{"proxy_grpc_close", "i", "i", unsupported("proxy_grpc_close")},
		{"proxy_grpc_cancel", "i", "i", unsupported("proxy_grpc_cancel")},
		{"proxy_grpc_send", "iiii", "i", unsupported("proxy_grpc_send")},
		{"proxy_set_tick_period_milliseconds", "i", "i", setTickPeriod},
		{"proxy_get_current_time_nanoseconds", "i", "i", currentTime},
		{"proxy_define_metric", "iiii", "i", defineMetric},
		{"proxy_increment_metric", "iI", "i", incrementMetric},
		{"proxy_record_metric", "iI", "i", recordMetric},
		{"proxy_get_metric", "ii", "i", getMetric},
		{"proxy_set_effective_context", "i", "i", setEffectiveContext},
		{"proxy_done", "", "i", func(*vm, args) status { return ok }},
		{"proxy_call_foreign_function", "iiiiii", "i", callForeignFunction},
		{"proxy_continue_stream", "i", "i", continueStream},
		{"proxy_close_stream", "i", "i", closeStream},
		{"pthread_equal", "ii", "i", func(_ *vm, a args) uint32 { return uint32(flag(a.u32(0) == a.u32(1))) }},
		{"emscripten_notify_memory_growth", "i", "", func(*vm, args) uint32 { return 0 }},
	}
}

// unsupported answers a call that Envoy offers and this host does not play; a
// test that needs it must not pass by accident.
func unsupported(name string) func(*vm, args) status {
	return func(v *vm, _ args) status {
		v.violate("%s: not supported by the strict host", name)
		return unimplemented
	}
}

func proxyLog(v *vm, a args) status {
	levels := []string{"trace", "debug", "info", "warn", "error", "critical"}
	message, inside := v.string(a.u32(1), a.u32(2))
	if !inside {
		return invalidMemoryAccess
	}
	if int(a.u32(0)) >= len(levels) {
		return badArgument
	}
	v.host.logf(levels[a.u32(0)], "wasm log: %s", message)
	return ok
}

// reply is an answer that the host or the module makes in the backend's stead.
type reply struct {
	status  int
	body    []byte
	headers [][2]string
	details string
	module  bool // it is the module's
}

func sendLocalResponse(v *vm, a args) status {
	details, inside := v.string(a.u32(1), a.u32(2))
	body, insideToo := v.bytes(a.u32(3), a.u32(4))
	if !inside || !insideToo {
		return invalidMemoryAccess
	}
	pairs, st := v.pairs(a.u32(5), a.u32(6), "proxy_send_local_response")
	if st != ok {
		return st
	}
	f := v.active()
	if f == nil || f.logging {
		v.violate("proxy_send_local_response: outside a stream")
		return ok // Envoy takes it and does nothing
	}
	r := reply{status: int(a.u32(0)), body: body, headers: pairs, details: strings.ReplaceAll(details, " ", "_"), module: true}
	f.replied = true
	f.later(func() { f.chain.reply(r) })
	return ok
}

// Types of streams in the ABI.
const (
	streamRequest  = 0
	streamResponse = 1
	lastStream     = 3
)

func continueStream(v *vm, a args) status {
	f, kind := v.active(), a.u32(0)
	switch {
	case kind > lastStream:
		return badArgument
	case f == nil || kind > streamResponse:
		return ok
	}
	f.request.readable = false // whichever direction resumes (Envoy, Context::continueStream)
	l := f.lane(kind == streamRequest)
	f.later(l.resume)
	return ok
}

func closeStream(v *vm, a args) status {
	f, kind := v.active(), a.u32(0)
	switch {
	case kind > lastStream:
		return badArgument
	case f == nil || kind > streamResponse:
		return ok
	}
	f.later(func() { f.chain.reset("wasm_close_stream") })
	return ok
}

func setEffectiveContext(v *vm, a args) status {
	id := a.u32(0)
	if f, found := v.filters[id]; found {
		v.override = f
		return ok
	}
	for _, p := range v.plugins {
		if p.id == id {
			v.override = nil
			return ok
		}
	}
	return badArgument
}

// setTickPeriod is accepted; ticks come from Host.Tick.
func setTickPeriod(v *vm, a args) status {
	if v.root != nil {
		v.root.ticks = a.u32(0) > 0
	}
	return ok
}

func currentTime(v *vm, a args) status {
	return clockTimeGet(v, args{0, 0, uint64(a.u32(0))})
}

// callForeignFunction knows clear_route_cache only.
func callForeignFunction(v *vm, a args) status {
	name, inside := v.string(a.u32(0), a.u32(1))
	if !inside {
		return invalidMemoryAccess
	}
	if name != "clear_route_cache" {
		return notFound
	}
	if f := v.active(); f != nil && !f.upstream {
		f.stream.targeted = false
	}
	if a.u32(4) != 0 && !v.put(a.u32(4), 0) || a.u32(5) != 0 && !v.put(a.u32(5), 0) {
		return invalidMemoryAccess
	}
	return ok
}

// httpCall refuses an unknown cluster as Envoy does and sends nothing to a known
// one.
func httpCall(v *vm, a args) status {
	name, inside := v.string(a.u32(0), a.u32(1))
	if !inside {
		return invalidMemoryAccess
	}
	if v.host.cluster(name) == nil {
		return badArgument
	}
	return unsupported("proxy_http_call")(v, a)
}
