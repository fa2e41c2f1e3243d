package mock

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// send writes the answer with the faults that belong to the wire and says how
// it ended.
func (a reply) send(w http.ResponseWriter, r *http.Request, f Fault, s *Server) End {
	ctx := r.Context()
	if f.HoldAfter == 0 && s.hold(ctx, f) != nil {
		return Gone
	}
	if rest(ctx, f.Delay) != nil {
		return Gone
	}
	if f.Reset {
		return drop(w)
	}
	parts, whole := a.shape(r, f)
	for k, v := range a.header {
		w.Header()[k] = v
	}
	if f.compresses(r) {
		w.Header().Set("Content-Encoding", "gzip")
	}
	if a.stream == f.Length && !f.Chunked {
		w.Header().Set("Content-Length", strconv.Itoa(whole))
	}
	w.WriteHeader(a.status)
	out := http.NewResponseController(w)
	for i, part := range parts {
		if i > 0 && rest(ctx, f.Every) != nil {
			return Gone
		}
		if _, err := w.Write(part); err != nil || ctx.Err() != nil {
			return Gone
		}
		// A JSON answer in one piece leaves with its headers.
		if len(parts) > 1 || a.stream || f.Chunked || f.Cut > 0 || f.ResetAfter > 0 || f.HoldAfter > 0 {
			if out.Flush() != nil {
				return Gone
			}
		}
		if i+1 == min(f.HoldAfter, len(parts)) && s.hold(ctx, f) != nil {
			return Gone
		}
	}
	switch {
	case f.ResetAfter > 0:
		return drop(w)
	case f.Cut > 0:
		return Cut
	}
	return Sent
}

// shape is the body as it is to be written, a write each, and the length the
// body would have had in full.
func (a reply) shape(r *http.Request, f Fault) (parts [][]byte, whole int) {
	parts = slices.Clone(a.parts)
	if f.Malformed {
		breakJSON(parts)
	}
	if a.stream {
		for i, p := range parts {
			if f.Comments {
				p = append([]byte(": keep-alive\n\n"), p...)
			}
			if f.CRLF {
				p = bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
			}
			parts[i] = p
		}
	}
	if f.compresses(r) {
		parts = compress(parts)
	}
	for _, p := range parts {
		whole += len(p)
	}
	if a.stream && f.ResetAfter > 0 {
		parts = parts[:min(f.ResetAfter, len(parts))]
	}
	if f.Cut > 0 {
		parts = head(parts, f.Cut)
	}
	if len(f.Split) > 0 {
		parts = split(bytes.Join(parts, nil), f.Split)
		if !a.stream && f.ResetAfter > 0 {
			parts = parts[:min(f.ResetAfter, len(parts))]
		}
	}
	return parts, whole
}

// breakJSON takes the closing half from the middle part.
func breakJSON(parts [][]byte) {
	i := (len(parts) - 1) / 2
	broken := bytes.Clone(parts[i][:len(parts[i])/2])
	if bytes.HasPrefix(broken, []byte("data: ")) {
		broken = append(broken, "\n\n"...)
	}
	parts[i] = broken
}

func (f Fault) compresses(r *http.Request) bool {
	return f.Gzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}

// compress makes one gzip stream of the parts, flushed after each.
func compress(parts [][]byte) [][]byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	out := make([][]byte, len(parts))
	for i, p := range parts {
		// Writing to a buffer does not fail.
		_, _ = z.Write(p)
		if i == len(parts)-1 {
			_ = z.Close()
		} else {
			_ = z.Flush()
		}
		out[i] = bytes.Clone(b.Bytes())
		b.Reset()
	}
	return out
}

// head is the first n bytes of the parts.
func head(parts [][]byte, n int) [][]byte {
	var out [][]byte
	for _, p := range parts {
		p = p[:min(n, len(p))]
		n -= len(p)
		out = append(out, p)
		if n == 0 {
			break
		}
	}
	return out
}

// split cuts a body into pieces of these sizes, over and over.
func split(body []byte, sizes []int) [][]byte {
	var out [][]byte
	for i := 0; len(body) > 0; i++ {
		n := min(sizes[i%len(sizes)], len(body))
		out = append(out, body[:n])
		body = body[n:]
	}
	return out
}

// hold waits at the gate the fault names, if any.
func (s *Server) hold(ctx context.Context, f Fault) error {
	if f.Hold == "" {
		return nil
	}
	return s.Gate(f.Hold).pass(ctx)
}

// rest waits, unless the request is over before.
func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drop ends the connection with RST. An HTTP/2 connection carries other
// requests too: there it is the stream that is reset.
func drop(w http.ResponseWriter) End {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return Cut
	}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		// With no time to linger, closing sends RST in place of FIN.
		_ = t.SetLinger(0)
	}
	_ = c.Close()
	return Reset
}
