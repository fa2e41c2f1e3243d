package mock

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	hello  = `{"model":"gpt-4o","messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":"Tell me a joke."}]}`
	openAI = "/v1/chat/completions"
	azure  = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// with is a request body with more members.
func with(body, members string) string {
	return strings.TrimSuffix(body, "}") + "," + members + "}"
}

type got struct {
	status int
	header http.Header
	body   string
}

func post(t *testing.T, url, body string, headers ...string) got {
	t.Helper()
	g, err := try(t.Context(), http.DefaultClient, url, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func try(ctx context.Context, c *http.Client, url, body string, headers ...string) (got, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return got{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := c.Do(r)
	if err != nil {
		return got{}, err
	}
	defer func() { _ = a.Body.Close() }()
	b, err := io.ReadAll(a.Body)
	return got{a.StatusCode, a.Header, string(b)}, err
}

type answered struct {
	ID      string
	Created int
	Choices []struct {
		Text         string
		FinishReason string `json:"finish_reason"`
		Message      struct{ Content string }
		Delta        struct{ Content string }
	}
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
		TotalTokens      int `json:"total_tokens"`
	}
}

func decode(t *testing.T, body string) answered {
	t.Helper()
	var a answered
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return a
}

// data are the events of a stream without their framing.
func data(t *testing.T, body string) []string {
	t.Helper()
	var out []string
	for e := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		d, ok := strings.CutPrefix(e, "data: ")
		if !ok || strings.Contains(d, "\n") {
			t.Fatalf("not an event of one data line: %q", e)
		}
		out = append(out, d)
	}
	return out
}

func equal[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

var questions = map[string]struct{ path, body string }{
	"openai chat":           {openAI, hello},
	"openai several":        {openAI, with(hello, `"n":3`)},
	"openai cut short":      {openAI, with(hello, `"max_tokens":5`)},
	"openai completions":    {"/v1/completions", `{"model":"gpt-4o","prompt":"Once upon"}`},
	"openai parts":          {openAI, `{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}}]}]}`},
	"azure chat":            {azure, hello},
	"azure without a model": {azure, `{"messages":[{"role":"user","content":"hi"}]}`},
	"azure v1":              {"/openai/v1/chat/completions", hello},
}

func TestUsageInAStreamChangesNothingElse(t *testing.T) {
	s := start(t, Options{})
	for name, q := range questions {
		t.Run(name, func(t *testing.T) {
			off := post(t, s.URL()+q.path, with(q.body, `"stream":true`)).body
			on := data(t, post(t, s.URL()+q.path, with(q.body, `"stream":true,"stream_options":{"include_usage":true}`)).body)
			if strings.Contains(off, `,"usage":`) {
				t.Errorf("usage without having been asked for: %s", off)
			}

			// What a gateway has to do to hide the usage again.
			last := on[len(on)-2]
			u := decode(t, last)
			if u.Usage == nil || len(u.Choices) != 0 || on[len(on)-1] != "[DONE]" {
				t.Fatalf("no usage chunk before the end: %s", last)
			}
			var hidden strings.Builder
			for i, d := range append(on[:len(on)-2:len(on)-2], "[DONE]") {
				plain, ok := strings.CutSuffix(d, `,"usage":null}`)
				if ok {
					plain += "}"
				} else if d != "[DONE]" && (i > 0 || !strings.Contains(d, "prompt_filter_results")) {
					t.Errorf("chunk %d does not end with a null usage: %s", i, d)
				}
				hidden.WriteString("data: " + plain + "\n\n")
			}
			if hidden.String() != off {
				t.Errorf("with usage hidden:\n%s\nwithout:\n%s", hidden.String(), off)
			}
		})
	}
}

func TestAStreamSaysWhatTheJSONSays(t *testing.T) {
	s := start(t, Options{})
	for name, q := range questions {
		t.Run(name, func(t *testing.T) {
			first := post(t, s.URL()+q.path, q.body)
			if again := post(t, s.URL()+q.path, q.body); again.body != first.body {
				t.Errorf("same request, two answers:\n%s\n%s", first.body, again.body)
			}
			whole := decode(t, first.body)
			events := data(t, post(t, s.URL()+q.path, with(q.body, `"stream":true,"stream_options":{"include_usage":true}`)).body)
			want, heard := "", ""
			for _, c := range whole.Choices {
				want += c.Text + c.Message.Content
			}
			for _, d := range events[:len(events)-1] {
				for _, c := range decode(t, d).Choices {
					heard += c.Text + c.Delta.Content
				}
			}
			if heard != want {
				t.Errorf("stream says %q, JSON %q", heard, want)
			}
			streamed := decode(t, events[len(events)-2])
			if streamed.ID != whole.ID || streamed.Created != whole.Created || *streamed.Usage != *whole.Usage {
				t.Errorf("stream %+v, JSON %+v", streamed, whole)
			}
		})
	}
}

func TestTokensAreCounted(t *testing.T) {
	s := start(t, Options{})
	tests := map[string]struct {
		path, body         string
		prompt, completion int // completion −1: count the answer
		finish             string
	}{
		// The example of OpenAI's cookbook counts 22 for these two messages.
		"messages":      {openAI, hello, 22, -1, "stop"},
		"a name":        {openAI, `{"model":"m","messages":[{"role":"user","name":"ann","content":"Tell me a joke."}]}`, 3 + 3 + 1 + 1 + 1 + 5, -1, "stop"},
		"no content":    {openAI, `{"model":"m","messages":[{"role":"user","content":null}]}`, 7, -1, "stop"},
		"special text":  {openAI, `{"model":"m","messages":[{"role":"user","content":"<|endoftext|>"}]}`, 7 + 7, -1, "stop"},
		"max_tokens":    {openAI, with(hello, `"max_tokens":3`), 22, 3, "length"},
		"the lower one": {openAI, with(hello, `"max_tokens":9,"max_completion_tokens":4`), 22, 4, "length"},
		"prompt":        {"/v1/completions", `{"model":"m","prompt":["Tell me a joke.",""]}`, 5, -1, "stop"},
		"token ids":     {"/v1/completions", `{"model":"m","prompt":[1,2,3]}`, 3, -1, "stop"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := decode(t, post(t, s.URL()+tt.path, tt.body).body)
			c := a.Choices[0]
			if tt.completion < 0 {
				tt.completion = CountTokens(c.Text + c.Message.Content)
			}
			if a.Usage.PromptTokens != tt.prompt || a.Usage.CompletionTokens != tt.completion ||
				a.Usage.TotalTokens != tt.prompt+tt.completion || c.FinishReason != tt.finish {
				t.Errorf("got %+v %s, want %d + %d, %s", *a.Usage, c.FinishReason, tt.prompt, tt.completion, tt.finish)
			}
		})
	}
}

func TestLongTextsAreCountedInBoundedTime(t *testing.T) {
	run := strings.Repeat("a", 8<<20) // a single word, the encoder's worst case
	n := CountTokens(run)
	if want := len(run) / 8; n < want*9/10 || n > want*11/10 {
		t.Errorf("got %d, want about %d", n, want)
	}
}

func TestRefusals(t *testing.T) {
	s := start(t, Options{Key: "secret", Models: []string{"gpt-4o"}})
	const message = `"messages":[{"role":"user","content":"x"}]`
	tests := map[string]struct {
		path, body, header, value string
		status                    int
		want                      string
	}{
		"no key":          {openAI, hello, "x", "", 401, `{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`},
		"azure's way":     {openAI, hello, "api-key", "secret", 401, `{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`},
		"azure, no key":   {azure, hello, "x", "", 401, `{"error":{"code":"401","message":"Incorrect API key provided."}}`},
		"no such model":   {openAI, `{"model":"other",` + message + `}`, "authorization", "Bearer secret", 404, "{\"error\":{\"message\":\"The model `other` does not exist or you do not have access to it.\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"model_not_found\"}}"},
		"no deployment":   {"/openai/deployments/x/chat/completions?api-version=1", hello, "api-key", "secret", 404, `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."}}`},
		"no api-version":  {"/openai/deployments/gpt-4o/chat/completions", hello, "api-key", "secret", 404, `{"error":{"code":"404","message":"Resource not found"}}`},
		"no such path":    {"/v1/x", hello, "authorization", "Bearer secret", 404, `{"error":{"message":"Invalid URL (POST /v1/x)","type":"invalid_request_error","param":null,"code":"unknown_url"}}`},
		"not JSON":        {openAI, `{`, "authorization", "Bearer secret", 400, `{"error":{"message":"We could not parse the JSON body of your request.","type":"invalid_request_error","param":null,"code":"invalid_value"}}`},
		"null":            {openAI, `null`, "authorization", "Bearer secret", 400, `{"error":{"message":"Missing required parameter: 'model'.","type":"invalid_request_error","param":null,"code":"invalid_value"}}`},
		"no messages":     {azure, `{}`, "api-key", "secret", 400, `{"error":{"code":"400","message":"Missing required parameter: 'messages'."}}`},
		"zero tokens":     {azure, `{` + message + `,"max_tokens":0}`, "api-key", "secret", 400, `{"error":{"code":"400","message":"Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead."}}`},
		"many choices":    {azure, `{` + message + `,"n":129}`, "api-key", "secret", 400, `{"error":{"code":"400","message":"Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead."}}`},
		"stream options":  {azure, `{` + message + `,"stream_options":{}}`, "api-key", "secret", 400, `{"error":{"code":"400","message":"The 'stream_options' parameter is only allowed when 'stream' is enabled."}}`},
		"mistyped":        {azure, `{` + message + `,"stream":"yes"}`, "api-key", "secret", 400, `{"error":{"code":"400","message":"Invalid type for 'stream'."}}`},
		"no such fault":   {azure, hello, FaultHeader, "explode", 400, `{"error":{"code":"400","message":"fault \"explode\": want a status from 300 to 599 or a word of mock.Fault"}}`},
		"a fault's bound": {azure, hello, FaultHeader, "cut=0", 400, `{"error":{"code":"400","message":"fault \"cut=0\": want a number above 0, got \"0\""}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := post(t, s.URL()+tt.path, tt.body, tt.header, tt.value)
			if g.status != tt.status || g.body != tt.want {
				t.Errorf("got %d %s\nwant %d %s", g.status, g.body, tt.status, tt.want)
			}
		})
	}
}

func TestWhatIsRecorded(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{})
	post(t, b.URL()+azure, hello, "api-key", "k1", "x-a", "1")
	post(t, a.URL()+openAI, hello, "authorization", "Bearer k2")
	first, second := b.Requests()[0], a.Requests()[0]
	equal(t, first.Order < second.Order, true)
	equal(t, first.Method+" "+first.Path+" "+first.Host+" "+first.Proto, "POST "+azure+" "+b.Addr()+" HTTP/1.1")
	equal(t, first.Header.Get("x-a"), "1")
	equal(t, string(first.Body), hello)
	header, value := first.Credential()
	equal(t, header+"="+value, "api-key=k1")
	header, value = second.Credential()
	equal(t, header+"="+value, "authorization=k2")
	equal(t, a.Count(), 1)
	a.Reset()
	equal(t, a.Count(), 0)
}

func TestTLS(t *testing.T) {
	s := start(t, Options{Host: "llm.example"})
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CA()) {
		t.Fatal("no authority")
	}
	for name, tt := range map[string]struct {
		h2            bool
		proto, faults string
		err           string
	}{
		"http/1.1": {false, "HTTP/1.1", "", ""},
		"http/2":   {true, "HTTP/2.0", "", ""},
		"reset":    {false, "HTTP/1.1", "reset", "connection reset by peer"},
		"h2 reset": {true, "HTTP/2.0", "reset", "stream error: stream ID 1; INTERNAL_ERROR; received from peer"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Reset()
			transport := &http.Transport{
				TLSClientConfig:   &tls.Config{RootCAs: pool, ServerName: "llm.example"},
				ForceAttemptHTTP2: tt.h2,
				DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, s.Addr())
				},
			}
			defer transport.CloseIdleConnections()
			_, err := try(t.Context(), &http.Client{Transport: transport}, "https://llm.example"+openAI, hello, FaultHeader, tt.faults)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
			r := s.Requests()[0]
			equal(t, r.SNI, "llm.example")
			equal(t, r.Proto, tt.proto)
			equal(t, r.Host, "llm.example")
		})
	}
}

func TestEmbeddings(t *testing.T) {
	s := start(t, Options{})
	var a struct {
		Data []struct {
			Index     int
			Embedding []float64
		}
		Usage struct {
			PromptTokens int `json:"prompt_tokens"`
		}
	}
	g := post(t, s.URL()+"/v1/embeddings", `{"model":"e","input":["Tell me a joke.","x"],"dimensions":8}`)
	if err := json.Unmarshal([]byte(g.body), &a); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, x := range a.Data[1].Embedding {
		sum += x * x
	}
	if len(a.Data) != 2 || len(a.Data[0].Embedding) != 8 || a.Usage.PromptTokens != 6 || sum < 0.999 || sum > 1.001 {
		t.Errorf("got %s", g.body)
	}
	g = post(t, s.URL()+"/v1/embeddings", `{"model":"e","input":"x","encoding_format":"base64","dimensions":2}`)
	if !strings.Contains(g.body, `"embedding":"`) {
		t.Errorf("got %s", g.body)
	}
}

func TestCheap(t *testing.T) {
	s := start(t, Options{Cheap: &Cheap{Every: time.Millisecond}})
	equal(t, decode(t, post(t, s.URL()+openAI, hello).body).Usage.CompletionTokens, 17)
	off := post(t, s.URL()+openAI, with(hello, `"stream":true`)).body
	on := post(t, s.URL()+openAI, with(hello, `"stream":true,"stream_options":{"include_usage":true}`)).body
	equal(t, len(data(t, off)), 20)
	equal(t, len(data(t, on)), 21)
	equal(t, s.Count(), 3)
}

func FuzzParse(f *testing.F) {
	for _, q := range questions {
		f.Add([]byte(q.body))
	}
	f.Add([]byte(`{"model":"m","input":[[1,2],[3]],"prompt":[],"messages":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, op := range []operation{chat, completions, embeddings} {
			at := surface{operation: op}
			q, err := parse(at, body)
			if err != nil || len(body) > 1<<10 {
				continue
			}
			a, b := at.speak(q, Fault{}), at.speak(q, Fault{})
			if !bytes.Equal(bytes.Join(a.parts, nil), bytes.Join(b.parts, nil)) {
				t.Errorf("two answers to %q", body)
			}
			if !a.stream && !json.Valid(a.parts[0]) {
				t.Errorf("not JSON: %q", a.parts[0])
			}
		}
	})
}
