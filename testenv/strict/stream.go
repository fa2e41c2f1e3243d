package strict

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// connection is a client's; all its requests run on one worker.
type connection struct {
	id            uint64
	worker        *worker
	remote, local string
}

type connectionKey struct{}

func (h *Host) connect(ctx context.Context, c net.Conn) context.Context {
	id := h.conns.Add(1)
	return context.WithValue(ctx, connectionKey{}, &connection{
		id:     id,
		worker: h.workers[int(id-1)%len(h.workers)],
		remote: c.RemoteAddr().String(),
		local:  c.LocalAddr().String(),
	})
}

// stream is a client's request and its answer. Its goroutine owns it: whatever
// happens elsewhere arrives as an event.
type stream struct {
	host    *Host
	config  *config
	conn    *connection
	w       http.ResponseWriter
	control *http.ResponseController
	r       *http.Request

	began    time.Time
	headers  *headers // of the request, as filters have left them
	answered *headers // of the response, once it has begun
	route    *route
	target   string // cluster of the first try
	targeted bool   // target holds; a change of headers or clear_route_cache ends that
	gateway  *filter
	router   *router

	events chan func()
	over   chan struct{} // closed when no event is taken any more

	stateMu     sync.Mutex
	filterState map[string][]byte

	complete bool // the request has been read to its end
	ending   bool // its end is being handed to the filter
	finished bool // nothing more happens but the end of the gateway's context
	cut      bool // the client's connection ends without a proper end
	passed   bool // response headers have left the filter
	written  bool // and the server
	out      []byte
	length   int64 // what content-length promises, -1 for no promise

	code           int
	details        string
	flags          int64
	received, sent int64
}

// serve plays one request.
func (h *Host) serve(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		panic(http.ErrAbortHandler) // net/http's way to cut a connection
	}
	defer h.streams.Done()
	s := &stream{
		host: h, config: h.current(), w: w, control: http.NewResponseController(w), r: r,
		conn:        r.Context().Value(connectionKey{}).(*connection),
		began:       time.Now(),
		events:      make(chan func()),
		over:        make(chan struct{}),
		filterState: map[string][]byte{},
		length:      -1,
	}
	s.run()
	if s.cut {
		panic(http.ErrAbortHandler)
	}
}

func (s *stream) run() {
	// Without it, a response would wait for the end of the request.
	s.control.EnableFullDuplex() //nolint:errcheck // HTTP/1 has it
	s.readHeaders()
	s.route = s.config.match(s.headers.value(":path"))
	if s.route != nil {
		s.target, s.targeted = s.route.cluster(nil), true
	}
	s.router = &router{stream: s}
	var reading chan struct{}
	if s.r.ContentLength != 0 {
		reading = make(chan struct{})
		go s.readBody(reading)
	}
	s.begin(reading == nil)
	for !s.finished {
		s.flush()
		if s.finished {
			break
		}
		select {
		case event := <-s.events:
			event()
		case <-s.r.Context().Done():
			s.gone()
		}
	}
	close(s.over)
	s.router.cancel()
	// The module hears of the end before the client does, as in Envoy, where
	// both happen in one turn of the event loop.
	if s.gateway != nil {
		s.gateway.done()
	}
	s.finish(reading)
}

// begin makes the gateway's context and hands it the request.
func (s *stream) begin(eos bool) {
	p, err := s.conn.worker.plugin(s.config.gateway.key(), 1)
	if err != nil {
		s.host.logf("error", "wasm: %v", err)
		s.collapse()
		return
	}
	s.gateway = newFilter(s, p, s, false)
	request, response := s.gateway.request, s.gateway.response
	limit := s.config.connectionBuffer
	if s.route != nil {
		limit = s.route.bufferLimit
	}
	request.next, request.limit, request.tooLarge = s.router, limit, s.requestTooLarge
	response.next, response.limit, response.tooLarge = client{s}, limit, s.responseTooLarge
	request.onHeaders(s.headers, eos)
}

// post hands an event to the stream's goroutine and waits until it is taken. It
// reports false when the stream is over.
func (s *stream) post(event func()) bool {
	select {
	case s.events <- event:
		return true
	case <-s.over:
		return false
	}
}

// readBody passes the request's body on, chunk by chunk, then its end, which
// Envoy's HTTP/1 codec tells with an empty chunk. It runs beside the stream.
func (s *stream) readBody(ended chan<- struct{}) {
	defer close(ended)
	chunk := make([]byte, 32<<10)
	for {
		n, err := s.r.Body.Read(chunk)
		data := append([]byte(nil), chunk[:n]...)
		if n > 0 && !s.post(func() { s.received += int64(n); s.gateway.request.onData(data, false) }) {
			return
		}
		switch {
		case err == io.EOF:
			s.post(s.end)
			return
		case err != nil:
			s.post(s.gone)
			return
		}
	}
}

// end hands the filter the end of the request.
func (s *stream) end() {
	s.complete, s.ending = true, true
	s.gateway.request.onData(nil, true)
	s.ending = false
}

// Response flags (Envoy, CoreResponseFlag), as bits.
const (
	flagUpstreamTimeout    = 1 << 2
	flagConnectFailure     = 1 << 5
	flagConnectionEnd      = 1 << 6
	flagNoRoute            = 1 << 8
	flagDownstreamGone     = 1 << 14
	flagRetryLimitExceeded = 1 << 15
	flagUpstreamProtocol   = 1 << 23
)

// gone ends a stream whose client has left.
func (s *stream) gone() {
	if s.finished {
		return
	}
	s.finished, s.cut = true, true
	s.details = "downstream_remote_disconnect"
	s.flags |= flagDownstreamGone
}

// reset cuts the client off.
func (s *stream) reset(details string) {
	if s.finished {
		return
	}
	s.finished, s.cut = true, true
	s.details = details
}

func (s *stream) requestTooLarge() {
	s.reply(reply{status: http.StatusRequestEntityTooLarge, body: []byte("Payload Too Large"), details: "request_payload_too_large"})
}

func (s *stream) responseTooLarge() {
	s.reply(reply{status: http.StatusInternalServerError, body: []byte("Internal Server Error"), details: "response_payload_too_large"})
}

// reply answers in the backend's stead, through the response callbacks of the
// filter, or past them once they have seen a response. After response headers
// have gone out, the stream is cut instead.
func (s *stream) reply(r reply) {
	if s.finished {
		return
	}
	if s.gateway.response.headers != nil {
		s.direct(r)
		return
	}
	s.router.cancel()
	s.gateway.request.closed = true
	s.details, s.code = r.details, r.status
	if r.module && s.ending {
		s.complete = false // Envoy has not taken note of the end yet, and closes
	}
	h := r.compose()
	eos := len(r.body) == 0 || s.r.Method == http.MethodHead
	s.gateway.response.onHeaders(h, eos)
	if !eos {
		s.gateway.response.onData(r.body, true)
	}
}

// direct answers past the filter.
func (s *stream) direct(r reply) {
	if s.finished {
		return
	}
	s.router.cancel()
	if s.gateway != nil {
		s.gateway.request.closed, s.gateway.response.closed = true, true
	}
	if s.passed {
		s.reset(r.details)
		return
	}
	s.details, s.code = r.details, r.status
	eos := len(r.body) == 0 || s.r.Method == http.MethodHead
	client{s}.onHeaders(r.compose(), eos)
	if !eos {
		client{s}.onData(r.body, true)
	}
}

// collapse answers a stream whose VM has failed.
func (s *stream) collapse() {
	s.direct(reply{status: http.StatusServiceUnavailable, details: "wasm_fail_stream"})
}

// compose makes the headers of a local reply (Envoy, Utility::prepareLocalReply).
func (r reply) compose() *headers {
	h := &headers{}
	h.add(":status", strconv.Itoa(r.status))
	for _, p := range r.headers {
		h.add(p[0], p[1])
	}
	if len(r.body) == 0 {
		h.remove("content-length", "content-type")
		return h
	}
	h.set("content-length", strconv.Itoa(len(r.body)))
	if _, typed := h.get("content-type"); !typed {
		h.add("content-type", "text/plain")
	}
	return h
}

func (s *stream) setState(key string, value []byte) {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	s.filterState[key] = value
}

func (s *stream) state(key string) ([]byte, bool) {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	value, found := s.filterState[key]
	return value, found
}
