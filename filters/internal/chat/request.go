package chat

import (
	"math"
	"strconv"
)

// Prompt receives what a request's prompt will be charged for, as it is met.
//
// Of a chat that is the role, name, content, refusal and tool calls of each
// message, the definitions of tools and functions, and the schema of the answer,
// these as the JSON they stand in. Of the other operations it is the prompt, the
// suffix or the input. What images, audio and files hold is no text.
type Prompt interface {
	// Message begins a message of the conversation.
	Message()
	// Text is a piece of a text, cut anywhere; valid only during the call.
	Text(p []byte)
	// End says that the pieces since the last End are a whole text.
	End()
	// IDs is n tokens given as numbers.
	IDs(n int)
	// Image is an image, of a size not known.
	Image()
}

// Span is a part of a body: the offset of its first byte, and of the byte behind
// its last.
type Span struct{ Start, End int }

// Request is what the gateway acts on of a request's body.
type Request struct {
	// Model is the model's name, and ModelSpan its value in the body, quotes
	// included. Both are zero if absent, which paths with a deployment allow.
	Model     string
	ModelSpan Span

	// Stream is whether the answer is to be streamed.
	Stream bool

	// IncludeUsage is whether the client itself asked for the usage of a stream.
	IncludeUsage bool

	// MaxTokens bounds the output of each choice: max_completion_tokens, else
	// max_tokens; -1 if both are absent. At most 2147483647.
	MaxTokens int64

	// N is the number of choices that will be generated: n, or best_of if that
	// is more, for each prompt. At least 1, at most 2147483647.
	N int64

	top     int  // the offset behind the opening brace
	options Span // the value of stream_options
	include Span // the value of include_usage in it
	null    bool // stream_options is null
}

// BadRequest is what is wrong with a request's body. It never quotes the body
// beyond the name of a member.
type BadRequest struct {
	// Field is the path of the field, such as messages[2].role; empty if it is
	// the body as a whole.
	Field string

	// Message says what is wanted.
	Message string
}

func (e *BadRequest) Error() string {
	if e.Field == "" {
		return "body: " + e.Message
	}
	return e.Field + ": " + e.Message
}

// Body reads the JSON body of a request as its chunks arrive.
//
// It refuses what is not JSON by RFC 8259, is nested more than 128 deep, has a
// field of the wrong type among those it reads, lacks messages, prompt or input,
// or says at the top or in stream_options twice, or in another case, what the
// gateway acts on: there the backend might read the other one.
type Body struct {
	scanner scanner
	op      Operation
	prompt  Prompt
	request Request

	value   [256]byte // the model's name, or a number
	length  int       // its length, beyond len(value) if it was longer
	limit   int64     // max_tokens
	n, best int64
	prompts int64 // elements of prompt
	given   bool  // what the operation requires is there
	role    bool  // the message has one
}

// NewBody returns a Body for an operation. A nil prompt counts nothing.
func NewBody(op Operation, p Prompt) *Body {
	b := new(Body)
	b.Reset(op, p)
	return b
}

// Reset makes b ready for another body.
func (b *Body) Reset(op Operation, p Prompt) {
	if p == nil {
		p = nobody{}
	}
	b.op, b.prompt = op, p
	b.request = Request{MaxTokens: -1}
	b.limit, b.n, b.best = -1, 1, 1
	b.prompts, b.length = 0, 0
	b.given, b.role = op == Unknown, false
	b.scanner.reset(b, bodyRules[:], tops[op])
}

// Write reads the next chunk, which it does not keep. Its error is a *BadRequest,
// and stays.
func (b *Body) Write(chunk []byte) error {
	if b.scanner.write(chunk); b.scanner.err != nil {
		return b.scanner.err
	}
	return nil
}

// Close says that the body is complete. Its error is a *BadRequest.
func (b *Body) Close() (Request, error) {
	if b.scanner.err == nil && b.scanner.state == wantValue && b.scanner.depth == 0 {
		return Request{}, &BadRequest{Message: "want an object, got nothing"}
	}
	if err := b.scanner.close(); err != nil {
		return Request{}, err
	}
	if !b.given {
		return Request{}, &BadRequest{Field: required[b.op], Message: "missing"}
	}
	r := b.request
	if r.MaxTokens < 0 {
		r.MaxTokens = b.limit
	}
	r.N = max(b.n, b.best)
	if b.op == Completions {
		r.N = min(r.N*max(b.prompts, 1), 1<<31-1)
	}
	return r, nil
}

// begin is called by the scanner.
func (b *Body) begin(p place, k kind, at int) *BadRequest {
	b.length = 0
	switch p {
	case atChat, atCompletions, atEmbeddings, atAny:
		b.request.top = at + 1
	case atModel:
		b.request.ModelSpan.Start = at
	case atStream:
		b.request.Stream = k == yes
	case atStreamOptions:
		b.request.options.Start = at
		b.request.null = k == null
	case atIncludeUsage:
		b.request.include.Start = at
		b.request.IncludeUsage = k == yes
	case atMessages, atPrompts, atInput:
		b.given = true
	case atMessage:
		b.role = false
		b.prompt.Message()
	case atRole:
		b.role = true
	case atImage:
		if k != null {
			b.prompt.Image()
		}
	case atPrompt:
		if k == number {
			b.scanner.values++
		} else {
			b.prompts++
		}
	}
	return nil
}

// text is called by the scanner.
func (b *Body) text(p place, piece []byte) {
	if kept(p) {
		if b.length < len(b.value) {
			copy(b.value[b.length:], piece)
		}
		b.length += len(piece)
		return
	}
	b.prompt.Text(piece)
}

// end is called by the scanner.
func (b *Body) end(p place, k kind, at int) *BadRequest {
	switch p {
	case atModel:
		b.request.ModelSpan.End = at
		switch {
		case b.length == 0:
			return b.scanner.refuse(&bodyRules[p], "empty")
		case b.length > len(b.value):
			return b.scanner.refuse(&bodyRules[p], "longer than 256 bytes")
		}
		b.request.Model = string(b.value[:b.length])
	case atStreamOptions:
		b.request.options.End = at
	case atIncludeUsage:
		b.request.include.End = at
	case atMaxTokens:
		return b.integer(p, k, &b.limit, 0, 1<<31-1)
	case atMaxCompletionTokens:
		return b.integer(p, k, &b.request.MaxTokens, 0, 1<<31-1)
	case atChoices:
		return b.integer(p, k, &b.n, 1, 1<<16)
	case atBestOf:
		return b.integer(p, k, &b.best, 1, 1<<16)
	case atMessages:
		if b.scanner.index < 0 {
			return b.scanner.refuse(&bodyRules[p], "empty")
		}
	case atMessage:
		if !b.role {
			return b.scanner.refuse(&bodyRules[atRole], "missing")
		}
	case atPrompts, atInput, atPrompt:
		if n := b.scanner.values; n > 0 && k == array {
			b.prompt.IDs(n)
			b.scanner.values = 0
		}
	}
	if how := bodyRules[p].how; !kept(p) && (how == read && k == text || how == raw && k != null) {
		b.prompt.End()
	}
	return nil
}

// integer sets to to the number just read, within bounds. null leaves it alone.
func (b *Body) integer(p place, k kind, to *int64, least, most int64) *BadRequest {
	if k == null {
		return nil
	}
	n, ok := integer(b.value[:min(b.length, len(b.value))])
	if !ok || b.length > len(b.value) || n < least || n > most {
		return b.scanner.refuse(&bodyRules[p], "want an integer from "+
			strconv.FormatInt(least, 10)+" to "+strconv.FormatInt(most, 10))
	}
	*to = n
	return nil
}

// integer is the value of a JSON number. 16.0 and 1e3 are integers too: to some
// clients all numbers are of one type.
func integer(b []byte) (int64, bool) {
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// nobody is a Prompt that counts nothing.
type nobody struct{}

func (nobody) Message()    {}
func (nobody) Text([]byte) {}
func (nobody) End()        {}
func (nobody) IDs(int)     {}
func (nobody) Image()      {}
