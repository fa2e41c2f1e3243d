package mock

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
)

// question is a request as the model reads it.
type question struct {
	Model               string    `json:"model"`
	Messages            []message `json:"messages"`
	Prompt              texts     `json:"prompt"`
	Input               texts     `json:"input"`
	MaxTokens           *int      `json:"max_tokens"`
	MaxCompletionTokens *int      `json:"max_completion_tokens"`
	N                   *int      `json:"n"`
	Dimensions          *int      `json:"dimensions"`
	EncodingFormat      string    `json:"encoding_format"`
	Stream              bool      `json:"stream"`
	StreamOptions       *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`

	// sum is the same for two requests that must get the same answer: all of
	// the request but how it is to be delivered.
	sum [sha256.Size]byte
}

// complaint is an error in the API's own words, which begin with a capital.
type complaint string

func (c complaint) Error() string { return string(c) }

type message struct {
	Role    string  `json:"role"`
	Name    *string `json:"name"`
	Content texts   `json:"content"`
}

// parse reads a request. Its errors are worded for the client.
func parse(at surface, body []byte) (question, error) {
	var q question
	if err := json.Unmarshal(body, &q); err != nil {
		var mistyped *json.UnmarshalTypeError
		if errors.As(err, &mistyped) {
			return q, complaint("Invalid type for '" + mistyped.Field + "'.")
		}
		return q, complaint("We could not parse the JSON body of your request.")
	}
	if at.deployment != "" {
		q.Model = at.deployment
	}
	if err := q.check(at); err != nil {
		return q, err
	}
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return q, err
	}
	delete(all, "stream")
	delete(all, "stream_options")
	all["model"] = q.Model
	canonical, err := json.Marshal(all)
	if err != nil {
		return q, err
	}
	q.sum = sha256.Sum256(append(canonical, at.operation...))
	return q, nil
}

func (q *question) check(at surface) error {
	missing := func(what string) error {
		return complaint("Missing required parameter: '" + what + "'.")
	}
	switch {
	case q.Model == "":
		return missing("model")
	case at.operation == chat && len(q.Messages) == 0:
		return missing("messages")
	case at.operation == completions && len(q.Prompt) == 0:
		return missing("prompt")
	case at.operation == embeddings && len(q.Input) == 0:
		return missing("input")
	case q.StreamOptions != nil && !q.Stream:
		return complaint("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	}
	bounds := []struct {
		name  string
		value *int
		most  int
	}{
		{"max_tokens", q.MaxTokens, math.MaxInt},
		{"max_completion_tokens", q.MaxCompletionTokens, math.MaxInt},
		{"n", q.N, 128},
		{"dimensions", q.Dimensions, 3072},
	}
	for _, b := range bounds {
		switch {
		case b.value == nil:
		case *b.value < 1:
			return complaint(fmt.Sprintf("Invalid '%s': integer below minimum value. Expected a value >= 1, but got %d instead.", b.name, *b.value))
		case *b.value > b.most:
			return complaint(fmt.Sprintf("Invalid '%s': integer above maximum value. Expected a value <= %d, but got %d instead.", b.name, b.most, *b.value))
		}
	}
	return nil
}

// limit is the most tokens one choice may have.
func (q *question) limit() int {
	limit := 1 << 30
	for _, m := range []*int{q.MaxTokens, q.MaxCompletionTokens} {
		if m != nil {
			limit = min(limit, *m)
		}
	}
	return limit
}

// wantsUsage says whether a stream is to report it.
func (q *question) wantsUsage() bool {
	return q.StreamOptions != nil && q.StreamOptions.IncludeUsage
}

// promptTokens counts a prompt by OpenAI's published rule: the tokens of every
// string, 3 for each message, 1 for each name, 3 for the reply's priming.
func (q *question) promptTokens() int {
	if len(q.Messages) == 0 {
		return q.Prompt.tokens() + q.Input.tokens()
	}
	n := 3
	for _, m := range q.Messages {
		n += 3 + CountTokens(m.Role) + m.Content.tokens()
		if m.Name != nil {
			n += 1 + CountTokens(*m.Name)
		}
	}
	return n
}

// texts is what the API takes as a string, a list of strings, a list of parts
// of which some are text, a list of token ids, or a list of such lists.
type texts []text

type text struct {
	words string
	ids   int // where it came as token ids, their number
}

func (t texts) tokens() int {
	n := 0
	for _, one := range t {
		n += one.ids + CountTokens(one.words)
	}
	return n
}

func (t *texts) UnmarshalJSON(raw []byte) error {
	var list []json.RawMessage
	switch kind(raw) {
	case 'n': // null
		return nil
	case '"':
		list = []json.RawMessage{raw}
	default:
		if err := json.Unmarshal(raw, &list); err != nil {
			return err
		}
	}
	if len(list) > 0 && strings.IndexByte("-0123456789", kind(list[0])) >= 0 {
		*t = texts{{ids: len(list)}}
		return nil
	}
	for _, raw := range list {
		one, err := parseText(raw)
		if err != nil {
			return err
		}
		*t = append(*t, one)
	}
	return nil
}

func parseText(raw json.RawMessage) (text, error) {
	var one text
	switch kind(raw) {
	case '[':
		var ids []int
		err := json.Unmarshal(raw, &ids)
		one.ids = len(ids)
		return one, err
	case '{':
		var part struct {
			Text string `json:"text"`
		}
		err := json.Unmarshal(raw, &part)
		one.words = part.Text
		return one, err
	}
	err := json.Unmarshal(raw, &one.words)
	return one, err
}

// kind is the first byte of a JSON value, which tells its type.
func kind(raw []byte) byte {
	if raw = bytes.TrimSpace(raw); len(raw) > 0 {
		return raw[0]
	}
	return 0
}
