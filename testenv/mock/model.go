package mock

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
)

const opening = "This is the mock model. "

// sentences is what the model says after that. Some hold what trips a gateway that reads
// answers with string search: quotes, escapes, several bytes per character,
// the very words of the protocol.
var sentences = []string{
	"The answer is forty-two, and it costs what it costs. ",
	`A quoted "word", a back\slash and a	tab share this one. `,
	"Ein Satz mit Umlauten: süß, größer, Übermut. ",
	"日本語の文も一つあります。 ",
	"Emoji are made of many bytes: 🚀🌍👩‍🔬. ",
	`{"usage":null} and "usage":{"total_tokens":1} are text here. `,
	"Lines break\nwhere they must.\n\n",
	"data: [DONE] is only text as well. ",
	"<b>Markup</b> & ampersands stay as they are. ",
}

// choice is one of the answers to a question.
type choice struct {
	pieces []string // one per chunk of a stream
	tokens int
	finish string
}

func (c choice) text() string { return strings.Join(c.pieces, "") }

// think makes up the answers. The same question gets the same ones.
func think(q question, f Fault) []choice {
	random := rand.New(rand.NewChaCha8(q.sum))
	n := 1
	if q.N != nil {
		n = *q.N
	}
	out := make([]choice, n)
	for i := range out {
		out[i] = choose(random, q.limit(), f)
	}
	return out
}

func choose(random *rand.Rand, limit int, f Fault) choice {
	c := choice{finish: "stop"}
	var want int
	switch {
	case f.Bytes > 0:
		const word = " more" // one token
		want = (f.Bytes + len(word) - 1) / len(word)
		c.tokens = min(want, limit)
		c.pieces = strings.SplitAfter(strings.Repeat(word, c.tokens), "e")[:c.tokens]
	case f.Tokens > 0:
		want = f.Tokens
		// A sentence is more than four tokens.
		s := opening + strings.Repeat(sentences[0], want/4)
		c.pieces, c.tokens = pieces(s, min(want, limit))
	default:
		s := opening
		for range 1 + random.IntN(3) {
			s += sentences[random.IntN(len(sentences))]
		}
		s = strings.TrimSpace(s)
		want = CountTokens(s)
		c.pieces, c.tokens = pieces(s, min(want, limit))
	}
	if c.tokens < want {
		c.finish = "length"
	}
	return c
}

// speak is the model's answer.
func (at surface) speak(q question, f Fault) reply {
	var out reply
	switch {
	case at.operation == embeddings:
		out = whole(http.StatusOK, embed(q, f))
	case q.Stream:
		out = events(at.chunks(q, f))
	default:
		out = whole(http.StatusOK, at.completion(q, f))
	}
	for k, v := range at.headers(q) {
		out.header[k] = v
	}
	return out
}

// headers are those of the services that a gateway may have to replace, let
// through or learn from.
func (at surface) headers(q question) http.Header {
	h := http.Header{}
	h.Set("X-Request-Id", hex.EncodeToString(q.sum[16:32]))
	h.Set("X-Ratelimit-Limit-Requests", "10000")
	h.Set("X-Ratelimit-Remaining-Requests", "9999")
	h.Set("X-Ratelimit-Limit-Tokens", "30000000")
	h.Set("X-Ratelimit-Remaining-Tokens", "29999000")
	if at.azure {
		h.Set("X-Ms-Region", "Sweden Central")
		return h
	}
	h.Set("Openai-Processing-Ms", "42")
	h.Set("Openai-Version", "2020-10-01")
	return h
}

// spent is the usage of a request.
func spent(prompt, completion int) object {
	return object{
		{"prompt_tokens", prompt},
		{"completion_tokens", completion},
		{"total_tokens", prompt + completion},
		{"prompt_tokens_details", object{{"cached_tokens", 0}, {"audio_tokens", 0}}},
		{"completion_tokens_details", object{{"reasoning_tokens", 0}, {"audio_tokens", 0}, {"accepted_prediction_tokens", 0}, {"rejected_prediction_tokens", 0}}},
	}
}

// embed is a unit vector per input, in numbers or in base64 of little-endian
// float32, which the SDKs ask for.
func embed(q question, f Fault) object {
	n := 1536
	if q.Dimensions != nil {
		n = *q.Dimensions
	}
	random := rand.New(rand.NewChaCha8(q.sum))
	data := make([]object, len(q.Input))
	for i := range data {
		vector := unit(random, n)
		var value any = vector
		if q.EncodingFormat == "base64" {
			raw, _ := binary.Append(nil, binary.LittleEndian, vector) // fails on other types only
			value = base64.StdEncoding.EncodeToString(raw)
		}
		data[i] = object{{"object", "embedding"}, {"index", i}, {"embedding", value}}
	}
	out := object{{"object", "list"}, {"data", data}, {"model", q.Model}}
	if f.NoUsage {
		return out
	}
	tokens := q.promptTokens()
	return out.with(f.Usage, member{"usage", object{{"prompt_tokens", tokens}, {"total_tokens", tokens}}})
}

func unit(random *rand.Rand, n int) []float32 {
	vector := make([]float32, n)
	var sum float64
	for i := range vector {
		x := random.NormFloat64()
		vector[i] = float32(x)
		sum += x * x
	}
	length := float32(math.Sqrt(sum))
	for i := range vector {
		vector[i] /= length
	}
	return vector
}
