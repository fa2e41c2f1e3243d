package scenarios

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/tollgate/tollgate/testenv/gateway"
)

// sdkCase is one use of an official SDK. Its members are what testdata/sdk.py
// reads.
type sdkCase struct {
	Client  string          `json:"client"` // openai, azure
	URL     string          `json:"url"`
	Key     string          `json:"key"`
	Model   string          `json:"model"`
	Prompt  string          `json:"prompt"`
	Stream  bool            `json:"stream"`
	Options json.RawMessage `json:"options"` // stream_options
	Retries int             `json:"retries"`
}

// sdkOutcome is what the user of the SDK gets.
type sdkOutcome struct {
	Error    *string `json:"error"` // the class of the exception
	Status   *int    `json:"status"`
	Message  *string `json:"message"`
	Code     *string `json:"code"`
	Text     string  `json:"text"`
	Usage    *int    `json:"usage"`
	Chunks   int     `json:"chunks"`
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
}

//go:embed testdata/sdk.py
var script string

// python plays cases with the SDK that the Makefile has fetched.
func python(t *testing.T, cases []sdkCase) []sdkOutcome {
	t.Helper()
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-c", script)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+gateway.Artefact(t, ".tools/python", "test"), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdin = bytes.NewReader(in)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sdk.py: %v\n%s", err, complaint.String())
	}
	var outcomes []sdkOutcome
	if err := json.Unmarshal(out, &outcomes); err != nil || len(outcomes) != len(cases) {
		t.Fatalf("sdk.py: %v in %s", err, out)
	}
	return outcomes
}

func TestSDKs(t *testing.T) {
	h := operate(t, retried, "A")
	t.Run("Python", func(t *testing.T) { pythonAnswers(h.stage(t, 0)) })
	t.Run("Python errors", func(t *testing.T) { pythonErrors(h.stage(t, 1)) })
	t.Run("Python retries", func(t *testing.T) { pythonRetries(t, h) })
	t.Run("Go", func(t *testing.T) { goAnswers(h.stage(t, 4)) })
	t.Run("Go errors", func(t *testing.T) { goErrors(h.stage(t, 5)) })
	t.Run("Go retries", func(t *testing.T) { goRetries(h.stage(t, 6)) })
}

// retried is a document whose limit gives back ten tokens a second.
var retried = strings.Replace(plain, "default: 1000", "default: 600", 1)

// pythonAnswers runs the same code against the mock and against the gateway:
// only the base URL and the key differ, and nothing in what the user gets.
func pythonAnswers(s *stage) {
	t := s.t
	one := sdkCase{Model: "gpt-4o", Prompt: "Say hello.", Retries: 0}
	with := func(change func(*sdkCase)) sdkCase { c := one; change(&c); return c }
	answered := []struct {
		name string
		sdkCase
	}{
		{"JSON", one},
		{"stream", with(func(c *sdkCase) { c.Stream = true })},
		{"stream and usage", with(func(c *sdkCase) { c.Stream, c.Options = true, json.RawMessage(`{"include_usage":true}`) })},
	}

	var names []string
	var cases []sdkCase
	for _, client := range []string{"openai", "azure"} {
		for _, row := range answered {
			c := row.sdkCase
			c.Client = client
			if client == "azure" {
				c.Model = "gpt-4o-azure"
			}
			names = append(names, client+" "+row.name)
			direct, through := c, c
			direct.URL, direct.Key = s.backends["A"].URL(), "any"
			through.URL, through.Key = s.gateway.URL, s.key
			cases = append(cases, direct, through)
		}
	}
	outcomes := python(t, cases)
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			direct, through := outcomes[2*i], outcomes[2*i+1]
			direct.Seconds, through.Seconds = 0, 0
			want, _ := json.Marshal(direct)
			got, _ := json.Marshal(through)
			if direct.Error != nil || direct.Text == "" || !bytes.Equal(got, want) {
				t.Errorf("through the gateway\n%s\ndirect\n%s", got, want)
			}
		})
	}
}

func pythonErrors(s *stage) {
	t := s.t
	rows := []struct {
		name     string
		c        sdkCase
		class    string
		status   int
		requests int
	}{
		{"unknown key", sdkCase{Key: "wrong", Model: "gpt-4o", Prompt: "hi"}, "AuthenticationError", 401, 1},
		{"disabled key", sdkCase{Key: "former", Model: "gpt-4o", Prompt: "hi"}, "PermissionDeniedError", 403, 1},
		{"unknown model", sdkCase{Key: s.key, Model: "gpt-5", Prompt: "hi"}, "NotFoundError", 404, 1},
		{"stream of an unknown model", sdkCase{Key: s.key, Model: "gpt-5", Prompt: "hi", Stream: true}, "NotFoundError", 404, 1},
		{"bad request", sdkCase{Key: s.key, Model: "gpt-4o", Prompt: "hi", Stream: true, Options: json.RawMessage(`7`)}, "BadRequestError", 400, 1},
		// Three retries are allowed, and none is made: it can never fit.
		{"never fits", sdkCase{Key: s.key, Model: "gpt-4o", Prompt: strings.Repeat("word ", 2000), Retries: 3}, "RateLimitError", 429, 1},
	}
	var cases []sdkCase
	for _, client := range []string{"openai", "azure"} {
		for _, row := range rows {
			c := row.c
			c.Client, c.URL = client, s.gateway.URL
			cases = append(cases, c)
		}
	}
	for i, got := range python(t, cases) {
		row := rows[i%len(rows)]
		t.Run(cases[i].Client+" "+row.name, func(t *testing.T) {
			if got.Error == nil || *got.Error != row.class || *got.Status != row.status || got.Requests != row.requests {
				text, _ := json.Marshal(got)
				t.Errorf("%s\nwant %s after %d request", text, row.class, row.requests)
			}
			if got.Message == nil || *got.Message == "" {
				t.Error("the exception has no message of ours")
			}
		})
	}
}

// pythonRetries spends the whole bucket with one request; the next one fits after
// a second or two, which is for the SDK to sleep.
func pythonRetries(t *testing.T, h *house) {
	for i, client := range []string{"openai", "azure"} {
		t.Run(client, func(t *testing.T) {
			s := h.stage(t, 2+i)
			one := sdkCase{Client: client, URL: s.gateway.URL, Key: s.key, Model: "gpt-4o", Prompt: "hi", Retries: 2}
			all := one
			all.Prompt = strings.Repeat("word ", 560)
			outcomes := python(t, []sdkCase{all, one})
			got := outcomes[1]
			if used := outcomes[0].Usage; used == nil || *used <= 600 || *used > 640 {
				t.Fatalf("%+v\nwant the first answer to use up the bucket of 600, and little more", outcomes[0])
			}
			if got.Error != nil || got.Text == "" || got.Requests != 2 || got.Seconds < 0.5 || got.Seconds > 6 {
				text, _ := json.Marshal(outcomes)
				t.Errorf("%s\nwant an answer to the second request, after a second or two", text)
			}
		})
	}
}

// openaiGo is the Go SDK as its user sets it up.
func (s *stage) openaiGo(key string, more ...option.RequestOption) openai.Client {
	return openai.NewClient(append(more, option.WithBaseURL(s.gateway.URL+"/v1"), option.WithAPIKey(key))...)
}

func question(model string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say hello.")}}
}

func goAnswers(s *stage) {
	sdk := s.openaiGo(s.key)
	got, err := sdk.Chat.Completions.New(s.t.Context(), question("gpt-4o"))
	if err != nil || got.Choices[0].Message.Content == "" || got.Usage.TotalTokens == 0 {
		s.t.Fatalf("%+v, %v", got, err)
	}
	for _, usage := range []bool{false, true} {
		p := question("gpt-4o")
		if usage {
			p.StreamOptions.IncludeUsage = openai.Bool(true)
		}
		stream := sdk.Chat.Completions.NewStreaming(s.t.Context(), p)
		var sum openai.ChatCompletionAccumulator
		for stream.Next() {
			sum.AddChunk(stream.Current())
		}
		if stream.Err() != nil || len(sum.Choices) != 1 || sum.Choices[0].Message.Content != got.Choices[0].Message.Content || (sum.Usage.TotalTokens > 0) != usage {
			s.t.Errorf("usage asked for: %v, got %+v, %v", usage, sum.ChatCompletion, stream.Err())
		}
	}
}

func goErrors(s *stage) {
	for _, row := range []struct {
		key, model string
		status     int
	}{{"wrong", "gpt-4o", 401}, {"former", "gpt-4o", 403}, {s.key, "gpt-5", 404}} {
		sdk := s.openaiGo(row.key)
		_, err := sdk.Chat.Completions.New(s.t.Context(), question(row.model))
		var e *openai.Error
		if !errors.As(err, &e) || e.StatusCode != row.status || e.Message == "" {
			s.t.Errorf("%+v, want a %d with a message", err, row.status)
		}
	}
}

func goRetries(s *stage) {
	if a := s.send(call{fault: "tokens=600"}); a.status != http.StatusOK {
		s.t.Fatalf("%s", a)
	}
	var statuses []int
	sdk := s.openaiGo(s.key, option.WithMiddleware(func(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		res, err := next(req)
		if err == nil {
			statuses = append(statuses, res.StatusCode)
		}
		return res, err
	}))
	began := time.Now()
	_, err := sdk.Chat.Completions.New(s.t.Context(), question("gpt-4o"))
	if took := time.Since(began); err != nil || !slices.Equal(statuses, []int{429, 200}) || took < 500*time.Millisecond || took > 6*time.Second {
		s.t.Errorf("%v after %v, answers %v; want a 429, a wait of a second or two and a 200", err, took, statuses)
	}
}
