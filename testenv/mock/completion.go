package mock

import (
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
)

// completion is the answer in one JSON value.
func (at surface) completion(q question, f Fault) object {
	answers := think(q, f)
	choices := make([]object, len(answers))
	for i, a := range answers {
		choices[i] = at.choice(i, at.message(a.text()), a.finish)
	}
	out := at.envelope(q, "chat.completion", choices)
	if at.azure {
		out = append(out, prompted())
	}
	if f.NoUsage {
		return out
	}
	return out.with(f.Usage, member{"usage", spent(q.promptTokens(), total(answers))})
}

// chunks is the same answer as a stream. Asking for the usage changes it in
// two places only: "usage":null in every chunk but Azure's first, and one
// chunk more at the end.
func (at surface) chunks(q question, f Fault) []object {
	answers := think(q, f)
	usage := q.wantsUsage() && !f.NoUsage
	pad := padding(q)
	var out []object
	add := func(choices []object, value any) {
		c := at.envelope(q, "chat.completion.chunk", choices)
		if usage {
			c = c.with(f.Usage, member{"usage", value})
		}
		if f.Obfuscation {
			c = c.with(Last, member{"obfuscation", pad()})
		}
		out = append(out, c)
	}
	if at.azure {
		out = append(out, filterChunk())
	}
	for i, a := range answers {
		if at.operation == chat {
			role := member{"delta", object{{"role", "assistant"}, {"content", ""}, {"refusal", nil}}}
			add([]object{at.choice(i, role, nil)}, nil)
		}
		for _, piece := range a.pieces {
			add([]object{at.choice(i, at.delta(piece), nil)}, nil)
		}
		add([]object{at.choice(i, at.delta(""), a.finish)}, nil)
	}
	if usage {
		add([]object{}, spent(q.promptTokens(), total(answers)))
	}
	return out
}

func total(answers []choice) int {
	n := 0
	for _, a := range answers {
		n += a.tokens
	}
	return n
}

// padding is OpenAI's guard against guessing tokens by their length: some
// characters more in every chunk. It must not depend on the stream's options.
func padding(q question) func() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	random := rand.New(rand.NewChaCha8(q.sum))
	return func() string {
		b := make([]byte, random.IntN(16))
		for i := range b {
			b[i] = letters[random.IntN(len(letters))]
		}
		return string(b)
	}
}

// envelope is what stands around choices. Azure sorts its members.
func (at surface) envelope(q question, kind string, choices []object) object {
	id := "chatcmpl-"
	if at.operation == completions {
		id, kind = "cmpl-", "text_completion"
	}
	id += hex.EncodeToString(q.sum[:14])
	created := 1_700_000_000 + int(q.sum[0])<<16 + int(q.sum[1])<<8 + int(q.sum[2])
	if at.azure {
		return object{
			{"choices", choices}, {"created", created}, {"id", id}, {"model", q.Model},
			{"object", kind}, {"system_fingerprint", "fp_mock"},
		}
	}
	return object{
		{"id", id}, {"object", kind}, {"created", created}, {"model", q.Model},
		{"service_tier", "default"}, {"system_fingerprint", "fp_mock"}, {"choices", choices},
	}
}

// choice is one element of choices; said is its message, delta or text.
func (at surface) choice(i int, said member, finish any) object {
	if !at.azure {
		return object{{"index", i}, said, {"logprobs", nil}, {"finish_reason", finish}}
	}
	o := object{{"content_filter_results", passed()}, said, {"finish_reason", finish}, {"index", i}, {"logprobs", nil}}
	slices.SortFunc(o, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return o
}

func (at surface) message(text string) member {
	if at.operation == completions {
		return member{"text", text}
	}
	return member{"message", object{{"role", "assistant"}, {"content", text}, {"refusal", nil}}}
}

// delta is one piece of a stream; the last one, beside the finish reason, is
// empty.
func (at surface) delta(piece string) member {
	switch {
	case at.operation == completions:
		return member{"text", piece}
	case piece == "":
		return member{"delta", object{}}
	}
	return member{"delta", object{{"content", piece}}}
}

// prompted is what Azure's content filter says of the prompt: a member of an
// answer, and the first chunk of a stream, which has nothing else in it.
func prompted() member {
	return member{"prompt_filter_results", []object{{{"prompt_index", 0}, {"content_filter_results", passed()}}}}
}

func filterChunk() object {
	return object{{"choices", []object{}}, {"created", 0}, {"id", ""}, {"model", ""}, {"object", ""}, prompted()}
}

// passed is the verdict of Azure's content filter.
func passed() object {
	safe := object{{"filtered", false}, {"severity", "safe"}}
	return object{{"hate", safe}, {"self_harm", safe}, {"sexual", safe}, {"violence", safe}}
}
