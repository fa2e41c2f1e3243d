package strict

// hop is a step of a filter chain: a filter, the router, a codec.
type hop interface {
	onHeaders(h *headers, eos bool)
	onData(data []byte, eos bool)
}

// What callbacks return. The SDK knows 0 and 1 only.
const (
	proceed   = 0 // Continue
	pause     = 1 // headers: StopIteration; body: StopIterationAndBuffer
	eosAfter  = 2 // headers: ContinueAndEndStream, which the host takes for Continue
	watermark = 2 // body: StopIterationAndWatermark
)

// lane is one direction of a stream through a filter, with the rules of Envoy's
// filter manager (ActiveStreamFilterBase) about who sees what when.
type lane struct {
	filter    *filter
	callbacks [2]string // headers, body
	next      hop
	limit     int    // bytes that may be buffered
	tooLarge  func() // more were

	headers  *headers
	eos      bool   // the end of the stream has been seen
	closed   bool   // a local reply or a reset has ended this direction
	frozen   bool   // stopped for all: data waits unseen by this filter
	stopped  bool   // data goes no further for now
	went     bool   // headers have gone on
	readable bool   // the module can see the headers: Continue in their phase ends it
	buffer   []byte // held back
	held     bool   // buffer counts, even empty
	whole    bool   // the body callback sees the buffer, not the chunk
	chunk    []byte // what passes at the moment
	inBody   bool   // a chunk passes
}

func (l *lane) onHeaders(h *headers, eos bool) {
	if l.closed {
		return
	}
	l.headers, l.eos, l.readable = h, eos, true
	action, counts := l.filter.call(l.callbacks[0], uint64(h.len()), flag(eos))
	if !counts || l.closed {
		return
	}
	switch {
	case action == proceed || action == eosAfter:
		l.readable, l.went = false, true
		l.next.onHeaders(h, eos)
	case action == pause && l.filter.plugin.stopIteration:
		l.stopped = true
	default:
		// Without allow_on_headers_stop_iteration the body does not reach the
		// filter before it resumes.
		l.frozen = true
	}
}

func (l *lane) onData(data []byte, eos bool) {
	if l.closed {
		return
	}
	l.eos = l.eos || eos
	if l.frozen {
		l.hold(data)
		return
	}
	size := len(data)
	if l.whole {
		l.hold(data)
		data, size = nil, len(l.buffer)
	}
	l.chunk, l.inBody = data, true
	action, counts := l.filter.call(l.callbacks[1], uint64(size), flag(eos))
	data, l.chunk, l.inBody, l.whole = l.chunk, nil, false, false
	if !counts || l.closed {
		return
	}
	switch action {
	case proceed:
		if !l.stopped {
			l.next.onData(data, eos)
			return
		}
		l.hold(data)
		if l.fits() {
			l.resume()
		}
	case pause:
		l.stopped, l.whole = true, true
		l.hold(data)
		l.fits()
	case watermark:
		l.stopped = true
		l.hold(data)
	default: // StopIterationNoBuffer
		l.stopped = true
	}
}

// hold keeps data back.
func (l *lane) hold(data []byte) { l.buffer, l.held = append(l.buffer, data...), true }

// fits ends the stream when more is buffered than may be. A callback that adds
// too much still runs.
func (l *lane) fits() bool {
	if len(l.buffer) <= l.limit {
		return true
	}
	l.tooLarge()
	return false
}

// resume lets headers and what was held go on (commonContinue).
func (l *lane) resume() {
	if l.closed || l.headers == nil || !l.frozen && !l.stopped {
		return
	}
	data, held, frozen := l.buffer, l.held, l.frozen
	l.buffer, l.held, l.frozen, l.stopped, l.whole = nil, false, false, false, false
	if !l.went {
		l.went = true
		l.next.onHeaders(l.headers, l.eos && !held)
	}
	if !held || l.closed {
		return
	}
	if frozen { // this filter has not seen the data yet
		l.onData(data, l.eos)
		return
	}
	l.next.onData(data, l.eos)
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
