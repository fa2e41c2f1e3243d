package mock

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Cheap makes a backend answer every chat request with bytes made once. A
// request is a stream, and reports its usage, where its body holds
// "stream":true and "include_usage":true in just these letters.
type Cheap struct {
	// Tokens is the length of the answer, and of a stream in chunks but for
	// the first and the last two. Default: 17, which is 20 events.
	Tokens int
	// Every passes between two events. Default: none.
	Every time.Duration
}

func (c Cheap) handler(j *journal) (http.Handler, error) {
	if c.Tokens == 0 {
		c.Tokens = 17
	}
	whole, err := c.answer(``)
	if err != nil {
		return nil, err
	}
	plain, err := c.answer(`,"stream":true`)
	if err != nil {
		return nil, err
	}
	counted, err := c.answer(`,"stream":true,"stream_options":{"include_usage":true}`)
	if err != nil {
		return nil, err
	}
	bodies := sync.Pool{New: func() any { return new(bytes.Buffer) }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		j.tally()
		body := bodies.Get().(*bytes.Buffer)
		defer bodies.Put(body)
		body.Reset()
		if _, err := body.ReadFrom(r.Body); err != nil {
			return
		}
		answer := whole
		if bytes.Contains(body.Bytes(), []byte(`"stream":true`)) {
			answer = plain
			if bytes.Contains(body.Bytes(), []byte(`"include_usage":true`)) {
				answer = counted
			}
		}
		c.send(w, r, answer)
	}), nil
}

// answer is what the model says to a fixed question.
func (c Cheap) answer(options string) (reply, error) {
	at := surface{operation: chat}
	q, err := parse(at, []byte(`{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]`+options+`}`))
	if err != nil {
		return reply{}, fmt.Errorf("mock: %w", err)
	}
	return at.speak(q, Fault{Tokens: c.Tokens}), nil
}

func (c Cheap) send(w http.ResponseWriter, r *http.Request, a reply) {
	h := w.Header()
	for k, v := range a.header {
		h[k] = v
	}
	if !a.stream {
		h["Content-Length"] = []string{strconv.Itoa(len(a.parts[0]))}
		_, _ = w.Write(a.parts[0])
		return
	}
	out := http.NewResponseController(w)
	for i, part := range a.parts {
		if i > 0 && rest(r.Context(), c.Every) != nil {
			return
		}
		if _, err := w.Write(part); err != nil || out.Flush() != nil {
			return
		}
	}
}
