package strict

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestWithoutStopIteration(t *testing.T) {
	h, _ := run(t, layout{backends: map[string]string{"a": backend(t, echo)}, noStop: true, gateway: "gateway with ticks"}, 1)
	answer := make(chan string)
	go func() {
		_, body := call(t, h.URL, "g.reqH=to:a,wait,pause", strings.NewReader("hello"))
		answer <- body
	}()
	if seen := until(t, h.URL, "reqH"); seen != "gateway: reqH" {
		t.Errorf("before it resumes\n%s", seen)
	}
	h.Tick()
	if body := <-answer; !strings.HasSuffix(body, "body=hello") {
		t.Errorf("answer %q", body)
	}
	want := "tick\nattempt: reqH\ngateway: reqB[5] eos\nattempt: reqB[5] eos\n"
	if got := trace(t, h.URL); !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestStreamIsIncremental(t *testing.T) {
	next := make(chan string)
	h, _ := run(t, layout{backends: map[string]string{"a": backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for chunk := range next {
			io.WriteString(w, chunk)
			w.(http.Flusher).Flush()
		}
	})}}, 1)
	res := make(chan *http.Response)
	go func() { res <- send(t, h.URL, "g.reqH=to:a", nil) }() //nolint:bodyclose // closed below
	next <- "data: 0\n\n"
	answer := <-res
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) || !lines.Scan() {
			t.Fatalf("event %d: %q %v", i, lines.Text(), lines.Err())
		}
		if i < 2 {
			next <- fmt.Sprintf("data: %d\n\n", i+1)
		}
	}
	close(next)
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("after the end: %q %v", lines.Text(), lines.Err())
	}
}

func until(t *testing.T, url, line string) string {
	t.Helper()
	var all string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if seen := trace(t, url); seen != "\n" {
			all += seen
		}
		if strings.Contains(all, line) {
			return strings.TrimSuffix(all, "\n")
		}
	}
	t.Fatalf("no %q in\n%s", line, all)
	return ""
}

func TestClientGone(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers bool // the backend, before the client leaves
		want    string
	}{
		{"before the answer", false, "gateway: reqH eos\nattempt: reqH eos\ngateway: done\n  response/code = \"\"\n  getprop:response/code: error status returned by host: not found\n  response/code_details = \"downstream_remote_disconnect\""},
		{"in the stream", true, "gateway: reqH eos\nattempt: reqH eos\nattempt: respH(200)\ngateway: respH(200)\nattempt: respB[5]\ngateway: respB[5]\n" +
			"gateway: done\n  response/code = \"\\xc8\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"\n  response/code_details = \"downstream_remote_disconnect\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			reached, left := make(chan struct{}), make(chan struct{})
			h, _ := run(t, layout{backends: map[string]string{"a": backend(t, func(w http.ResponseWriter, r *http.Request) {
				if c.answers {
					io.WriteString(w, "hello")
					w.(http.Flusher).Flush()
				}
				close(reached)
				<-r.Context().Done()
				close(left)
			})}}, 1)
			ctx, leave := context.WithCancel(t.Context())
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
			req.Header.Set("X-Probe", "g.reqH=to:a g.done=getprop:response/code,getprop:response/code_details")
			go func() {
				<-reached
				if !c.answers {
					leave()
				}
			}()
			res, err := http.DefaultClient.Do(req)
			if err == nil {
				io.ReadFull(res.Body, make([]byte, 5))
				leave()
				res.Body.Close()
			}
			<-left
			if got := until(t, h.URL, "code_details"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			leave()
		})
	}
}

func TestClientGoneInUpload(t *testing.T) {
	h, _ := run(t, layout{}, 1)
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nX-Probe: g.reqH=pause g.reqB=pause\r\n\r\nhalf")
	seen := until(t, h.URL, "reqB[4]")
	conn.Close()
	seen += "\n" + until(t, h.URL, "gateway: done")
	if strings.Contains(seen, "eos") || strings.Contains(seen, "respH") {
		t.Errorf("saw\n%s", seen)
	}
}

func TestExpectContinue(t *testing.T) {
	h, _ := run(t, layout{backends: map[string]string{"a": backend(t, echo)}}, 1)
	var continued atomic.Bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { continued.Store(true) }})
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, strings.NewReader("hello"))
	req.Header.Set("Expect", "100-continue")
	req.Header.Set("X-Probe", "g.reqH=to:a,get:expect,pause g.reqB=pause g.reqB$=go")
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if !continued.Load() || !strings.HasSuffix(string(body), "body=hello") {
		t.Errorf("100 Continue %v, answer %q", continued.Load(), body)
	}
}

func TestForwardedFor(t *testing.T) {
	h, _ := run(t, layout{}, 1)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL, nil)
	req.Header.Set("X-Forwarded-For", "10.1.2.3")
	req.Header.Set("X-Probe", "g.reqH=get:x-forwarded-for,getprop:source/address,reply:200:")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	got := trace(t, h.URL)
	if !strings.Contains(got, "x-forwarded-for = 10.1.2.3,127.0.0.1\n") || !strings.Contains(got, `source/address = "127.0.0.1:`) {
		t.Errorf("got\n%s", got)
	}
}
