package scenarios

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/testenv/gateway"
	"github.com/tollgate/tollgate/testenv/mock"
)

// streams are answers that arrive event by event. A client sees, byte for byte,
// what it would see without a gateway.
var streams = []scenario{
	{"as direct", []step{stream{}}},
	{"as direct on the Azure surface", []step{stream{path: azureOnly}}},
	{"an OpenAI backend on the Azure surface", []step{stream{path: azurePath, at: chatPath}}},
	{"as direct, asked to leave usage out", []step{stream{options: `{"include_usage":false}`}}},
	{"as direct, with no stream options", []step{stream{options: `null`}}},
	{"as direct, with empty stream options", []step{stream{options: `{}`}}},
	{"as direct, with the usage asked for", []step{stream{options: `{"include_usage":true}`}}},
	{"as direct on the Azure surface, with the usage asked for", []step{stream{path: azureOnly, options: `{"include_usage":true}`}}},
	{"other stream options are kept", []step{
		stream{options: `{"include_obfuscation":false,"x":[1]}`},
		act(func(s *stage) {
			for _, want := range []string{`"include_obfuscation":false`, `"x":[1]`, `"include_usage":true`} {
				if got := string(s.arrivals()[0].Body); !strings.Contains(got, want) {
					s.t.Errorf("the backend has received %s, want %s in it", got, want)
				}
			}
		}),
	}},
	{"three choices", []step{stream{members: `"n":3`}}},
	{"completions", []step{stream{path: "/v1/completions"}}},
	{"cut into single bytes", []step{stream{fault: "split=1"}}},
	{"cut into one, two and seven bytes", []step{stream{fault: "split=1+2+7"}}},
	{"cut inside every event", []step{stream{fault: "split=50+3"}, stream{fault: "split=50+3", options: `{"include_usage":true}`}}},
	{"lines that end in CR LF", []step{stream{fault: "crlf"}, stream{fault: "crlf; split=1"}}},
	{"comments between events", []step{stream{fault: "comments", comments: true}}},
	{"usage before the choices", []step{stream{fault: "usage=first"}}},
	{"usage among the members", []step{stream{fault: "usage=middle; split=5"}}},
	{"padded against guessing", []step{stream{fault: "obfuscation"}}},
	{"an event that is not JSON", []step{act(malformed)}},
	{"with a length", []step{stream{fault: "length"}}},
	{"a gzip client", []step{
		stream{fault: "gzip", header: map[string]string{"accept-encoding": "gzip"}},
		call{limit: ample, fault: "gzip; tokens=7", header: map[string]string{"accept-encoding": "gzip, br"}},
	}},
	{"an answer of 2,000 events", []step{stream{fault: "tokens=2000"}}},

	{"settled by the usage of the stream", []step{
		stream{fault: "tokens=500"},
		call{limit: ample, fault: "tokens=1"},
	}},
	{"settled by the usage when the client asked for it", []step{
		stream{fault: "tokens=500", options: `{"include_usage":true}`},
		call{limit: ample, fault: "tokens=1"},
	}},
	{"no usage is settled by estimate", []step{
		call{limit: slow, body: chat(`"stream":true`), fault: "tokens=500; no-usage"},
		act(func(s *stage) { s.usedByEstimate(500) }),
	}},
	{"JSON without usage is settled by estimate", []step{
		call{limit: slow, fault: "tokens=500; no-usage", aside: true},
		act(func(s *stage) { s.usedByEstimate(500) }),
	}},

	{"each event arrives while the next is held", []step{act(incremental)}},
	{"a client that leaves is settled", []step{act(clientLeaves)}},
	{"a client that leaves before the answer is settled", []step{act(clientLeavesEarly)}},
	{"a stream that breaks is broken for the client", []step{act(brokenStream)}},
	{"a stream that ends early is ended for the client", []step{act(cutStream)}},
}

// stream is a streamed call whose answer must be, byte for byte, that of the
// backend asked directly; its usage counts towards the scenario's account.
type stream struct {
	path    string
	options string // stream_options; "" leaves them out
	members string // further members of the request
	fault   string
	header  map[string]string

	at        string // the backend's own path; default: path
	comments  bool   // the stream has comments, which do not count
	noAccount bool   // the stream tells no usage to the gateway
}

func (w stream) play(s *stage) {
	s.t.Helper()
	c := call{path: w.path, limit: ample, body: w.body(w.options), fault: w.fault, header: w.header}
	before := s.used
	c.also = func(s *stage, a *answer) {
		s.t.Helper()
		got, want := a.body, s.direct(c, w.at)
		if w.comments {
			got, want = strings.ReplaceAll(got, ": keep-alive\n\n", ""), strings.ReplaceAll(want, ": keep-alive\n\n", "")
		}
		if got != want {
			s.t.Errorf("%s", difference(got, want))
		}
		if !w.noAccount {
			s.used = before + s.usage(w)
		}
	}
	c.play(s)
}

func (w stream) body(options string) string {
	members := []string{`"stream":true`}
	if options != "" {
		members = append(members, `"stream_options":`+options)
	}
	if w.members != "" {
		members = append(members, w.members)
	}
	if w.path == "/v1/completions" {
		return `{"model":"gpt-4o","prompt":"Once",` + strings.Join(members, ",") + `}`
	}
	return chat(members...)
}

// direct is the answer of backend A to the same call without a gateway, at the
// same path or another.
func (s *stage) direct(c call, at string) string {
	s.t.Helper()
	c.path = or(at, c.path)
	req := c.request(s)
	req.URL.Host = s.backends["A"].Addr()
	a, err := s.try(http.DefaultClient, req)
	if err != nil {
		s.t.Fatal(err)
	}
	return a.body
}

// usage is what the backend, asked directly, reports for a stream.
func (s *stage) usage(w stream) int {
	s.t.Helper()
	plain := strings.ReplaceAll(w.fault, "gzip", "")
	text := s.direct(call{path: w.path, body: w.body(`{"include_usage":true}`), fault: plain}, w.at)
	const member = `"total_tokens":`
	var total int
	if _, err := fmt.Sscanf(text[strings.LastIndex(text, member)+len(member):], "%d", &total); err != nil {
		s.t.Fatalf("a direct stream without usage: %v", err)
	}
	return total
}

// difference shows where two texts part.
func difference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	around := func(s string) string { return s[max(0, i-100):min(len(s), i+200)] }
	return fmt.Sprintf("%d bytes, want %d; they part at byte %d:\n%q\nwant\n%q", len(got), len(want), i, around(got), around(want))
}

// slow is the limit of scenarios that look at what is missing from a bucket: 20
// tokens come back in a second.
const slow = 1200

// usedByEstimate wants what has been taken so far to be near the truth, which
// nobody has reported. A client that has left is not told when it was settled,
// so the account has a moment to come right.
func (s *stage) usedByEstimate(truth int) {
	s.t.Helper()
	gateway.Eventually(s.t, 2*time.Second, fmt.Sprintf("settled by about %d tokens", truth), func() bool {
		taken := s.taken()
		return taken >= truth/2 && taken <= truth*2
	})
}

// taken is what is missing from a slow bucket, but for what asking costs.
func (s *stage) taken() int {
	s.t.Helper()
	a := s.send(call{limit: slow, fault: "tokens=1"})
	remaining, err := strconv.Atoi(a.header.Get("remaining-tokens"))
	consumed, err2 := strconv.Atoi(a.header.Get("consumed-tokens"))
	if a.status != http.StatusOK || err != nil || err2 != nil {
		s.t.Fatalf("want an answer with its account\n%s", a)
	}
	s.used += consumed
	return slow - remaining - s.used
}

// malformed has the backend break off in the middle of an event. What cannot be
// read is passed on as it is.
func malformed(s *stage) {
	c := call{limit: ample, body: chat(`"stream":true`), fault: "malformed"}
	a := s.send(c)
	c.body = chat(`"stream":true`, `"stream_options":{"include_usage":true}`)
	var want strings.Builder
	for event := range strings.SplitAfterSeq(s.direct(c, ""), "\n\n") {
		if !strings.Contains(event, `"choices":[]`) {
			want.WriteString(strings.Replace(event, `,"usage":null`, "", 1))
		}
	}
	if a.body != want.String() {
		s.t.Error(difference(a.body, want.String()))
	}
}

// incremental holds the backend after each of the first events until the client
// has read it.
func incremental(s *stage) {
	body := chat(`"stream":true`)
	for after := 1; after <= 3; after++ {
		name, gate := s.gate("A")
		res := s.open(call{limit: ample, body: body, fault: fmt.Sprintf("tokens=50; hold=%s; hold-after=%d", name, after)})
		in := bufio.NewReader(res.Body)
		for range after {
			readEvent(s, in)
		}
		gate.Open()
		rest, err := io.ReadAll(in)
		if err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
			s.t.Errorf("after %d events: the rest is %q (%v)", after, rest, err)
		}
		res.Body.Close()
	}
}

// clientLeaves reads some events and goes.
func clientLeaves(s *stage) {
	name, _ := s.gate("A")
	res := s.open(call{limit: slow, body: chat(`"stream":true`), fault: "tokens=500; hold=" + name + "; hold-after=200"})
	in := bufio.NewReader(res.Body)
	for range 200 {
		readEvent(s, in)
	}
	res.Body.Close()
	s.awaitEnd("A", mock.Gone)
	s.usedByEstimate(200)
}

// clientLeavesEarly goes while the backend is still thinking.
func clientLeavesEarly(s *stage) {
	name, gate := s.gate("A")
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	go func() {
		defer cancel()
		if err := gate.Await(ctx, 1); err != nil {
			s.t.Errorf("the request has not reached the backend: %v", err)
		}
	}()
	req := call{limit: slow, fault: "hold=" + name}.request(s).WithContext(ctx)
	if res, err := s.client.Do(req); err == nil {
		s.t.Fatalf("answered with %d while the backend was held", res.StatusCode)
	}
	s.awaitEnd("A", mock.Gone)
	if taken := s.taken(); taken < 0 || taken > 50 {
		s.t.Errorf("%d tokens are missing", taken)
	}
}

// brokenStream has the backend reset its connection in the middle.
func brokenStream(s *stage) {
	name, gate := s.gate("A")
	res := s.open(call{limit: slow, body: chat(`"stream":true`), fault: "tokens=500; reset-after=200; hold=" + name + "; hold-after=199"})
	in := bufio.NewReader(res.Body)
	for range 199 {
		readEvent(s, in)
	}
	gate.Open()
	got, err := io.ReadAll(in)
	if err == nil {
		s.t.Errorf("the client has seen a stream that ends well: …%q", got[max(0, len(got)-100):])
	}
	if strings.Contains(string(got), "[DONE]") {
		s.t.Error("the gateway has made up an end")
	}
	s.usedByEstimate(200)
}

// cutStream has the backend close its connection in the middle.
func cutStream(s *stage) {
	res := s.open(call{limit: slow, body: chat(`"stream":true`), fault: "tokens=500; cut=50000"})
	if got, err := io.ReadAll(res.Body); err == nil {
		s.t.Errorf("the client has seen a stream that ends well: …%q", got[max(0, len(got)-100):])
	}
	s.usedByEstimate(200)
}

// readEvent reads up to the empty line after an event.
func readEvent(s *stage, in *bufio.Reader) string {
	s.t.Helper()
	var event strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			s.t.Fatalf("in an event: %v", err)
		}
		event.WriteString(line)
		if strings.TrimRight(line, "\r\n") == "" {
			return event.String()
		}
	}
}

func (s *stage) awaitEnd(backend string, end mock.End) {
	s.t.Helper()
	s.await(backend, "a request that ended as "+string(end), func(all []mock.Request) bool {
		return len(all) > 0 && all[len(all)-1].End == end
	})
}
