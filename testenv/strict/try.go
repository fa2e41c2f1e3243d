package strict

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"
)

// try is one request to one cluster, through that cluster's filters.
type try struct {
	router  *router
	cluster *cluster
	address string
	began   time.Time

	request hop // first step of the request
	answer  hop // first step of the response
	filters []*filter
	cancel  context.CancelFunc
	timer   *time.Timer

	over  bool // nothing that still arrives counts
	local bool // the chain itself has answered

	body   *pipe
	length int64 // what content-length promises, -1 for no promise
	sent   int64
}

// start builds the chain and sends the headers down it. Filters run before the
// connection is there, and even if none comes about.
func (t *try) start(h *headers, eos bool) {
	t.began = time.Now()
	s := t.router.stream
	t.answer = upstreamAnswer{t}
	t.request = codec{t}
	// The request passes the filters in their order, the response in reverse.
	for i := len(t.cluster.filters) - 1; i >= 0; i-- {
		step := t.cluster.filters[i]
		switch {
		case step.wasm != nil:
			p, err := s.conn.worker.plugin(step.wasm.key(), 1)
			if err != nil {
				s.host.logf("error", "wasm: %v", err)
				t.collapse()
				return
			}
			f := newFilter(s, p, t, true)
			f.request.next, f.request.limit = t.request, t.router.route.bufferLimit
			f.request.tooLarge = func() {
				t.reply(reply{status: http.StatusRequestEntityTooLarge, body: []byte("Payload Too Large"), details: "request_payload_too_large"})
			}
			f.response.limit = t.router.route.bufferLimit
			f.response.tooLarge = func() { t.onFailure(failure{err: errors.New("response too large")}) }
			t.request = f.request
			t.filters = append(t.filters, f)
		case step.mutations != nil:
			t.request = mutate{t.request, step.mutations}
		case step.inject != nil:
			t.request = inject{t.request, t, step.inject}
		}
	}
	for _, f := range slices.Backward(t.filters) { // the first in the chain sees the response last
		f.response.next = t.answer
		t.answer = f.response
	}
	if d := t.router.perTry; d > 0 {
		t.timer = time.AfterFunc(d, func() { s.post(func() { t.onFailure(failure{timeout: true}) }) })
	}
	t.request.onHeaders(h, eos)
}

func (t *try) stopTimer() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// end lets go of the backend and of the contexts.
func (t *try) end() {
	if t.over {
		return
	}
	t.over = true
	t.stopTimer()
	if t.cancel != nil {
		t.cancel()
	}
	if t.body != nil {
		t.body.close(errors.New("the try has ended"))
	}
	for _, f := range t.filters {
		f.request.closed, f.response.closed = true, true
		f.done()
	}
}

func (t *try) onFailure(f failure) {
	if t.over {
		return
	}
	f.started = t.router.answered
	if f.timeout && f.started {
		return // a response that has begun is not cut by the timeout of its try
	}
	t.router.onFailure(f)
}

// reply answers from within the cluster's chain, past its filters. The router
// takes it for the backend's answer, but does not retry.
func (t *try) reply(r reply) {
	if t.over || t.local {
		return
	}
	t.local = true
	if t.cancel != nil {
		t.cancel()
	}
	for _, f := range t.filters {
		f.request.closed, f.response.closed = true, true
	}
	if t.router.answered {
		t.router.stream.reset(r.details)
		return
	}
	s := t.router.stream
	s.details = r.details
	eos := len(r.body) == 0 || s.r.Method == http.MethodHead
	answer := upstreamAnswer{t}
	answer.onHeaders(r.compose(), eos)
	if !eos {
		answer.onData(r.body, true)
	}
}

// collapse ends the try because the VM has failed.
func (t *try) collapse() {
	t.reply(reply{status: http.StatusServiceUnavailable, details: "wasm_fail_stream"})
}

// reset cuts the client off: a filter of a cluster that closes its stream closes
// the whole.
func (t *try) reset(details string) { t.router.stream.reset(details) }

// upstreamAnswer is the last hop of a response in a cluster's chain.
type upstreamAnswer struct{ *try }

func (a upstreamAnswer) onHeaders(h *headers, eos bool) {
	if !a.over {
		a.router.onAnswer(a.try, h, eos)
	}
}

func (a upstreamAnswer) onData(data []byte, eos bool) {
	if !a.over {
		a.router.stream.gateway.response.onData(data, eos)
	}
}

// mutate changes request headers on the way.
type mutate struct {
	hop
	mutations []mutation
}

func (m mutate) onHeaders(h *headers, eos bool) {
	for _, change := range m.mutations {
		change.apply(h)
	}
	m.hop.onHeaders(h, eos)
}

// inject adds a credential on the way.
type inject struct {
	hop
	try      *try
	injector *injector
}

func (i inject) onHeaders(h *headers, eos bool) {
	if !i.injector.apply(h) {
		i.try.reply(reply{status: http.StatusUnauthorized, body: []byte("Failed to inject credential."), details: "failed_to_inject_credential"})
		return
	}
	i.hop.onHeaders(h, eos)
}

func (i inject) onData(data []byte, eos bool) {
	if !i.try.local {
		i.hop.onData(data, eos)
	}
}
