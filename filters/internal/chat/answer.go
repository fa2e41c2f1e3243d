package chat

// mostTokens bounds a figure of a usage. No context window comes near it, and a
// larger one, charged, would lock its caller out for years.
const mostTokens = 1 << 27

// Usage is what a backend reports to have charged, in tokens.
type Usage struct {
	Prompt, Completion int64

	// Total is the sum of the two where the backend does not say.
	Total int64

	// Parts of Prompt: read from the prompt cache, audio.
	Cached, PromptAudio int64

	// Parts of Completion: reasoning, audio, and tokens of a predicted output
	// that were right and that were not.
	Reasoning, CompletionAudio, AcceptedPrediction, RejectedPrediction int64
}

// ReadUsage reads the usage of a JSON answer. ok is false if there is none, it is
// null, or none of its three figures is a number; a zero is a figure.
func ReadUsage(answer []byte) (u Usage, ok bool) {
	a := NewAnswer(nil)
	a.Write(answer)
	return a.Usage()
}

// Answer reads a JSON answer as its chunks pass.
type Answer struct {
	scanner scanner
	words   func([]byte)

	last  Usage
	known bool // last was read

	usage  Usage // the one being read
	figure bool  // it has one of its three figures
	total  bool  // and the total is among them
	value  [24]byte
	length int

	facts
}

// facts are what Stream needs to know of the object just read.
type facts struct {
	reported kind // of the member usage; 0 if absent
	member   Span // that member
	empty    bool // choices is an empty array
	front    int  // offset of the first delta or text, if no usage came before it; or 0
}

// NewAnswer returns a reader. text, which may be nil, gets what the model wrote,
// decoded, cut anywhere, valid during the call: content, refusals, reasoning, the
// names and arguments of tool calls.
func NewAnswer(text func([]byte)) *Answer {
	a := &Answer{words: text}
	a.reset()
	return a
}

// Write reads the next chunk, which it does not keep. What is not JSON reports no
// usage from there on.
func (a *Answer) Write(chunk []byte) { a.scanner.write(chunk) }

// Usage is the last usage reported.
func (a *Answer) Usage() (Usage, bool) { return a.last, a.known }

// reset makes a ready for another object of the same stream.
func (a *Answer) reset() {
	a.scanner.reset(a, answerRules[:], atAnswer)
	a.facts = facts{}
}

// begin is called by the scanner.
func (a *Answer) begin(p place, k kind, at int) *BadRequest {
	a.length = 0
	switch p {
	case atUsage:
		a.usage, a.figure, a.total = Usage{}, false, false
		a.reported, a.member.Start = k, a.scanner.keyAt
	case atAnswers:
		a.empty = k == array
	case atAnswerChoice:
		a.empty = false
	case atDelta, atText:
		if a.front == 0 && a.reported == 0 {
			a.front = at
		}
	}
	return nil
}

// text is called by the scanner.
func (a *Answer) text(p place, piece []byte) {
	if p != atText {
		a.length += copy(a.value[a.length:], piece)
	} else if a.words != nil {
		a.words(piece)
	}
}

// end is called by the scanner.
func (a *Answer) end(p place, k kind, at int) *BadRequest {
	if p == atUsage {
		a.member.End = at
		if a.figure {
			if !a.total {
				a.usage.Total = a.usage.Prompt + a.usage.Completion
			}
			a.last, a.known = a.usage, true
		}
	}
	if k != number {
		return nil
	}
	n, ok := integer(a.value[:a.length])
	if !ok || n < 0 || n > mostTokens {
		return nil
	}
	switch p {
	case atPromptTokens:
		a.usage.Prompt, a.figure = n, true
	case atCompletionTokens:
		a.usage.Completion, a.figure = n, true
	case atTotalTokens:
		a.usage.Total, a.figure, a.total = n, true, true
	case atCached:
		a.usage.Cached = n
	case atPromptAudio:
		a.usage.PromptAudio = n
	case atReasoning:
		a.usage.Reasoning = n
	case atCompletionAudio:
		a.usage.CompletionAudio = n
	case atAccepted:
		a.usage.AcceptedPrediction = n
	case atRejected:
		a.usage.RejectedPrediction = n
	}
	return nil
}

// The places of an answer, and of a chunk of a streamed one.
const (
	atAnswer place = iota + 1
	atUsage
	atPromptTokens
	atCompletionTokens
	atTotalTokens
	atPromptDetails
	atCached
	atPromptAudio
	atCompletionDetails
	atReasoning
	atCompletionAudio
	atAccepted
	atRejected
	atAnswers
	atAnswerChoice
	atDelta
	atAnswerCalls
	atAnswerCall
	atAnswerFunction
	atText
)

var answerRules = [...]rule{
	atAnswer: {how: read, members: []member{
		{"usage", atUsage},
		{"choices", atAnswers},
	}},

	atUsage: {how: read, members: []member{
		{"prompt_tokens", atPromptTokens},
		{"completion_tokens", atCompletionTokens},
		{"total_tokens", atTotalTokens},
		{"prompt_tokens_details", atPromptDetails},
		{"completion_tokens_details", atCompletionDetails},
	}},
	atPromptTokens:     {how: raw},
	atCompletionTokens: {how: raw},
	atTotalTokens:      {how: raw},
	atPromptDetails: {how: read, members: []member{
		{"cached_tokens", atCached},
		{"audio_tokens", atPromptAudio},
	}},
	atCached:      {how: raw},
	atPromptAudio: {how: raw},
	atCompletionDetails: {how: read, members: []member{
		{"reasoning_tokens", atReasoning},
		{"audio_tokens", atCompletionAudio},
		{"accepted_prediction_tokens", atAccepted},
		{"rejected_prediction_tokens", atRejected},
	}},
	atReasoning:       {how: raw},
	atCompletionAudio: {how: raw},
	atAccepted:        {how: raw},
	atRejected:        {how: raw},

	atAnswers: {how: read, element: atAnswerChoice},
	atAnswerChoice: {how: read, members: []member{
		{"delta", atDelta},
		{"message", atDelta},
		{"text", atText},
	}},
	atDelta: {how: read, members: []member{
		{"content", atText},
		{"refusal", atText},
		{"reasoning_content", atText},
		{"tool_calls", atAnswerCalls},
		{"function_call", atAnswerFunction},
	}},
	atAnswerCalls: {how: read, element: atAnswerCall},
	atAnswerCall: {how: read, members: []member{
		{"function", atAnswerFunction},
		{"custom", atAnswerFunction},
	}},
	atAnswerFunction: {how: read, members: []member{
		{"name", atText},
		{"arguments", atText},
		{"input", atText},
	}},
	atText: {how: read},
}
