package scenarios

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tollgate/tollgate/testenv/gateway"
)

// limits are what a token limit does to one caller.
var limits = []scenario{
	{"answered on the OpenAI surface", []step{
		call{limit: 100, want: map[string]string{
			"x-ratelimit-limit-tokens":     "100",
			"x-ratelimit-remaining-tokens": "/[0-9]+/",
			"x-ratelimit-reset-tokens":     "/[0-9.hms]+/",
			"x-tollgate-clamped":           "",
			"retry-after":                  "",
		}},
	}},
	{"answered on the Azure surface", []step{call{path: azurePath, limit: 100}}},
	{"answered on the Azure v1 surface", []step{call{path: azureV1, limit: 100}}},
	{"answered by an alias", []step{call{body: chatFor("gpt-4o-2024-08-06")}}},
	{"the default of the header", []step{
		call{want: map[string]string{"x-ratelimit-limit-tokens": "1000"}},
	}},

	{"refused on the OpenAI surface", []step{
		call{limit: 100, fault: "tokens=100"},
		call{limit: 100, status: 429, want: refused, says: `{"error":{"message":"Rate limit reached for tokens per minute, limit 'per-caller'. Please try again in $WAITs.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`, also: waits},
	}},
	{"refused on the Azure surface", []step{
		call{path: azurePath, limit: 100, fault: "tokens=100"},
		call{path: azurePath, limit: 100, status: 429, want: refused, says: `{"error":{"code":"429","message":"Rate limit reached for tokens per minute, limit 'per-caller'. Please try again in $WAITs."}}`, also: waits},
	}},
	{"a refusal takes nothing", []step{
		call{limit: 100, fault: "tokens=80"},
		call{limit: 100, body: ask("gpt-4o", strings.Repeat("word ", 40)), status: 429},
		call{limit: 100, body: ask("gpt-4o", strings.Repeat("word ", 40)), status: 429},
		call{limit: 100, body: ask("gpt-4o", "a"), fault: "tokens=1"},
	}},
	{"both surfaces share a bucket", []step{
		call{limit: 100, fault: "tokens=100"},
		call{path: azurePath, limit: 100, status: 429},
	}},
	{"callers do not share a bucket", []step{
		call{limit: 100, fault: "tokens=100", key: "another", aside: true},
		call{limit: 100},
	}},

	{"the header above its maximum", []step{
		call{limit: 1_000_000_000, checkedAgainst: 100_000_000, want: map[string]string{
			"x-ratelimit-limit-tokens": "100000000", "x-tollgate-clamped": "x-tokens-per-minute=100000000",
		}},
	}},
	{"the header below its minimum", []step{
		call{limit: 1, body: ask("gpt-4o", "a"), fault: "tokens=1", checkedAgainst: 10, want: map[string]string{
			"x-ratelimit-limit-tokens": "10", "x-tollgate-clamped": "x-tokens-per-minute=10",
		}},
	}},
	{"the header beyond all numbers", []step{
		call{header: rate("99999999999999999999999"), checkedAgainst: 100_000_000, want: map[string]string{"x-ratelimit-limit-tokens": "100000000"}},
	}},
	{"the header below nothing", []step{
		call{header: rate("-5"), body: ask("gpt-4o", "a"), fault: "tokens=1", checkedAgainst: 10, want: map[string]string{"x-ratelimit-limit-tokens": "10"}},
	}},
	{"the header is not a number", []step{
		call{header: rate("plenty"), want: map[string]string{"x-ratelimit-limit-tokens": "1000", "x-tollgate-clamped": ""}},
	}},
	{"the header is not a whole number", []step{
		call{header: rate("500.5"), want: map[string]string{"x-ratelimit-limit-tokens": "1000"}},
	}},
	{"the header is empty", []step{call{header: rate("")}}},
	{"clamped and refused", []step{
		call{limit: 1, body: ask("gpt-4o", strings.Repeat("word ", 100)), status: 429, want: map[string]string{"x-tollgate-clamped": "x-tokens-per-minute=10"}},
	}},

	{"settlement gives back what was not used", []step{
		// The reservation counts the prompt's bytes, the backend its tokens: a
		// long word of one letter is far cheaper than it looks.
		call{limit: 10_000, body: ask("gpt-4o", strings.Repeat(" hello", 1000)), fault: "tokens=1"},
		call{limit: 10_000, fault: "tokens=1"},
	}},
	{"settlement takes what was used beyond the reservation", []step{
		call{limit: 10_000, fault: "tokens=5000"},
		call{limit: 10_000, fault: "tokens=1"},
	}},
	{"a backend's error costs nothing", []step{
		call{limit: 100, fault: "400", status: 400, reached: []string{"A"}, backendsOwn: true},
		call{limit: 100, fault: "tokens=1"},
	}},
	{"a refused connection costs nothing", []step{
		act(func(s *stage) { s.refuse("A") }),
		call{limit: 100, status: 503},
		act(func(s *stage) { s.accept("A") }),
		call{limit: 100, fault: "tokens=1"},
	}},
	{"a request that can never fit", []step{
		call{
			limit: 100, body: ask("gpt-4o", strings.Repeat("word ", 1000)), status: 429,
			want: map[string]string{"x-should-retry": "false", "retry-after": "", "retry-after-ms": ""},
			also: func(s *stage, a *answer) {
				if !strings.Contains(a.body, "limit 'per-caller': limit 100, requested ") {
					s.t.Errorf("the error does not say what was asked of what\n%s", a)
				}
			},
		},
		call{limit: 100, fault: "tokens=1"},
	}},
	{"a request that can never fit, on the Azure surface", []step{
		call{
			limit: 100, path: azurePath, body: ask("gpt-4o", strings.Repeat("word ", 1000)), status: 429,
			want: map[string]string{"x-should-retry": "false", "retry-after": "", "retry-after-ms": ""},
		},
	}},
	{"the wait is enough", []step{
		// 600 a minute are 10 a second.
		call{limit: 600, fault: "tokens=600"},
		act(func(s *stage) {
			a := s.send(call{limit: 600})
			ms, err := strconv.Atoi(a.header.Get("retry-after-ms"))
			if a.status != http.StatusTooManyRequests || err != nil {
				s.t.Fatalf("want a refusal with a wait\n%s", a)
			}
			time.Sleep(time.Duration(ms) * time.Millisecond) // as a client does
			if a := s.send(call{limit: 600}); a.status != http.StatusOK {
				s.t.Errorf("refused after waiting %d ms\n%s", ms, a)
			}
		}),
	}},
	{"exactly as many as fit", []step{act(crowd)}},
}

// refused are the headers of a 429.
var refused = map[string]string{
	"retry-after":      "/[0-9]+/",
	"retry-after-ms":   "/[0-9]+/",
	"x-should-retry":   "",
	"remaining-tokens": "0",
}

// waits holds the two headers of a wait against each other: seconds are rounded
// up.
func waits(s *stage, a *answer) {
	ms, _ := strconv.Atoi(a.header.Get("retry-after-ms"))
	if want := strconv.Itoa((ms + 999) / 1000); a.header.Get("retry-after") != want {
		s.t.Errorf("retry-after %s for %d ms, want %s", a.header.Get("retry-after"), ms, want)
	}
}

// crowd sends 200 clients at once against a limit of 20 reservations, and lets
// the backend answer none before all have been decided.
func crowd(s *stage) {
	const clients, fit = 200, 20
	body := ask("gpt-4o", strings.Repeat("word ", 200), `"stream":true`)
	reservation := s.reservation(body)
	// A tenth of a reservation is left over, so that nothing hangs on rounding.
	limit := fit*reservation + reservation/10

	name, gate := s.gate("A")
	var refused atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range clients {
		all.Go(func() {
			a, err := s.try(s.client, call{limit: limit, body: body, fault: "hold=" + name}.request(s))
			switch {
			case err != nil:
				s.t.Error(err)
			case a.status == http.StatusTooManyRequests:
				refused.Add(1)
			case a.status != http.StatusOK:
				s.t.Errorf("neither answered nor refused\n%s", a)
			}
		})
	}
	gateway.Eventually(s.t, 20*time.Second, "all are decided", func() bool {
		return gate.Arrived()+int(refused.Load()) >= clients
	})
	took := time.Since(began)
	gate.Open()
	all.Wait()
	if passed := gate.Arrived(); passed != fit {
		s.t.Errorf("%d of %d have passed, want %d", passed, clients, fit)
	}
	if refill := took.Minutes() * float64(limit); refill > 0.9*float64(reservation) {
		s.t.Errorf("all were decided after %v, in which %.0f tokens came back: it proves nothing", took, refill)
	}
}

// reservation is what a streamed request is charged before its usage is known:
// the consumed-tokens in its headers, for a caller with room to spare.
func (s *stage) reservation(body string) int {
	s.t.Helper()
	a := s.send(call{key: "new", limit: 100_000_000, body: body, fault: "tokens=1"})
	n, err := strconv.Atoi(a.header.Get("consumed-tokens"))
	if err != nil || n == 0 {
		s.t.Fatalf("a stream without its reservation\n%s", a)
	}
	return n
}

// severalLimits are six limits on one request. Those per caller and per team,
// which a header names, share their headers; the others have their own.
var severalLimits = []scenario{
	{"the tightest is reported", []step{
		call{limit: 1000, header: team("red", 100), checkedAgainst: 100, want: map[string]string{
			"x-ratelimit-limit-tokens": "100",
		}, also: func(s *stage, a *answer) {
			if err := matches(a.header, "model-consumed-tokens", strconv.Itoa(s.used)); err != nil {
				s.t.Error(err)
			}
			s.checkRemaining(a, "model-remaining-tokens", 5000, s.used)
		}},
	}},
	{"each under its own key", []step{
		call{path: chatPath + "?user=ann", fault: "tokens=100"},
		call{path: azurePath + "&user=bob", fault: "tokens=200"},
		call{path: chatPath + "?user=ann", fault: "tokens=300", also: func(s *stage, a *answer) {
			const prompt = 10
			ann, bob := 100+300+2*prompt, 200+prompt
			s.checkRemaining(a, "user-remaining-tokens", 5000, ann)
			s.checkRemaining(a, "api-remaining-tokens", 5000, ann)
			s.checkRemaining(a, "source-remaining-tokens", 5000, ann) // the deployment differs
			s.checkRemaining(a, "model-remaining-tokens", 5000, ann+bob)
		}},
	}},
	{"all or nothing", []step{
		call{limit: 1000, header: team("blue", 100), fault: "tokens=60", checkedAgainst: 100},
		// The team's bucket has too little left: those of the caller and the
		// model must not be touched.
		call{limit: 1000, header: team("blue", 100), body: ask("gpt-4o", strings.Repeat("word ", 50)), status: 429},
		call{limit: 1000, header: team("blue", 100), body: ask("gpt-4o", strings.Repeat("word ", 50)), status: 429},
		call{limit: 1000, header: team("green", 100_000), fault: "tokens=1"},
		call{limit: 1000, header: team("green", 100_000), fault: "tokens=1", also: func(s *stage, a *answer) {
			s.checkRemaining(a, "model-remaining-tokens", 5000, s.used)
		}},
		act(func(s *stage) {
			a := s.send(call{limit: 1000, header: team("blue", 100), body: ask("gpt-4o", strings.Repeat("word ", 50))})
			if a.status != http.StatusTooManyRequests || !strings.Contains(a.body, "'per-team'") {
				s.t.Errorf("the refusal names another limit than the one that refused\n%s", a)
			}
		}),
	}},
}

// unreserved are limits that take nothing before the usage is known.
var unreserved = []scenario{
	{"a prompt beyond the limit passes, and is charged", []step{
		call{body: ask("gpt-4o", strings.Repeat("word ", 3000))},
		call{status: 429, want: refused},
	}},
}

func rate(header string) map[string]string { return map[string]string{"x-tokens-per-minute": header} }

func team(name string, limit int) map[string]string {
	return map[string]string{"x-team": name, "x-team-tokens-per-minute": fmt.Sprint(limit)}
}
