package chat

import (
	"bytes"
	"testing"
)

var answers = []struct {
	name, in string
	want     Usage
	ok       bool
	text     string
}{
	{
		name: "chat",
		in: `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi\u0021","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}],"refusal":null},"finish_reason":"stop"}],
			"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
			"prompt_tokens_details":{"cached_tokens":64,"audio_tokens":1},
			"completion_tokens_details":{"reasoning_tokens":32,"audio_tokens":2,"accepted_prediction_tokens":3,"rejected_prediction_tokens":4}}}`,
		want: Usage{Prompt: 100, Completion: 50, Total: 150, Cached: 64, PromptAudio: 1, Reasoning: 32, CompletionAudio: 2, AcceptedPrediction: 3, RejectedPrediction: 4},
		ok:   true,
		text: "Hi!f{}",
	},
	{
		name: "completions",
		in:   `{"choices":[{"text":"a"},{"text":"b"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`,
		want: Usage{Prompt: 1, Completion: 2, Total: 3}, ok: true, text: "ab",
	},
	{
		name: "embeddings",
		in:   `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":5,"total_tokens":5}}`,
		want: Usage{Prompt: 5, Total: 5}, ok: true,
	},
	{name: "no total", in: `{"usage":{"prompt_tokens":5,"completion_tokens":2}}`, want: Usage{Prompt: 5, Completion: 2, Total: 7}, ok: true},
	{name: "total alone", in: `{"usage":{"total_tokens":7}}`, want: Usage{Total: 7}, ok: true},
	{name: "zeros", in: `{"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`, ok: true},
	{name: "zero total, which is not missing", in: `{"usage":{"prompt_tokens":5,"total_tokens":0}}`, want: Usage{Prompt: 5}, ok: true},
	{name: "null details", in: `{"usage":{"prompt_tokens":1,"prompt_tokens_details":null,"completion_tokens":null}}`, want: Usage{Prompt: 1, Total: 1}, ok: true},
	{name: "floats", in: `{"usage":{"prompt_tokens":5.0,"completion_tokens":1e1}}`, want: Usage{Prompt: 5, Completion: 10, Total: 15}, ok: true},
	{name: "escaped key", in: `{"us\u0061ge":{"prompt_tokens":5}}`, want: Usage{Prompt: 5, Total: 5}, ok: true},
	{name: "twice", in: `{"usage":{"total_tokens":5},"usage":{"total_tokens":6}}`, want: Usage{Total: 6}, ok: true},

	{name: "null", in: `{"usage":null}`},
	{name: "absent", in: `{"choices":[{"message":{"content":"x"}}]}`, text: "x"},
	{name: "empty", in: `{"usage":{}}`},
	{name: "not an object", in: `{"usage":[1,2]}`},
	{name: "not numbers", in: `{"usage":{"prompt_tokens":"5","completion_tokens":true,"total_tokens":{"prompt_tokens":1}}}`},
	{name: "negative", in: `{"usage":{"prompt_tokens":-5}}`},
	{name: "further down", in: `{"x":{"usage":{"prompt_tokens":5}},"choices":[{"usage":{"prompt_tokens":5}}]}`},
	{name: "error", in: `{"error":{"message":"no","usage":{"prompt_tokens":5}}}`},
	{name: "array", in: `[{"usage":{"prompt_tokens":5}}]`},
	{name: "not JSON", in: `<html>"usage":{"prompt_tokens":5}`},
	{name: "cut short", in: `{"usage":{"prompt_tokens":5`},
	{name: "nothing", in: ``},
}

func TestAnswer(t *testing.T) {
	for _, c := range answers {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := ReadUsage([]byte(c.in)); got != c.want || ok != c.ok {
				t.Errorf("got %+v, %v, want %+v, %v", got, ok, c.want, c.ok)
			}
			each(c.in, func(chunks ...string) {
				var text bytes.Buffer
				a := NewAnswer(func(p []byte) { text.Write(p) })
				for _, chunk := range chunks {
					a.Write([]byte(chunk))
				}
				if got, ok := a.Usage(); got != c.want || ok != c.ok || text.String() != c.text {
					t.Fatalf("split %q: got %+v, %v, text %q, want %+v, %v, %q", chunks, got, ok, &text, c.want, c.ok, c.text)
				}
			})
		})
	}
}
