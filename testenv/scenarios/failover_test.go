package scenarios

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The secrets of the backends, words that nothing else contains.
const (
	secretOfA = "bk-secret-of-a"
	secretOfB = "bk-secret-of-b"
	secretOfC = "bk-secret-of-c"
)

// tries are requests that more than one backend can answer. The pool abc tries
// A (Azure), B (Azure v1) and C (OpenAI) in this order.
var tries = []scenario{
	{"the first answers", []step{call{reached: []string{"A"}, also: asEach}}},
	{"429, 500, 200", []step{
		call{fault: "A: 429; retry-after=7, B: 500", reached: []string{"A", "B", "C"}, also: asEach},
	}},
	{"429, 500, 200 on the Azure surface", []step{
		call{path: azurePath, fault: "A: 429; retry-after=7, B: 500", reached: []string{"A", "B", "C"}, also: asEach},
	}},
	{"429, 500, 200 on the Azure v1 surface", []step{
		call{path: azureV1, fault: "A: 429, B: 500", reached: []string{"A", "B", "C"}, also: asEach},
	}},
	{"429, 200 as a stream", []step{
		act(func(s *stage) {
			c := call{body: chat(`"stream":true`), limit: ample, fault: "A: 429, C: tokens=5", reached: []string{"A", "B"}}
			c.also = func(s *stage, a *answer) {
				asEach(s, a)
				if !strings.HasSuffix(a.body, "data: [DONE]\n\n") || strings.Contains(a.body, "usage") {
					s.t.Errorf("stream\n%s", a)
				}
			}
			c.play(s)
		}),
	}},
	{"408", []step{call{fault: "A: 408", reached: []string{"A", "B"}}}},
	{"502", []step{call{fault: "A: 502", reached: []string{"A", "B"}}}},
	{"503", []step{call{fault: "A: 503", reached: []string{"A", "B"}}}},
	{"504", []step{call{fault: "A: 504", reached: []string{"A", "B"}}}},
	{"a reset before the answer", []step{call{fault: "A: reset", reached: []string{"A", "B"}, also: asEach}}},
	{"a retry keeps the limit's account", []step{
		call{limit: 1000, fault: "A: 429, B: reset", reached: []string{"A", "B", "C"}},
		call{limit: 1000, fault: "tokens=1"},
	}},
	{"400 is not tried again", []step{call{fault: "A: 400", status: 400, reached: []string{"A"}, backendsOwn: true}}},
	{"401 is not tried again", []step{call{fault: "A: 401", status: 401, reached: []string{"A"}, backendsOwn: true}}},
	{"403 is not tried again", []step{call{fault: "A: 403", status: 403, reached: []string{"A"}, backendsOwn: true}}},
	{"404 is not tried again", []step{call{fault: "A: 404", status: 404, reached: []string{"A"}, backendsOwn: true}}},
	{"409 is not tried again", []step{call{fault: "A: 409", status: 409, reached: []string{"A"}, backendsOwn: true}}},

	{"a redirect is no answer", []step{call{fault: "A: 307", status: 503, reached: []string{"A"}, want: map[string]string{"location": ""}}}},

	{"all failed", []step{
		call{
			fault:  "A: 429; retry-after=70, B: 429; retry-after-ms=4500, C: 503; retry-after=30",
			status: 503, reached: []string{"A", "B", "C"},
			want: map[string]string{"retry-after": "5"},
			says: `{"error":{"message":"The model is currently not available. Please try again in $WAITs.","type":"server_error","param":null,"code":"service_unavailable"}}`,
		},
	}},
	{"all failed on the Azure surface", []step{
		call{
			path: azurePath, fault: "A: 429; retry-after=9, B: 500, C: 500",
			status: 503, reached: []string{"A", "B", "C"}, want: map[string]string{"retry-after": "/[1-9]/"},
			says: `{"error":{"code":"503","message":"The model is currently not available. Please try again in $WAITs."}}`,
		},
	}},
	{"all failed as a stream", []step{
		call{body: chat(`"stream":true`), fault: "A: 429; retry-after=9, B: 429; retry-after=8, C: 429; retry-after=10", status: 503,
			reached: []string{"A", "B", "C"}, want: map[string]string{"retry-after": "8", "content-type": "application/json"}},
	}},
	{"all failed without a hint", []step{call{fault: "500", status: 503, reached: []string{"A", "B", "C"}, want: map[string]string{"retry-after": ""}}}},
	{"all failed costs nothing", []step{
		call{limit: 100, fault: "500", status: 503, reached: []string{"A", "B", "C"}},
		call{limit: 100, fault: "tokens=1"},
	}},
	{"no more attempts than configured", []step{
		call{body: chatFor("gpt-4o-twice"), fault: "A: 500, B: 500", status: 503, reached: []string{"A", "B"}},
	}},
	{"a client cannot ask for more", []step{
		call{body: chatFor("gpt-4o-twice"), header: map[string]string{"x-envoy-max-retries": "9", "x-envoy-retry-on": "5xx"}, fault: "A: 500, B: 500", status: 503, reached: []string{"A", "B"}},
	}},
	{"a refused connection", []step{call{body: chatFor("gpt-4o-refused"), reached: []string{"C"}, also: asEach}}},
	{"a dead name", []step{call{body: chatFor("gpt-4o-nowhere"), reached: []string{"C"}, also: asEach}}},
	{"only dead backends", []step{call{body: chatFor("gpt-4o-dead"), status: 503, also: keepsQuiet}}},
	{"a backend that does not begin in time", []step{
		call{body: chatFor("gpt-4o-slow"), fault: "A: delay=5s", reached: []string{"A", "C"}, also: asEach},
	}},
	{"a slow stream that has begun is not cut", []step{
		call{body: chatFor("gpt-4o-slow", `"stream":true`), limit: ample, fault: "A: tokens=8; every=50ms", also: func(s *stage, a *answer) {
			if !strings.HasSuffix(a.body, "data: [DONE]\n\n") {
				s.t.Errorf("stream\n%s", a)
			}
		}},
	}},
	{"8 MiB sent three times", []step{act(func(s *stage) {
		body := sized(maxBody)
		call{limit: 100_000_000, body: body, fault: "A: 429, B: 500, C: tokens=1", reached: []string{"A", "B", "C"}, also: func(s *stage, a *answer) {
			asEach(s, a)
			for _, r := range s.arrivals() {
				if len(r.Body) < len(body)-100 || len(r.Body) > len(body)+100 {
					s.t.Errorf("backend %s has received %d bytes, want about %d", r.backend, len(r.Body), len(body))
				}
			}
		}}.play(s)
	})}},
	{"turns", []step{act(func(s *stage) {
		count := s.spread("gpt-4o-turns", 30)
		for _, name := range []string{"A", "B", "C"} {
			// Each worker takes its turns by itself.
			if count[name] < 5 || count[name] > 15 {
				s.t.Errorf("turns %v, want about 10 each", count)
			}
		}
	})}},
	{"four in five", []step{act(func(s *stage) {
		// Chance exceeds these bounds once in a thousand million runs.
		if count := s.spread("gpt-4o-mostly-a", 100); count["A"] < 50 || count["B"] == 0 || count["C"] > 0 {
			s.t.Errorf("spread %v, want about 80 for A and the rest for B", count)
		}
	})}},
	{"secrets stay secret", []step{act(secrets)}},
}

// spread sends requests for a model and counts whom they reach.
func (s *stage) spread(model string, requests int) map[string]int {
	s.t.Helper()
	for range requests {
		if a := s.send(call{limit: ample, body: chatFor(model)}); a.status != http.StatusOK {
			s.t.Fatalf("%s", a)
		}
	}
	count := map[string]int{}
	for _, name := range s.received() {
		count[name]++
	}
	return count
}

// asEach wants every try to be made for the backend that received it: its path,
// host, model, api-version and credential, and nothing of another's.
func asEach(s *stage, a *answer) {
	s.t.Helper()
	adapted := map[string]struct{ path, model, header, secret string }{
		"A": {"/openai/deployments/sweden-4o/chat/completions?api-version=2024-06-01", "", "api-key", secretOfA},
		"B": {"/openai/v1/chat/completions", "east-4o", "api-key", secretOfB},
		"C": {"/v1/chat/completions", "gpt-4o-2024-11-20", "authorization", secretOfC},
	}
	for _, r := range s.arrivals() {
		want := adapted[r.backend]
		if r.Path != want.path {
			s.t.Errorf("%s has received the path %s, want %s", r.backend, r.Path, want.path)
		}
		if r.Host != s.backends[r.backend].Addr() {
			s.t.Errorf("%s has received the host %s, want %s", r.backend, r.Host, s.backends[r.backend].Addr())
		}
		if want.model != "" && !strings.Contains(string(r.Body), fmt.Sprintf(`"model":%q`, want.model)) {
			s.t.Errorf("%s has not received the model %s: %.100s", r.backend, want.model, r.Body)
		}
		if header, secret := r.Credential(); header != want.header || secret != want.secret {
			s.t.Errorf("%s has received another credential than its own, in %s", r.backend, header)
		}
		if n := r.Header.Get("content-length"); n != "" && n != strconv.Itoa(len(r.Body)) {
			s.t.Errorf("%s has received a content-length of %s for %d bytes", r.backend, n, len(r.Body))
		}
		all := fmt.Sprint(r.Header)
		for _, secret := range []string{secretOfA, secretOfB, secretOfC, s.key} {
			if secret != want.secret && strings.Contains(all, secret) {
				s.t.Errorf("%s has received a secret that is not its own", r.backend)
			}
		}
		for name := range r.Header {
			if n := strings.ToLower(name); strings.HasPrefix(n, "x-envoy-") || strings.HasPrefix(n, "x-tollgate-") {
				s.t.Errorf("%s has received %s", r.backend, name)
			}
		}
	}
}

// keepsQuiet wants an error that names no backend, address or limit of ours.
func keepsQuiet(s *stage, a *answer) {
	for _, word := range []string{"127.0.0.1", "nowhere", "refused", "upstream", "backend/", "cluster", "envoy"} {
		if strings.Contains(strings.ToLower(a.body), word) {
			s.t.Errorf("the error tells the client of %q\n%s", word, a)
		}
	}
}

// secrets looks for keys and prompts where they must not be.
func secrets(s *stage) {
	const prompt = "a-prompt-that-nobody-may-read"
	var seen strings.Builder
	for _, c := range []call{
		{body: ask("gpt-4o", prompt)},
		{body: ask("gpt-4o", prompt, `"stream":true`)},
		{body: ask("gpt-4o", prompt), fault: "500"},
		{body: ask("gpt-4o", prompt), key: "tg-wrong-secret"},
		{body: ask("gpt-5", prompt)},
		{body: ask("gpt-4o", prompt) + "x"},
		{body: ask("gpt-4o", strings.Repeat(prompt, 1000))},
		{body: ask("gpt-4o-dead", prompt)},
	} {
		a := s.send(c)
		if a.status != http.StatusOK {
			fmt.Fprintln(&seen, a)
		}
	}
	places := map[string]string{"an error": seen.String(), "the logs": s.gateway.Logs()}
	for name, text := range s.gateway.Insides(s.t) {
		places[name] = text
	}
	words := map[string]string{
		"the prompt": prompt, "a wrong key": "tg-wrong-secret", "the client's key": s.key,
		"A's secret": secretOfA, "B's secret": secretOfB, "C's secret": secretOfC,
	}
	for place, text := range places {
		for what, word := range words {
			if strings.Contains(text, word) {
				s.t.Errorf("%s is in %s", what, place)
			}
		}
	}
}
