package scenarios

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tollgate/tollgate/testenv/mock"
)

// call is a request, and what its client and the backends must see. The zero
// value is a chat completion on the OpenAI surface that is answered.
//
// Whatever else a call says, an answer's consumed-tokens must be the usage it
// reports, and its remaining-tokens what all answers of the scenario leave of
// the limit.
type call struct {
	method string // default POST
	path   string // default /v1/chat/completions
	body   string // default a short chat completion for gpt-4o

	// key goes into the header api-key. Default: that of the scenario's own
	// subscription; "another": that of a second one; "none": no key.
	key string

	// limit goes into x-tokens-per-minute. Default 0: the header is not sent,
	// which means 1000.
	limit  int
	header map[string]string

	// fault is what the backends do with the request, in the words of
	// mock.FaultHeader.
	fault string

	// chunked sends the body without its length.
	chunked bool

	status int // default 200

	// want are the response's headers: an exact value, "" for absent, or a
	// pattern between slashes.
	want map[string]string

	// says is the whole body, with $WAIT for the retry-after it came with.
	says string

	// reached are the backends that must have received the request, in order.
	// Default: A for a 200, else none.
	reached []string

	// checkedAgainst is the limit that the account is held against. Default:
	// limit.
	checkedAgainst int

	// large says that the answer is too large for its headers to wait for its
	// usage.
	large bool

	// aside says that the call is no part of the scenario's account.
	aside bool

	// backendsOwn says that the error is the backend's, passed on as it is.
	backendsOwn bool

	// also looks at what the fields cannot say.
	also func(*stage, *answer)
}

// answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   string
}

const (
	chatPath  = "/v1/chat/completions"
	azurePath = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
	azureV1   = "/openai/v1/chat/completions"

	// azureOnly is answered by an Azure backend, so that nothing is adapted.
	azureOnly = "/openai/deployments/gpt-4o-azure/chat/completions?api-version=2024-10-21"

	defaultLimit = 1000    // where x-tokens-per-minute is not sent
	ample        = 100_000 // for scenarios that are not about a limit
)

// chat is a chat completion for gpt-4o with further members, as in
// `"stream":true`.
func chat(members ...string) string { return chatFor("gpt-4o", members...) }

func chatFor(model string, members ...string) string {
	return ask(model, "Say hello.", members...)
}

func ask(model, prompt string, members ...string) string {
	more := ""
	for _, m := range members {
		more += "," + m
	}
	return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]%s}`, model, prompt, more)
}

func (c call) play(s *stage) {
	s.t.Helper()
	before := s.received()
	a := s.send(c)
	c.check(s, a, s.received()[len(before):])
}

func (c call) check(s *stage, a *answer, reached []string) {
	t := s.t
	t.Helper()
	if want := or(c.status, http.StatusOK); a.status != want {
		t.Fatalf("status %d, want %d\n%s", a.status, want, a)
	}
	for name, want := range c.want {
		if err := matches(a.header, name, want); err != nil {
			t.Errorf("%v\n%s", err, a)
		}
	}
	if c.says != "" {
		want := strings.ReplaceAll(c.says, "$WAIT", a.header.Get("retry-after"))
		if a.body != want {
			t.Errorf("body\n%s\nwant\n%s", a.body, want)
		}
	}
	want := c.reached
	if want == nil && a.status == http.StatusOK {
		want = []string{"A"}
	}
	if !slices.Equal(reached, want) {
		t.Errorf("backends reached %v, want %v", reached, want)
	}
	if a.status == http.StatusOK && !c.aside {
		c.checkAccount(s, a)
	} else if a.status != http.StatusOK && !c.backendsOwn {
		c.checkError(t, a)
	}
	if c.also != nil {
		c.also(s, a)
	}
}

// checkAccount compares the token headers with the usage in the body. A stream
// and a large answer have gone out with their reservation.
func (c call) checkAccount(s *stage, a *answer) {
	s.t.Helper()
	streamed := strings.HasPrefix(a.header.Get("content-type"), "text/event-stream")
	var body struct {
		Usage *struct {
			Total int `json:"total_tokens"`
		} `json:"usage"`
	}
	limit := or(c.checkedAgainst, or(c.limit, defaultLimit))
	if c.large || streamed {
		reservation, err := strconv.Atoi(a.header.Get("consumed-tokens"))
		if err != nil || reservation < 1 {
			s.t.Errorf("consumed-tokens: want the reservation\n%s", a)
		}
		s.checkRemaining(a, "remaining-tokens", limit, s.used+reservation)
	}
	err := json.Unmarshal([]byte(a.body), &body)
	switch {
	case streamed:
		return // it is for the scenario to say what was used
	case err != nil || body.Usage == nil:
		s.t.Errorf("an answer without usage (%v)\n%s", err, a)
		return
	}
	s.used += body.Usage.Total
	if c.large {
		return
	}
	if err := matches(a.header, "consumed-tokens", strconv.Itoa(body.Usage.Total)); err != nil {
		s.t.Errorf("%v, the usage of the answer\n%s", err, a)
	}
	s.checkRemaining(a, "remaining-tokens", limit, s.used)
}

// checkRemaining holds a header against its limit less what has been used, and
// what has come back since the scenario's first call.
func (s *stage) checkRemaining(a *answer, name string, limit, used int) {
	s.t.Helper()
	remaining, err := strconv.Atoi(a.header.Get(name))
	refill := int(math.Ceil(time.Since(s.began).Minutes() * float64(limit)))
	least := max(0, limit-used) // a debt is not shown
	most := max(0, min(limit, limit-used+refill))
	if err != nil || remaining < least || remaining > most {
		s.t.Errorf("%s: %q, want %d to %d\n%s", name, a.header.Get(name), least, most, a)
	}
}

// checkError wants the shape that the SDK of the path's surface parses.
func (c call) checkError(t testing.TB, a *answer) {
	t.Helper()
	if c.method == http.MethodHead {
		return
	}
	if got := a.header.Get("content-type"); got != "application/json" {
		t.Errorf("content-type of an error: %q", got)
	}
	want := []string{"code", "message", "param", "type"}
	if strings.HasPrefix(c.path, "/openai/") {
		want = []string{"code", "message"}
	}
	var body struct{ Error map[string]any }
	dec := json.NewDecoder(strings.NewReader(a.body))
	if err := dec.Decode(&body); err != nil || dec.More() || !slices.Equal(keys(body.Error), want) {
		t.Errorf("error %s, want an object with %v (%v)", a.body, want, err)
	}
}

// request is what the call sends.
func (c call) request(s *stage) *http.Request {
	body := c.body
	method := or(c.method, http.MethodPost)
	if body == "" && method == http.MethodPost {
		body = chat()
	}
	var payload io.Reader
	if body != "" && body != "-" {
		payload = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.gateway.URL+or(c.path, chatPath), payload)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("content-type", "application/json")
	switch c.key {
	case "none":
	case "another":
		req.Header.Set("api-key", s.another)
	default:
		req.Header.Set("api-key", or(c.key, s.key))
	}
	if c.limit > 0 {
		req.Header.Set("x-tokens-per-minute", strconv.Itoa(c.limit))
	}
	if c.fault != "" {
		req.Header.Set(mock.FaultHeader, c.fault)
	}
	if c.chunked {
		req.ContentLength = -1
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	return req
}

// send sends the call and reads its answer to the end.
func (s *stage) send(c call) *answer {
	s.t.Helper()
	a, err := s.try(s.client, c.request(s))
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// try is send for a goroutine of its own, which may not end the test.
func (s *stage) try(client *http.Client, req *http.Request) (*answer, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	return read(res)
}

// read reads a response to its end.
func read(res *http.Response) (*answer, error) {
	defer res.Body.Close()
	in := io.Reader(res.Body)
	if res.Header.Get("content-encoding") == "gzip" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = z
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("body after %d bytes: %w", len(body), err)
	}
	return &answer{status: res.StatusCode, header: res.Header, body: string(body)}, nil
}

// String is the answer for a failure's message.
func (a *answer) String() string {
	var b bytes.Buffer
	fmt.Fprintln(&b, a.status)
	a.header.Write(&b)
	b.WriteString("\n" + a.body[:min(len(a.body), 400)])
	return b.String()
}

// matches compares a header with what a call wants of it.
func matches(header http.Header, name, want string) error {
	values := header.Values(name)
	switch {
	case want == "" && len(values) == 0:
		return nil
	case len(values) != 1:
		return fmt.Errorf("header %s: %q, want %q", name, values, want)
	case strings.HasPrefix(want, "/"):
		if !regexp.MustCompile("^(?:" + strings.Trim(want, "/") + ")$").MatchString(values[0]) {
			return fmt.Errorf("header %s: %q, want a match of %s", name, values[0], want)
		}
	case values[0] != want:
		return fmt.Errorf("header %s: %q, want %q", name, values[0], want)
	}
	return nil
}

// or is v, or what stands for its zero value.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func keys(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
