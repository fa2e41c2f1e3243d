package envoy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tollgate/tollgate/envoy"
)

// TestTries is what a request meets between the two filters.
func TestTries(t *testing.T) {
	a, b := serve(t, "a"), serve(t, "b")
	doc := parse(t, fmt.Sprintf(`
backends:
  - {name: a, url: %q}
  - {name: b, url: %q}
  - {name: dead, url: "http://no-such-name.invalid"}
`, a.URL, b.URL))
	o := options(t)
	p := start(t, render(t, doc, o), o)

	tests := map[string]struct {
		order  string
		first  int // status of backend a
		status int
		body   string
		tries  string
	}{
		"the first answers":         {"a,b", 200, 200, "a", "backend/a"},
		"a retriable answer":        {"a,b", 429, 200, "b", "backend/a backend/b"},
		"the client's own mistake":  {"a,b", 400, 400, "", "backend/a"},
		"a name that is not there":  {"dead,b", 200, 200, "b", "backend/dead backend/b"},
		"a backend that is gone":    {"gone,b", 200, 200, "b", "closed backend/b"},
		"the order is at its end":   {"a", 503, 503, "", "backend/a"},
		"nobody left":               {"a,gone", 503, 503, "*", "backend/a closed"},
		"no filter has decided":     {"", 200, 503, "*", "closed"},
		"as many tries as it takes": {"gone,dead,gone,dead,gone,dead,gone,b", 200, 200, "b", "closed backend/dead closed backend/dead closed backend/dead closed backend/b"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a.answers(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.first)
				if test.first == 200 {
					fmt.Fprint(w, "a")
				}
			})
			var headers []string
			if test.order != "" {
				headers = []string{"x-order", test.order}
			}
			got := p.do("{}", headers...)
			if got.status != test.status || got.tries != test.tries {
				t.Errorf("%d after %q, want %d after %q", got.status, got.tries, test.status, test.tries)
			}
			if test.body != "*" && got.body != test.body {
				t.Errorf("body %q, want %q", got.body, test.body)
			}
		})
	}
}

// TestInternalHeaders sends what steers Envoy's router and the filters.
func TestInternalHeaders(t *testing.T) {
	a, b := serve(t, "a"), serve(t, "b")
	doc := parse(t, fmt.Sprintf("backends: [{name: a, url: %q}, {name: b, url: %q}]", a.URL, b.URL))
	o := options(t)
	p := start(t, render(t, doc, o), o)
	var sent []string
	for name, value := range map[string]string{
		"x-envoy-max-retries":                    "7",
		"x-envoy-retry-on":                       "5xx,retriable-4xx",
		"x-envoy-retriable-status-codes":         "400",
		"x-envoy-upstream-rq-timeout-ms":         "1",
		"x-envoy-upstream-rq-per-try-timeout-ms": "1",
		"x-envoy-hedge-on-per-try-timeout":       "true",
		"x-envoy-original-path":                  "/other",
		"x-envoy-force-trace":                    "true",
		"X-Envoy-Upstream-Alt-Stat-Name":         "other",
		"x-tollgate-caller":                      "somebody else",
	} {
		sent = append(sent, name, value)
	}

	t.Run("no retries of the client's", func(t *testing.T) {
		if got := p.do("{}", sent...); got.tries != "closed" || got.status != 503 {
			t.Errorf("%d after %q, want 503 after one try", got.status, got.tries)
		}
	})
	t.Run("no timeout and no retriable code of the client's", func(t *testing.T) {
		a.answers(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(50 * time.Millisecond)
			w.WriteHeader(http.StatusBadRequest)
		})
		got := p.do("{}", append(sent, "x-order", "a,b")...)
		if got.status != http.StatusBadRequest || got.tries != "backend/a" {
			t.Errorf("%d after %q, want 400 after backend/a", got.status, got.tries)
		}
		for _, name := range got.seen {
			if i := index(sent, name); i >= 0 {
				t.Errorf("the gateway filter saw the client's %s", name)
			}
		}
		if got := a.last()["x-envoy-original-path"]; got != "" {
			t.Errorf("the backend saw x-envoy-original-path: %s", got)
		}
	})
	t.Run("the filter's are obeyed", func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		a.answers(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})
		got := p.do("{}", append(sent, "x-order", "a,b", "x-try-ms", "100")...)
		if got.status != 200 || got.tries != "backend/a backend/b" {
			t.Errorf("%d after %q, want 200 after backend/a backend/b", got.status, got.tries)
		}
		if diff := cmp.Diff(map[string]string{"x-try-ms": "100"}, b.last()); diff != "" {
			t.Errorf("headers at the second backend (-want +got):\n%s", diff)
		}
	})
}

// TestSource is who the gateway filter takes for the client.
func TestSource(t *testing.T) {
	backends := "backends: [{name: a, url: http://127.0.0.1:1}]\n"
	o := options(t)
	direct := render(t, parse(t, backends), o)
	behind := render(t, parse(t, backends+"identity: {trustedHops: 2}"), o)
	p := start(t, direct, o)
	for _, test := range []struct {
		name, forwarded string
		resources       *envoy.Resources
		want            string
	}{
		{"no proxy", "", direct, "127.0.0.1"},
		{"no proxy, a client that lies", "192.0.2.1", direct, "127.0.0.1"},
		{"two proxies", "192.0.2.1, 192.0.2.2", behind, "192.0.2.1"},
		{"two proxies, a client that lies", "192.0.2.9, 192.0.2.1, 192.0.2.2", behind, "192.0.2.1"},
		{"two proxies, one of them left out", "192.0.2.2", behind, "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, rejected := p.apply(envoy.Plan(direct, test.resources)); rejected != "" {
				t.Fatal(rejected)
			}
			got := p.do("{}", "x-forwarded-for", test.forwarded)
			if host, _, _ := strings.Cut(got.source, ":"); host != test.want {
				t.Errorf("source %q, want %s", got.source, test.want)
			}
		})
	}
}

// TestBodies sends the largest body there may be to two backends, of which the
// first refuses it, and one that Envoy itself has to refuse.
func TestBodies(t *testing.T) {
	a, b := serve(t, "a"), serve(t, "b")
	a.fails(http.StatusTooManyRequests)
	doc := parse(t, fmt.Sprintf(`
gateway: {maxBody: 8MiB}
backends: [{name: a, url: %q}, {name: b, url: %q}]`, a.URL, b.URL))
	o := options(t)
	p := start(t, render(t, doc, o), o)

	got := p.do(strings.Repeat("x", 8<<20), "x-order", "a,b")
	if got.status != 200 || got.tries != "backend/a backend/b" {
		t.Errorf("8 MiB: %d after %q", got.status, got.tries)
	}
	if a.sizes[0] != 8<<20 || b.sizes[0] != 8<<20 {
		t.Errorf("8 MiB: the backends read %d and %d bytes", a.sizes[0], b.sizes[0])
	}
	// The filter has room to be the one that refuses, and to hold an answer.
	if got := p.do(strings.Repeat("x", 10<<20), "x-order", "b"); got.status != 200 {
		t.Errorf("10 MiB: %d", got.status)
	}
	if got := p.do(strings.Repeat("x", 10<<20+1), "x-order", "b"); got.status != 413 {
		t.Errorf("more: %d, want 413", got.status)
	}
}

// TestHTTP2 speaks HTTP/2 without TLS to the gateway.
func TestHTTP2(t *testing.T) {
	a := serve(t, "a")
	o := options(t)
	p := start(t, render(t, parse(t, fmt.Sprintf("backends: [{name: a, url: %q}]", a.URL)), o), o)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	c := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	defer c.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodPost, p.url, strings.NewReader(strings.Repeat("x", 4<<20)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-order", "a")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.ProtoMajor != 2 || a.sizes[0] != 4<<20 {
		t.Errorf("%s %d, the backend read %d bytes", res.Proto, res.StatusCode, a.sizes[0])
	}
}

func index(pairs []string, name string) int {
	for i := 0; i < len(pairs); i += 2 {
		if strings.EqualFold(pairs[i], name) {
			return i
		}
	}
	return -1
}

// TestCredentials sends one request through three backends.
func TestCredentials(t *testing.T) {
	a, b, c := serve(t, "a"), serve(t, "b"), serve(t, "c")
	t.Setenv("KEY_A", "SECRET-A")
	t.Setenv("KEY_B", "SECRET-B")
	backends := fmt.Sprintf(`
backends:
  - {name: a, url: %q, credential: {env: KEY_A}}
  - {name: b, url: %q, credential: {env: KEY_B, header: X-Own-Key}}
  - {name: c, url: %q}
`, a.URL, b.URL, c.URL)
	o := options(t)
	before := render(t, parse(t, backends), o)
	p := start(t, before, o)
	client := []string{
		"x-order", "a,b,c",
		"authorization", "Bearer of-the-client",
		"api-key", "of-the-client",
		"ocp-apim-subscription-key", "of-the-client",
		"proxy-authorization", "Basic of-the-client",
		"x-api-key", "of-the-client",
		"x-goog-api-key", "of-the-client",
		"x-own-key", "of-the-client",
		"cookie", "of=the-client",
		"openai-organization", "of-the-client",
		"openai-project", "of-the-client",
		"accept-encoding", "gzip",
		"x-forwarded-for", "192.0.2.1",
		"x-forwarded-host", "of.the.client",
		"forwarded", "for=192.0.2.1",
		"x-real-ip", "192.0.2.1",
		"x-kept", "by all",
	}
	a.fails(http.StatusTooManyRequests)
	b.fails(http.StatusTooManyRequests)
	if got := p.do("{}", client...); got.status != 200 || got.body != "c" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for name, test := range map[string]struct {
		at   *provider
		want map[string]string
	}{
		"prefixed":      {a, map[string]string{"x-kept": "by all", "authorization": "Bearer SECRET-A"}},
		"plain":         {b, map[string]string{"x-kept": "by all", "x-own-key": "SECRET-B"}},
		"no credential": {c, map[string]string{"x-kept": "by all"}},
	} {
		if diff := cmp.Diff(test.want, test.at.last()); diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", name, diff)
		}
	}

	dump := p.admin("config_dump")
	if !strings.Contains(dump, "backend/a") || strings.Contains(dump, "SECRET-") {
		t.Error("the config dump is empty or holds a secret")
	}

	t.Run("rotation", func(t *testing.T) {
		t.Setenv("KEY_A", "SECRET-ROTATED")
		if _, rejected := p.apply(envoy.Plan(before, render(t, parse(t, backends), o))); rejected != "" {
			t.Fatal(rejected)
		}
		p.do("{}", client...)
		if got := a.last()["authorization"]; got != "Bearer SECRET-ROTATED" {
			t.Errorf("authorization: %s", got)
		}
	})
	if strings.Contains(p.log.String(), "SECRET-") {
		t.Error("Envoy's log holds a secret")
	}
}
