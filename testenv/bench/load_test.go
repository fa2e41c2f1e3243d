//go:build linux

package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tollgate/tollgate/testenv/mock"
)

func TestAnswers(t *testing.T) {
	tests := map[string]struct{ wire, body, err string }{
		"length":      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", ""},
		"empty":       {"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", ""},
		"chunks":      {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello", ""},
		"refused":     {"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n", "", `status line "HTTP/1.1 429 Too Many Requests"`},
		"cut":         {"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel", "", "unexpected EOF"},
		"cut chunk":   {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n", "", "EOF"},
		"wrong chunk": {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhel\r\n", "", "a chunk longer than its length, or trailers"},
		"neither":     {"HTTP/1.1 200 OK\r\n\r\n", "", "an answer with neither length nor chunks"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := answerReader{r: bufio.NewReader(iotest.OneByteReader(strings.NewReader(tt.wire)))}
			err := a.read()
			if tt.err == "" && (err != nil || string(a.body) != tt.body) {
				t.Errorf("got %q, %v; want %q", a.body, err, tt.body)
			}
			if tt.err != "" && (err == nil || err.Error() != tt.err) {
				t.Errorf("got %v, want %s", err, tt.err)
			}
		})
	}
}

func TestLoadOnTheMock(t *testing.T) {
	m, err := mock.Start(mock.Options{Cheap: &mock.Cheap{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	for _, stream := range []bool{false, true} {
		r, err := newRequest(m.Addr(), 600, stream)
		if err != nil {
			t.Fatal(err)
		}
		if size := len(r.wire) - strings.Index(string(r.wire), "\r\n\r\n") - 4; size < 599 || size > 600 {
			t.Errorf("a body of %d bytes", size)
		}
		tg := newTarget("mock", m.Addr(), os.Getpid())
		before := m.Count()
		b, err := tg.openLoop(r, 200, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if n := m.Count() - before; n != 200 || len(b.samples) != 180 {
			t.Errorf("sent %d, kept %d; want 200 and 180", n, len(b.samples))
		}
		if b.first(.5) <= 0 || b.first(.5) > b.total(.5) || b.cpuPerRequest() <= 0 {
			t.Errorf("first %v, total %v, CPU %v", b.first(.5), b.total(.5), b.cpuPerRequest())
		}
		if b, err = tg.closedLoop(r, 4, time.Second); err != nil || len(b.samples) == 0 {
			t.Errorf("closed loop: %d samples, %v", len(b.samples), err)
		}
	}
}

func TestAWrongAnswerFailsTheRun(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if n.Add(1) == 5 {
			_, _ = io.WriteString(w, "other")
			return
		}
		_, _ = io.WriteString(w, "right")
	}))
	defer s.Close()
	addr := s.Listener.Addr().(*net.TCPAddr).String()
	r, err := newRequest(addr, 600, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = newTarget("it", addr, os.Getpid()).openLoop(r, 100, time.Second)
	const want = "it: 1 of 100 requests went wrong, among them: JSON 0.6 KB: 5 bytes that are not the 5 the mock sends"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestTable(t *testing.T) {
	tab := newTable()
	for round := range 3 {
		tab.add(plain, "p50", micro, float64(100_000+round*10_000))
		tab.add(tollgate, "p50", micro, float64(150_000+round*20_000))
	}
	var s strings.Builder
	tab.print(&s, "here")
	const want = `| | plain Envoy | with Tollgate | difference | ratio |
|---|--:|--:|--:|--:|
| p50 | 110 µs | 170 µs | +60 µs | 1.55 |

here.
`
	if s.String() != want {
		t.Errorf("got\n%s\nwant\n%s", s.String(), want)
	}
}
