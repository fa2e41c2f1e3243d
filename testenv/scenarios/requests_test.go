package scenarios

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// requests are what is refused before a backend hears of it, and what is not.
var requests = []scenario{
	{"an unknown model", []step{call{body: chatFor("gpt-5"), status: 404, says: `{"error":{"message":"The model 'gpt-5' does not exist.","type":"invalid_request_error","param":"model","code":"model_not_found"}}`}}},
	{"an unknown deployment", []step{call{path: "/openai/deployments/gpt-5/chat/completions?api-version=2024-10-21", status: 404, says: `{"error":{"code":"DeploymentNotFound","message":"The model 'gpt-5' does not exist."}}`}}},
	{"an unknown path", []step{call{path: "/v2/chat/completions", status: 404, says: `{"error":{"message":"Unknown request URL.","type":"invalid_request_error","param":null,"code":"unknown_url"}}`}}},
	{"an unknown operation", []step{call{path: "/v1/chat/completion", status: 404}}},
	{"an unknown operation on the Azure surface", []step{call{path: "/openai/deployments/gpt-4o/chat/completion?api-version=2024-10-21", status: 404}}},
	{"a path that climbs", []step{call{path: "/v1/../v1/../etc/passwd", status: 404}}},
	{"two slashes", []step{call{path: "//v1/chat/completions", status: 404}}},
	{"the root", []step{call{method: "GET", path: "/", status: 404}}},

	{"not JSON", []step{call{body: "hello", status: 400, says: invalid("", "body: not JSON at byte 0: want a value")}}},
	{"JSON cut off", []step{call{body: chat()[:40], status: 400, says: invalid("", "body: not JSON at byte 40: it ends too early")}}},
	{"something after the JSON", []step{call{body: chat() + "{}", status: 400, says: invalid("", "body: not JSON at byte 70: want nothing behind the value")}}},
	{"not an object", []step{call{body: `["gpt-4o"]`, status: 400, says: invalid("", "body: want an object, got an array")}}},
	{"not JSON on the Azure surface", []step{call{path: azurePath, body: "hello", status: 400, says: `{"error":{"code":"400","message":"body: not JSON at byte 0: want a value"}}`}}},
	{"no model", []step{call{body: `{"messages":[{"role":"user","content":"hi"}]}`, status: 400, says: invalid("model", "model: missing")}}},
	{"a model of the wrong type", []step{call{body: `{"model":4,"messages":[]}`, status: 400, says: invalid("model", "model: want a string, got a number")}}},
	{"messages of the wrong type", []step{call{body: `{"model":"gpt-4o","messages":"hi"}`, status: 400, says: invalid("messages", "messages: want an array, got a string")}}},
	{"stream of the wrong type", []step{call{body: chat(`"stream":"yes"`), status: 400, says: invalid("stream", "stream: want true or false, got a string")}}},
	{"max_tokens of the wrong type", []step{call{body: chat(`"max_tokens":"many"`), status: 400, says: invalid("max_tokens", "max_tokens: want an integer, got a string")}}},
	{"stream_options of the wrong type", []step{call{body: chat(`"stream":true`, `"stream_options":7`), status: 400, says: invalid("stream_options", "stream_options: want an object, got a number")}}},
	{"a field twice", []step{call{body: `{"model":"gpt-4o","model":"small","messages":[]}`, status: 400, says: invalid("model", "model: given twice")}}},
	{"stream twice", []step{call{body: chat(`"stream":false`, `"stream":true`), status: 400, says: invalid("stream", "stream: given twice")}}},
	{"a field twice, once escaped", []step{call{body: `{"model":"gpt-4o","mod\u0065l":"small","messages":[]}`, status: 400, says: invalid("model", "model: given twice")}}},
	{"an empty body", []step{call{body: "-", status: 400, says: invalid("", "body: want an object, got nothing")}}},
	{"an unknown field goes through", []step{
		call{body: chat(`"metadata":{"team":"a"}`), also: func(s *stage, _ *answer) {
			if got := string(s.last().Body); got != chat(`"metadata":{"team":"a"}`) {
				s.t.Errorf("the backend received %s", got)
			}
		}},
	}},

	{"GET of a completion", []step{call{method: "GET", status: 405, want: map[string]string{"allow": "POST"}, says: `{"error":{"message":"Only POST is allowed here.","type":"invalid_request_error","param":null,"code":"method_not_allowed"}}`}}},
	{"HEAD of a completion", []step{call{method: "HEAD", status: 405, want: map[string]string{"allow": "POST"}}}},
	{"OPTIONS of a completion", []step{call{method: "OPTIONS", status: 405, want: map[string]string{"allow": "POST"}}}},
	{"DELETE of a completion", []step{call{method: "DELETE", status: 405, want: map[string]string{"allow": "POST"}}}},
	{"GET of a completion on the Azure surface", []step{call{method: "GET", path: azurePath, status: 405}}},
	{"a compressed body", []step{call{header: map[string]string{"content-encoding": "gzip"}, status: 415, says: `{"error":{"message":"The request body must not be compressed.","type":"invalid_request_error","param":"content-encoding","code":"unsupported_encoding"}}`}}},

	{"internal headers have no effect", []step{
		call{
			header: map[string]string{
				"x-envoy-max-retries":                    "9",
				"x-envoy-retry-on":                       "5xx,retriable-4xx",
				"x-envoy-upstream-rq-timeout-ms":         "1",
				"x-envoy-upstream-rq-per-try-timeout-ms": "1",
				"x-envoy-expected-rq-timeout-ms":         "1",
				"x-envoy-attempt-count":                  "7",
				"x-envoy-decorator-operation":            "mine",
				"x-envoy-original-path":                  "/v1/mine",
				"x-tollgate-backend":                     "other",
				"x-tollgate-model":                       "other",
			},
			fault: "delay=50ms",
			also: func(s *stage, _ *answer) {
				for name := range s.last().Header {
					name = strings.ToLower(name)
					if strings.HasPrefix(name, "x-envoy-") || strings.HasPrefix(name, "x-tollgate-") {
						s.t.Errorf("the backend has received %s", name)
					}
				}
			},
		},
	}},
	{"internal headers of the gateway stay inside", []step{
		call{also: func(s *stage, a *answer) {
			for name := range a.header {
				if n := strings.ToLower(name); strings.HasPrefix(n, "x-envoy-") || strings.HasPrefix(n, "x-tollgate-") {
					s.t.Errorf("the client has received %s", name)
				}
			}
		}},
	}},
	{"other headers go through", []step{
		call{header: map[string]string{"x-client": "a", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, also: func(s *stage, _ *answer) {
			for name, want := range map[string]string{"x-client": "a", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "content-type": "application/json"} {
				if got := s.last().Header.Get(name); got != want {
					s.t.Errorf("the backend has received %s: %q, want %q", name, got, want)
				}
			}
		}},
	}},
	{"90 headers", []step{call{header: manyHeaders(90)}}},
	{"a header of 16 KB", []step{call{header: map[string]string{"x-large": strings.Repeat("x", 16<<10)}}}},

	{"what a backend refuses is passed on", []step{
		call{fault: "400", status: 400, reached: []string{"A"}, backendsOwn: true, says: `{"error":{"message":"The mock was asked to refuse.","type":"invalid_request_error","param":null,"code":"mock_fault"}}`},
	}},
	{"a backend's 404 is passed on", []step{
		call{fault: "404", status: 404, reached: []string{"A"}, backendsOwn: true},
	}},
	{"embeddings", []step{
		call{path: "/v1/embeddings", body: `{"model":"gpt-4o","input":"hello"}`},
		call{path: "/openai/deployments/gpt-4o/embeddings?api-version=2024-10-21", body: `{"input":["hello","there"]}`},
	}},
	{"completions", []step{call{path: "/v1/completions", body: `{"model":"gpt-4o","prompt":"Once"}`}}},
	{"an answer of 300 KB", []step{call{limit: 1_000_000, fault: "bytes=300000", large: true}}},
	{"an answer of 5 MB", []step{call{limit: 10_000_000, fault: "bytes=5000000", large: true}}},
	{"a chunked answer", []step{call{fault: "chunked"}}},
	{"an answer that is not JSON", []step{call{fault: "malformed", aside: true}}},
	{"an answer that breaks", []step{act(brokenAnswer)}},
}

// invalid is the error for a body that cannot be read, and the field at fault.
func invalid(field, message string) string {
	param := "null"
	if field != "" {
		param = strconv.Quote(field)
	}
	return fmt.Sprintf(`{"error":{"message":%q,"type":"invalid_request_error","param":%s,"code":null}}`, message, param)
}

// brokenAnswer has the backend break off in the middle of a JSON answer, which
// must not look complete.
func brokenAnswer(s *stage) {
	res, err := s.client.Do(call{fault: "cut=100"}.request(s))
	if err != nil {
		return
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil && res.StatusCode == http.StatusOK {
		s.t.Errorf("the client has seen a whole answer of %d bytes", len(body))
	}
}

func manyHeaders(n int) map[string]string {
	headers := map[string]string{}
	for i := range n {
		headers[fmt.Sprintf("x-filler-%d", i)] = "filler"
	}
	return headers
}

const maxBody = 8 << 20

// bodies are requests by the size of their body and the way it arrives.
var bodies = []scenario{
	{"8 MiB", []step{call{limit: 100_000_000, body: sized(maxBody), fault: "tokens=1"}}},
	{"8 MiB, chunked", []step{call{limit: 100_000_000, body: sized(maxBody), fault: "tokens=1", chunked: true}}},
	{"8 MiB on the Azure surface", []step{call{limit: 100_000_000, body: sized(maxBody), fault: "tokens=1", path: azurePath}}},
	{"8 MiB as a stream", []step{call{limit: 100_000_000, body: sized(maxBody, `"stream":true`), fault: "tokens=1"}}},
	{"one byte over", []step{call{body: sized(maxBody + 1), status: 413, says: `{"error":{"message":"The request body is larger than 8388608 bytes.","type":"invalid_request_error","param":null,"code":"request_too_large"}}`}}},
	{"one byte over, chunked", []step{call{body: sized(maxBody + 1), status: 413, chunked: true}}},
	{"one byte over, on the Azure surface", []step{call{path: azurePath, body: sized(maxBody + 1), status: 413}}},
	{"one byte over, chunked, on the Azure surface", []step{call{path: azurePath, body: sized(maxBody + 1), status: 413, chunked: true}}},
	{"a large body is refused without a key", []step{call{key: "none", body: sized(maxBody), status: 401}}},
	{"Expect: 100-continue", []step{call{header: map[string]string{"Expect": "100-continue"}}}},
	{"a slow upload", []step{act(slowUpload)}},
	{"an upload that is given up", []step{act(abandonedUpload)}},
	{"many requests over one connection", []step{act(oneConnection)}},
	{"pipelined requests", []step{act(pipelined)}},
}

// sized is a chat completion of exactly so many bytes.
func sized(n int, members ...string) string {
	n -= len(ask("gpt-4o", "", members...))
	return ask("gpt-4o", strings.Repeat("word ", n/5)+strings.Repeat("x", n%5), members...)
}

// slowUpload sends a body in 40 pieces with pauses.
func slowUpload(s *stage) {
	body := ask("gpt-4o", strings.Repeat("slow ", 100))
	r, w := io.Pipe()
	go func() {
		for i := range 40 {
			if _, err := io.WriteString(w, body[i*len(body)/40:(i+1)*len(body)/40]); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		w.Close()
	}()
	c := call{}
	req := c.request(s)
	req.Body, req.ContentLength = r, int64(len(body))
	a, err := s.try(s.client, req)
	if err != nil {
		s.t.Fatal(err)
	}
	c.check(s, a, s.received())
	if got := string(s.last().Body); got != body {
		s.t.Errorf("the backend has received %d bytes, want %d", len(got), len(body))
	}
}

// abandonedUpload leaves in the middle of a body: nothing reaches the backend
// and nothing is taken.
func abandonedUpload(s *stage) {
	conn := s.dial()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\napi-key: %s\r\nContent-Length: 1000\r\n\r\n%s", chatPath, s.key, chat()[:50])
	conn.Close()
	call{}.play(s)
}

// oneConnection sends requests of different sizes and ends over one connection:
// a body that was rewritten, shortened or refused must not disturb the next.
func oneConnection(s *stage) {
	s.client.Transport.(*http.Transport).MaxConnsPerHost = 1
	steps := []step{
		call{limit: ample, fault: "tokens=1"},
		stream{options: `{"include_usage":false}`},
		call{limit: ample, body: "hello", status: 400},
		stream{options: `{"include_usage":true}`},
		call{limit: ample, fault: "tokens=1", path: azurePath},
		call{limit: ample, body: chatFor("gpt-5"), status: 404},
		stream{},
	}
	for i := range 10 * len(steps) {
		steps[i%len(steps)].play(s)
	}
}

// pipelined sends ten requests before reading the first answer.
func pipelined(s *stage) {
	conn := s.dial()
	defer conn.Close()
	body := chat()
	request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\napi-key: %s\r\nContent-Length: %d\r\n\r\n%s", chatPath, s.key, len(body), body)
	if _, err := io.WriteString(conn, strings.Repeat(request, 10)); err != nil {
		s.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for i := range 10 {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			s.t.Fatalf("answer %d: %v", i, err)
		}
		if a, err := read(res); err != nil || a.status != http.StatusOK {
			s.t.Fatalf("answer %d: %v\n%v", i, err, a)
		}
	}
}
