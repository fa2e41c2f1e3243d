package chat

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tollgate/tollgate/filters/internal/tokens"
)

func BenchmarkBody(b *testing.B) {
	prose := strings.Repeat(`The town council said that a new library will be built, \"at last\".\n`, 16000)
	han := strings.Repeat(`市政府宣布将在城市东部修建一座新的图书馆。`, 16000)
	escaped := strings.Repeat(`\u5e02\u653f\u5e9c`, 60000)
	for _, c := range []struct {
		name, text string
		size       int
	}{
		{"prose 2KB", prose, 2 << 10}, {"prose 20KB", prose, 20 << 10}, {"prose 1MB", prose, 1 << 20},
		{"han 20KB", han, 20<<10 + 2}, {"escaped 20KB", escaped, 20 << 10 / 18 * 18},
	} {
		body := []byte(`{"model":"gpt-4o","temperature":0.7,"messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":"` +
			strings.TrimRight(c.text[:c.size], `\`) + `"}],"stream":true}`)
		b.Run(c.name, func(b *testing.B) {
			r := NewBody(ChatCompletions, nil)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var count tokens.Fast
				r.Reset(ChatCompletions, &count)
				for at := 0; at < len(body); at += 16 << 10 {
					if err := r.Write(body[at:min(at+16<<10, len(body))]); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := r.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("token ids 20KB", func(b *testing.B) {
		body := []byte(`{"model":"m","input":[[` + strings.Repeat("12345,", 3400) + `1]]}`)
		r := NewBody(Embeddings, nil)
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			var count tokens.Fast
			r.Reset(Embeddings, &count)
			if err := r.Write(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// One chunk of a stream with one event in it, as OpenAI sends them.
func BenchmarkStream(b *testing.B) {
	event := `data: {"id":"chatcmpl-BkzQ5hLw5XTnJr0v1fCkVd7aVw9cN","object":"chat.completion.chunk","created":1750000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_07871e2ad8","choices":[{"index":0,"delta":{"content":" library"},"logprobs":null,"finish_reason":null}]%s,"obfuscation":"w8AkLm"}` + "\n\n"
	for _, c := range []struct {
		name, usage   string
		hide, counted bool
	}{
		{"edited and counted", `,"usage":null`, true, true},
		{"counted", ``, true, true},
		{"edited", `,"usage":null`, true, false},
		{"passed", ``, true, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			chunk := []byte(fmt.Sprintf(event, c.usage))
			var count tokens.Fast
			deltas := count.Text
			if !c.counted {
				deltas = nil
			}
			s := NewStream(c.hide, deltas)
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				s.Write(chunk, false)
			}
		})
	}
}

func BenchmarkReadUsage(b *testing.B) {
	answer := []byte(`{"id":"c","object":"chat.completion","created":1750000000,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("A library is a place with books. ", 60) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}}`)
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := ReadUsage(answer); !ok {
			b.Fatal("no usage")
		}
	}
}

func BenchmarkRecognise(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Recognise("azure", "/openai", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
	}
}
