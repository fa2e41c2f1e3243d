package mock

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// Request is one request as a backend received it.
type Request struct {
	// Order numbers the requests of all backends of the process by arrival, so
	// that the tries of one client request can be put in order.
	Order int64
	// Method, Path with its query, Host and Proto ("HTTP/1.1", "HTTP/2.0").
	Method, Path, Host, Proto string
	// Header is without Host.
	Header http.Header
	// Body is what arrived of it.
	Body []byte
	// SNI is the name asked for in the TLS handshake.
	SNI string
	// End says how it ended; empty while it is in work.
	End End
}

// Credential is what the client proves itself with and the header that carries
// it: ("api-key", "…"), ("authorization", "…" without "Bearer "), ("", "").
func (r Request) Credential() (header, value string) {
	return credential(r.Header)
}

func credential(h http.Header) (header, value string) {
	if v := h.Get("api-key"); v != "" {
		return "api-key", v
	}
	if v := h.Get("Authorization"); v != "" {
		return "authorization", strings.TrimPrefix(v, "Bearer ")
	}
	return "", ""
}

// End says how a request ended.
type End string

// The ends of a request.
const (
	// Sent: the whole answer was handed to the connection.
	Sent End = "sent"
	// Gone: the client left before that.
	Gone End = "gone"
	// Cut: the answer was ended early by a fault, with FIN or the end of the
	// HTTP/2 stream.
	Cut End = "cut"
	// Reset: as Cut, with RST.
	Reset End = "reset"
)

var arrivals atomic.Int64

// journal is what a backend has received.
type journal struct {
	mu      sync.Mutex
	all     []*Request
	cheap   int
	changed chan struct{} // closed and replaced at every change
}

func (j *journal) begin(r *http.Request, body []byte) (end func(End)) {
	e := &Request{
		Order:  arrivals.Add(1),
		Method: r.Method,
		Path:   r.URL.RequestURI(),
		Host:   r.Host,
		Proto:  r.Proto,
		Header: r.Header.Clone(),
		Body:   body,
	}
	if r.TLS != nil {
		e.SNI = r.TLS.ServerName
	}
	j.change(func() { j.all = append(j.all, e) })
	return func(how End) { j.change(func() { e.End = how }) }
}

func (j *journal) change(what func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	what()
	close(j.changed)
	j.changed = make(chan struct{})
}

// tally counts a request that is not kept.
func (j *journal) tally() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.cheap++
}

func (j *journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.all) + j.cheap
}

func (j *journal) reset() {
	j.change(func() { j.all, j.cheap = nil, 0 })
}

func (j *journal) snapshot() []Request {
	all, _ := j.look()
	return all
}

func (j *journal) look() ([]Request, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]Request, len(j.all))
	for i, e := range j.all {
		all[i] = *e
	}
	return all, j.changed
}

func (j *journal) await(ctx context.Context, ok func([]Request) bool) error {
	for {
		all, changed := j.look()
		if ok(all) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
