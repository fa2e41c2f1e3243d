package chat

// The places of a request's body.
const (
	atAny place = iota + 1
	atChat
	atCompletions
	atEmbeddings

	// Kept: their text is needed as a value.
	atModel
	atMaxTokens
	atMaxCompletionTokens
	atChoices
	atBestOf

	atStream
	atStreamOptions
	atIncludeUsage

	// Charged: their text is the prompt.
	atMessages
	atMessage
	atRole
	atContent
	atPart
	atImage
	atWords
	atCalls
	atCall
	atFunction
	atPrompts
	atInput
	atPrompt
	atID
	atSuffix
	atTools
	atFunctions
	atFormat
	atSchema
)

func kept(p place) bool { return atModel <= p && p <= atBestOf }

var (
	tops     = [...]place{Unknown: atAny, ChatCompletions: atChat, Completions: atCompletions, Embeddings: atEmbeddings}
	required = [...]string{ChatCompletions: "messages", Completions: "prompt", Embeddings: "input"}
)

var bodyRules = [...]rule{
	atAny: {accepts: object, want: "an object", how: read, strict: true, members: []member{
		{"model", atModel},
		{"stream", atStream},
	}},
	atChat: {accepts: object, want: "an object", how: read, strict: true, members: []member{
		{"model", atModel},
		{"messages", atMessages},
		{"stream", atStream},
		{"stream_options", atStreamOptions},
		{"max_completion_tokens", atMaxCompletionTokens},
		{"max_tokens", atMaxTokens},
		{"n", atChoices},
		{"tools", atTools},
		{"functions", atFunctions},
		{"response_format", atFormat},
	}},
	atCompletions: {accepts: object, want: "an object", how: read, strict: true, members: []member{
		{"model", atModel},
		{"prompt", atPrompts},
		{"suffix", atSuffix},
		{"stream", atStream},
		{"stream_options", atStreamOptions},
		{"max_tokens", atMaxTokens},
		{"n", atChoices},
		{"best_of", atBestOf},
	}},
	atEmbeddings: {accepts: object, want: "an object", how: read, strict: true, members: []member{
		{"model", atModel},
		{"input", atInput},
	}},

	atModel:               {name: "model", accepts: text, want: "a string", how: read},
	atMaxTokens:           {name: "max_tokens", accepts: number | null, want: "an integer", how: raw},
	atMaxCompletionTokens: {name: "max_completion_tokens", accepts: number | null, want: "an integer", how: raw},
	atChoices:             {name: "n", accepts: number | null, want: "an integer", how: raw},
	atBestOf:              {name: "best_of", accepts: number | null, want: "an integer", how: raw},

	atStream: {name: "stream", accepts: boolean | null, want: "true or false"},
	atStreamOptions: {name: "stream_options", accepts: object | null, want: "an object", how: read, strict: true, members: []member{
		{"include_usage", atIncludeUsage},
	}},
	atIncludeUsage: {name: "stream_options.include_usage", accepts: boolean | null, want: "true or false"},

	atMessages: {name: "messages", accepts: array, want: "an array", how: read, element: atMessage},
	atMessage: {name: "messages[]", accepts: object, want: "an object", how: read, members: []member{
		{"role", atRole},
		{"content", atContent},
		{"name", atWords},
		{"tool_calls", atCalls},
		{"function_call", atFunction},
		{"refusal", atWords},
	}},
	atRole:    {name: "messages[].role", accepts: text, want: "a string", how: read},
	atContent: {name: "messages[].content", accepts: text | array | null, want: "a string or an array", how: read, element: atPart},
	atPart: {how: read, members: []member{
		{"text", atWords},
		{"refusal", atWords},
		{"image_url", atImage},
	}},
	atImage: {},
	atWords: {how: read},
	atCalls: {how: read, element: atCall},
	atCall: {how: read, members: []member{
		{"function", atFunction},
		{"custom", atFunction},
	}},
	atFunction: {how: read, members: []member{
		{"name", atWords},
		{"arguments", atWords},
		{"input", atWords},
	}},

	atPrompts: {name: "prompt", accepts: text | array, want: "a string or an array", how: read, element: atPrompt},
	atInput:   {name: "input", accepts: text | array, want: "a string or an array", how: read, element: atPrompt},
	atPrompt:  {how: read, element: atID},
	atID:      {how: count},

	atSuffix:    {name: "suffix", accepts: text | null, want: "a string", how: read},
	atFunctions: {name: "functions", accepts: array | null, want: "an array", how: raw},
	atTools:     {name: "tools", accepts: array | null, want: "an array", how: raw},
	atFormat: {name: "response_format", accepts: object | null, want: "an object", how: read, members: []member{
		{"json_schema", atSchema},
	}},
	atSchema: {how: raw},
}
