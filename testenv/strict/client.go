package strict

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hopByHop are headers of one connection only (Envoy,
// ConnectionManagerUtility::mutateRequestHeaders and mutateResponseHeaders).
var hopByHop = []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}

// readHeaders makes the request's headers as Envoy's filters see them.
func (s *stream) readHeaders() {
	h := &headers{}
	h.add(":authority", s.r.Host)
	h.add(":path", s.path())
	h.add(":method", s.r.Method)
	h.add(":scheme", "http")
	names := make([]string, 0, len(s.r.Header))
	for name := range s.r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range s.r.Header[name] {
			h.add(name, value)
		}
	}
	for _, name := range strings.Split(h.value("connection"), ",") {
		h.remove(strings.ToLower(strings.TrimSpace(name)))
	}
	h.remove(hopByHop...)
	h.remove("expect") // 100 Continue is the codec's business
	if h.value("te") != "trailers" {
		h.remove("te")
	}
	for _, m := range s.config.early {
		m.apply(h)
	}
	h.set("x-forwarded-proto", "http")
	h.set("x-request-id", requestID()) // whatever the client says
	s.headers = h
	if s.config.useRemoteAddress {
		s.forward()
	}
}

// path is the request's target, with its dot segments resolved if the listener
// asks for it (RFC 3986, section 5.2.4; %2e is a dot).
func (s *stream) path() string {
	if !s.config.normalizePath {
		return s.r.RequestURI
	}
	path, query, hasQuery := strings.Cut(s.r.RequestURI, "?")
	var out []string
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, segment)
			continue
		}
		if last { // a directory ends with a slash
			out = append(out, "")
		}
	}
	path = "/" + strings.Join(out, "/")
	if hasQuery {
		path += "?" + query
	}
	return path
}

// forward keeps X-Forwarded-For and takes the client's address from it, as far
// as its last entries are trusted.
func (s *stream) forward() {
	peer, _, _ := net.SplitHostPort(s.conn.remote)
	line := s.headers.value("x-forwarded-for")
	if n := s.config.trustedHops; n > 0 && line != "" {
		if hops := strings.Split(line, ","); n <= len(hops) {
			if client := strings.TrimSpace(hops[len(hops)-n]); net.ParseIP(client) != nil {
				conn := *s.conn
				conn.remote = net.JoinHostPort(client, "0")
				s.conn = &conn
			}
		}
	}
	if line != "" {
		peer = line + "," + peer
	}
	s.headers.set("x-forwarded-for", peer)
	host, _, _ := net.SplitHostPort(s.conn.remote)
	s.headers.set("x-envoy-external-address", host)
}

func requestID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// client is the last hop of a response.
type client struct{ *stream }

func (c client) onHeaders(h *headers, eos bool) {
	if c.finished {
		return
	}
	h.remove(hopByHop...)
	if !c.config.passServer {
		h.set("server", "envoy")
	}
	c.answered, c.passed = h, true
	c.code, _ = strconv.Atoi(h.value(":status"))
	if n, err := strconv.ParseInt(h.value("content-length"), 10, 64); err == nil && c.r.Method != http.MethodHead {
		c.length = n
	}
	c.finished = eos
}

func (c client) onData(data []byte, eos bool) {
	if c.finished {
		return
	}
	c.sent += int64(len(data))
	c.out = append(c.out, data...)
	c.finished = eos
	if c.length >= 0 && (c.sent > c.length || eos && c.sent != c.length) {
		c.host.violate("response body of %d bytes under content-length %d", c.sent, c.length)
		c.finished, c.cut = true, true
	}
}

// flush writes what has passed the filter. A write that fails is a client gone.
func (s *stream) flush() {
	if s.cut || !s.passed {
		return
	}
	if !s.written {
		s.writeHeaders()
	} else if len(s.out) == 0 {
		return
	}
	_, err := s.w.Write(s.out)
	s.out = nil
	if err == nil && !s.finished {
		err = s.control.Flush()
	}
	if err != nil {
		s.gone()
	}
}

func (s *stream) writeHeaders() {
	s.written = true
	out := s.w.Header()
	for _, p := range s.answered.pairs {
		if !strings.HasPrefix(p[0], ":") {
			out.Add(p[0], p[1])
		}
	}
	if _, typed := s.answered.get("content-type"); !typed {
		out["Content-Type"] = nil // or net/http would guess one
	}
	s.w.WriteHeader(max(s.code, 200))
}

// finish sends what is left and lets go of a request that is still coming in:
// its connection is closed after the response, as Envoy does.
func (s *stream) finish(reading <-chan struct{}) {
	incomplete := reading != nil && !s.complete
	if incomplete && !s.written {
		s.w.Header().Set("Connection", "close")
	}
	s.flush()
	if incomplete {
		if !s.cut {
			s.control.Flush() //nolint:errcheck // the client may be gone
		}
		s.control.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // ends readBody
	}
	if reading != nil {
		<-reading
	}
}
