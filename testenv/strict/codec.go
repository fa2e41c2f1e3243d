package strict

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// codec is the last hop of a request: it goes out to the backend.
type codec struct{ *try }

func (c codec) onHeaders(h *headers, eos bool) {
	if c.over || c.local {
		return
	}
	c.length = -1
	if n, err := strconv.ParseInt(h.value("content-length"), 10, 64); err == nil {
		c.length = n
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	if !eos {
		c.body = newPipe()
	} else if c.length > 0 {
		c.mismatch()
		return
	}
	go c.exchange(ctx, c.compose(h))
}

func (c codec) onData(data []byte, eos bool) {
	if c.over || c.local || c.body == nil {
		return
	}
	c.sent += int64(len(data))
	if c.length >= 0 && (c.sent > c.length || eos && c.sent != c.length) {
		c.mismatch()
		return
	}
	c.body.write(data, eos)
}

// mismatch is what cuts a body in Envoy and leaves the rest of it in the
// connection for the next request.
func (c codec) mismatch() {
	c.router.stream.host.violate("request body of %d bytes under content-length %d", c.sent, c.length)
	c.onFailure(failure{err: errors.New("content-length")})
}

// compose makes the request that goes out, with the headers as they are and no
// other.
func (t *try) compose(h *headers) *http.Request {
	scheme := "http"
	if t.cluster.tls {
		scheme = "https"
	}
	req := &http.Request{
		Method: h.value(":method"),
		// Opaque keeps the path as it was written.
		URL:           &url.URL{Scheme: scheme, Host: t.address, Opaque: h.value(":path")},
		Host:          h.value(":authority"),
		Header:        http.Header{"User-Agent": nil},
		ContentLength: t.length,
		Proto:         "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if t.body != nil {
		req.Body = t.body
	} else {
		req.ContentLength = 0
		t.sayEmpty(req)
	}
	for _, p := range h.pairs {
		if !strings.HasPrefix(p[0], ":") && p[0] != "content-length" {
			req.Header.Add(p[0], p[1])
		}
	}
	return req
}

// sayEmpty adds content-length: 0 where Envoy does and net/http does not.
func (t *try) sayEmpty(req *http.Request) {
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch: // net/http does
	case http.MethodGet, http.MethodHead: // if the client has
		if t.length < 0 {
			return
		}
		fallthrough
	default:
		req.Header["content-length"] = []string{"0"} // under this spelling net/http leaves it alone
	}
}

// exchange runs beside the stream and reports to it.
func (t *try) exchange(ctx context.Context, req *http.Request) {
	s := t.router.stream
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	res, err := t.cluster.transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		s.post(func() { t.onFailure(failure{connect: !connected, err: err}) })
		return
	}
	defer res.Body.Close() //nolint:errcheck // it has been read
	h := &headers{}
	h.add(":status", strconv.Itoa(res.StatusCode))
	for name, values := range res.Header {
		for _, value := range values {
			h.add(name, value)
		}
	}
	if len(res.TransferEncoding) > 0 { // the filters see it
		h.add("transfer-encoding", res.TransferEncoding[0])
	}
	left := res.ContentLength
	eos := left == 0 || req.Method == http.MethodHead || res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified
	if !s.post(func() { t.onHeaders(h, eos) }) || eos {
		return
	}
	chunk := make([]byte, 16<<10) // what Envoy reads of a socket at a time
	for {
		n, err := res.Body.Read(chunk)
		data := append([]byte(nil), chunk[:n]...)
		left -= int64(n)
		// The end comes with the last byte where that is known, so that no
		// client sees the whole of an answer before the module has.
		ended := err == io.EOF || err == nil && left == 0
		deliver := func() {
			if n > 0 {
				t.onData(data, false)
			}
			switch {
			case ended:
				t.onData(nil, true)
			case err != nil:
				t.onFailure(failure{err: err})
			}
		}
		if !s.post(deliver) || ended || err != nil {
			return
		}
	}
}

func (t *try) onHeaders(h *headers, eos bool) {
	if !t.over && !t.local {
		t.answer.onHeaders(h, eos)
	}
}

func (t *try) onData(data []byte, eos bool) {
	if !t.over && !t.local {
		t.answer.onData(data, eos)
	}
}

// pipe is a request body without a bound: the filters have bounded it.
type pipe struct {
	mu   sync.Mutex
	more *sync.Cond
	data []byte
	err  error // after data; io.EOF is the proper end
}

func newPipe() *pipe {
	p := &pipe{}
	p.more = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) write(data []byte, eos bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.data = append(p.data, data...)
	if eos && p.err == nil {
		p.err = io.EOF
	}
	p.more.Broadcast()
}

func (p *pipe) close(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.more.Broadcast()
}

// Read implements io.Reader.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.data) == 0 && p.err == nil {
		p.more.Wait()
	}
	if len(p.data) == 0 {
		return 0, p.err
	}
	n := copy(b, p.data)
	p.data = p.data[n:]
	return n, nil
}

// Close implements io.Closer.
func (p *pipe) Close() error {
	p.close(io.ErrClosedPipe)
	return nil
}
