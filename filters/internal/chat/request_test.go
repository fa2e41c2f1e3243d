package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// tape is a Prompt that writes down what it receives, a text as "…".
type tape struct {
	got  []string
	text []byte
}

func (t *tape) Message()      { t.got = append(t.got, "message") }
func (t *tape) Text(p []byte) { t.text = append(t.text, p...) }
func (t *tape) End()          { t.got = append(t.got, `"`+string(t.text)+`"`); t.text = nil }
func (t *tape) IDs(n int)     { t.got = append(t.got, "ids "+strconv.Itoa(n)) }
func (t *tape) Image()        { t.got = append(t.got, "image") }

// take reads a body in chunks.
func take(op Operation, chunks ...string) (Request, []string, error) {
	var p tape
	b := NewBody(op, &p)
	for _, c := range chunks {
		if err := b.Write([]byte(c)); err != nil {
			return Request{}, nil, err
		}
	}
	r, err := b.Close()
	return r, p.got, err
}

var bodies = []struct {
	name   string
	op     Operation
	body   string
	want   Request
	prompt []string
}{
	{
		name: "chat",
		op:   ChatCompletions,
		body: `{"model":"gpt-4o","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi","name":"ann"}]}`,
		want: Request{Model: "gpt-4o", ModelSpan: Span{9, 17}, MaxTokens: -1, N: 1},
		prompt: []string{
			"message", `"system"`, `"Be brief."`,
			"message", `"user"`, `"Hi"`, `"ann"`,
		},
	},
	{
		name:   "everything, model last",
		op:     ChatCompletions,
		body:   "\n{ \"stream\" : true , \"stream_options\" : { \"include_usage\" : true } , \"max_tokens\" : 9 , \"max_completion_tokens\" : 7 , \"n\" : 3 , \"messages\" : [ { \"role\" : \"user\" , \"content\" : \"x\" } ] , \"model\" : \"m\" } ",
		want:   Request{Model: "m", ModelSpan: Span{195, 198}, Stream: true, IncludeUsage: true, MaxTokens: 7, N: 3},
		prompt: []string{"message", `"user"`, `"x"`},
	},
	{
		name:   "escapes",
		op:     ChatCompletions,
		body:   `{"mod\u0065l":"gpt\u002d4o","m\u0065ssages":[{"role":"us\u0065r","content":"a\n\u6f22\ud83d\ude00\"\ud83d."}]}`,
		want:   Request{Model: "gpt-4o", ModelSpan: Span{14, 27}, MaxTokens: -1, N: 1},
		prompt: []string{"message", `"user"`, "\"a\n漢😀\"�.\""},
	},
	{
		name:   "no model, nulls",
		op:     ChatCompletions,
		body:   `{"messages":[{"role":"assistant","content":null}],"stream":null,"stream_options":null,"max_tokens":null,"max_completion_tokens":null,"n":null,"tools":null,"response_format":null}`,
		want:   Request{MaxTokens: -1, N: 1},
		prompt: []string{"message", `"assistant"`},
	},
	{
		name: "parts",
		op:   ChatCompletions,
		body: `{"model":"m","messages":[{"role":"user","content":[
			{"type":"text","text":"What is this?"},
			{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}},
			{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},
			{"type":"file","file":{"file_data":"AAAA","filename":"a.pdf"}},
			{"type":"image_url","image_url":"https://example.com/a.png"},
			{"type":"image_url","image_url":null},
			{"type":"refusal","refusal":"No."},
			"bare", 7, null, ["deep"]]}]}`,
		want:   Request{Model: "m", ModelSpan: Span{9, 12}, MaxTokens: -1, N: 1},
		prompt: []string{"message", `"user"`, `"What is this?"`, "image", "image", `"No."`, `"bare"`},
	},
	{
		name: "tools",
		op:   ChatCompletions,
		body: `{"model":"m","messages":[
			{"role":"assistant","content":"","tool_calls":[
				{"id":"call_1","type":"function","function":{"name":"get","arguments":"{\"a\": 1}"}},
				{"id":"call_2","type":"custom","custom":{"name":"run","input":"ls"}}]},
			{"role":"tool","tool_call_id":"call_1","content":"42"},
			{"role":"assistant","refusal":"No.","function_call":{"name":"f","arguments":"{}"}}],
			"tools":[{"type":"function","function":{"name":"get"}}],
			"functions":[{"name":"f"}],
			"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}},
			"tool_choice":"auto","user":"ann","metadata":{"model":"other"}}`,
		want: Request{Model: "m", ModelSpan: Span{9, 12}, MaxTokens: -1, N: 1},
		prompt: []string{
			"message", `"assistant"`, `""`, `"get"`, `"{"a": 1}"`, `"run"`, `"ls"`,
			"message", `"tool"`, `"42"`,
			"message", `"assistant"`, `"No."`, `"f"`, `"{}"`,
			`"[{"type":"function","function":{"name":"get"}}]"`,
			`"[{"name":"f"}]"`,
			`"{"name":"s","schema":{"type":"object"}}"`,
		},
	},
	{
		name:   "integers in other clothes",
		op:     ChatCompletions,
		body:   `{"messages":[{"role":"user"}],"max_tokens":16.0,"n":2e0}`,
		want:   Request{MaxTokens: 16, N: 2},
		prompt: []string{"message", `"user"`},
	},
	{
		name:   "no output wanted",
		op:     Completions,
		body:   `{"prompt":"x","max_tokens":0}`,
		want:   Request{MaxTokens: 0, N: 1},
		prompt: []string{`"x"`},
	},
	{
		name:   "completion",
		op:     Completions,
		body:   `{"model":"m","prompt":"Once","suffix":"end.","best_of":4,"n":2,"stream":false}`,
		want:   Request{Model: "m", ModelSpan: Span{9, 12}, MaxTokens: -1, N: 4},
		prompt: []string{`"Once"`, `"end."`},
	},
	{
		name:   "several prompts",
		op:     Completions,
		body:   `{"model":"m","prompt":["a","b",[1,2,3]],"n":2}`,
		want:   Request{Model: "m", ModelSpan: Span{9, 12}, MaxTokens: -1, N: 6},
		prompt: []string{`"a"`, `"b"`, "ids 3"},
	},
	{
		name:   "one prompt of tokens",
		op:     Completions,
		body:   `{"model":"m","prompt":[15496, 11, 995]}`,
		want:   Request{Model: "m", ModelSpan: Span{9, 12}, MaxTokens: -1, N: 1},
		prompt: []string{"ids 3"},
	},
	{
		name:   "embeddings",
		op:     Embeddings,
		body:   `{"input":["one","two",{"image":"AAAA"}],"model":"text-embedding-3-small","dimensions":256,"stream":"whatever"}`,
		want:   Request{Model: "text-embedding-3-small", ModelSpan: Span{48, 72}, MaxTokens: -1, N: 1},
		prompt: []string{`"one"`, `"two"`},
	},
	{
		name:   "embeddings of tokens",
		op:     Embeddings,
		body:   `{"input":[[1,2],[3]],"model":"m"}`,
		want:   Request{Model: "m", ModelSpan: Span{29, 32}, MaxTokens: -1, N: 1},
		prompt: []string{"ids 2", "ids 1"},
	},
	{
		name: "unknown operation",
		op:   Unknown,
		body: `{"model":"m","stream":true,"messages":1}`,
		want: Request{Model: "m", ModelSpan: Span{9, 12}, Stream: true, MaxTokens: -1, N: 1},
	},
}

func TestBody(t *testing.T) {
	for _, c := range bodies {
		t.Run(c.name, func(t *testing.T) {
			each(c.body, func(chunks ...string) {
				got, prompt, err := take(c.op, chunks...)
				if err != nil {
					t.Fatalf("split %q: %v", chunks, err)
				}
				if diff := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(Request{})); diff != "" {
					t.Fatalf("split %q: request (-want +got):\n%s", chunks, diff)
				}
				if diff := cmp.Diff(c.prompt, prompt); diff != "" {
					t.Fatalf("split %q: prompt (-want +got):\n%s", chunks, diff)
				}
			})
		})
	}
}

func TestBodyRefuses(t *testing.T) {
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	for _, c := range []struct {
		name string
		op   Operation
		body string
		want string
	}{
		{"nothing", ChatCompletions, ``, `body: want an object, got nothing`},
		{"white space", ChatCompletions, " \n", `body: want an object, got nothing`},
		{"array", ChatCompletions, `[]`, `body: want an object, got an array`},
		{"string", ChatCompletions, `"x"`, `body: want an object, got a string`},
		{"null", Embeddings, `null`, `body: want an object, got null`},
		{"truncated", ChatCompletions, `{` + hi, `body: not JSON at byte 44: it ends too early`},
		{"trailing garbage", ChatCompletions, `{` + hi + `}}`, `body: not JSON at byte 45: want nothing behind the value`},
		{"bad JSON in a value nobody reads", ChatCompletions, `{"user":{"a":[tru]}}`, `body: not JSON at byte 17: want a value`},

		{"no messages", ChatCompletions, `{"model":"m"}`, `messages: missing`},
		{"no prompt", Completions, `{"model":"m"}`, `prompt: missing`},
		{"no input", Embeddings, `{"model":"m","prompt":"x"}`, `input: missing`},

		{"model number", ChatCompletions, `{"model":1}`, `model: want a string, got a number`},
		{"model null", ChatCompletions, `{"model":null}`, `model: want a string, got null`},
		{"model empty", ChatCompletions, `{"model":""}`, `model: empty`},
		{"model long", ChatCompletions, `{"model":"` + strings.Repeat("x", 257) + `"}`, `model: longer than 256 bytes`},
		{"messages object", ChatCompletions, `{"messages":{}}`, `messages: want an array, got an object`},
		{"messages empty", ChatCompletions, `{"messages":[ ]}`, `messages: empty`},
		{"message string", ChatCompletions, `{"messages":["hi"]}`, `messages[0]: want an object, got a string`},
		{"third message array", ChatCompletions, `{"messages":[{"role":"user","content":[{},{}]},{"role":"user"},[]]}`, `messages[2]: want an object, got an array`},
		{"role missing", ChatCompletions, `{"messages":[{"role":"user"},{"content":"x"}]}`, `messages[1].role: missing`},
		{"role number", ChatCompletions, `{"messages":[{"role":1}]}`, `messages[0].role: want a string, got a number`},
		{"content number", ChatCompletions, `{"messages":[{"role":"user","content":1}]}`, `messages[0].content: want a string or an array, got a number`},
		{"content object", ChatCompletions, `{"messages":[{"role":"user","content":{}}]}`, `messages[0].content: want a string or an array, got an object`},
		{"prompt null", Completions, `{"prompt":null}`, `prompt: want a string or an array, got null`},
		{"input number", Embeddings, `{"input":1}`, `input: want a string or an array, got a number`},
		{"suffix", Completions, `{"suffix":1}`, `suffix: want a string, got a number`},
		{"stream string", ChatCompletions, `{"stream":"true"}`, `stream: want true or false, got a string`},
		{"stream number", Completions, `{"stream":1}`, `stream: want true or false, got a number`},
		{"stream options", ChatCompletions, `{"stream_options":true}`, `stream_options: want an object, got true`},
		{"include usage", ChatCompletions, `{"stream_options":{"include_usage":1}}`, `stream_options.include_usage: want true or false, got a number`},
		{"max tokens string", ChatCompletions, `{"max_tokens":"5"}`, `max_tokens: want an integer, got a string`},
		{"max tokens fraction", ChatCompletions, `{"max_tokens":1.5}`, `max_tokens: want an integer from 0 to 2147483647`},
		{"max tokens negative", ChatCompletions, `{"max_tokens":-1}`, `max_tokens: want an integer from 0 to 2147483647`},
		{"max tokens large", ChatCompletions, `{"max_completion_tokens":2147483648}`, `max_completion_tokens: want an integer from 0 to 2147483647`},
		{"max tokens huge", ChatCompletions, `{"max_tokens":1e400}`, `max_tokens: want an integer from 0 to 2147483647`},
		{"max tokens with a long exponent", ChatCompletions, `{"max_tokens":1e` + strings.Repeat("0", 300) + `9}`, `max_tokens: want an integer from 0 to 2147483647`},
		{"max tokens endless", ChatCompletions, `{"max_tokens":1` + strings.Repeat("0", 300) + `}`, `max_tokens: want an integer from 0 to 2147483647`},
		{"n zero", ChatCompletions, `{"n":0}`, `n: want an integer from 1 to 65536`},
		{"n true", ChatCompletions, `{"n":true}`, `n: want an integer, got true`},
		{"tools", ChatCompletions, `{"tools":{}}`, `tools: want an array, got an object`},
		{"functions", ChatCompletions, `{"functions":"x"}`, `functions: want an array, got a string`},
		{"response format", ChatCompletions, `{"response_format":"json"}`, `response_format: want an object, got a string`},

		{"model twice", ChatCompletions, `{"model":"a","messages":[{"role":"user"}],"model":"b"}`, `model: given twice`},
		{"model twice, once escaped", ChatCompletions, `{"model":"a","\u006dodel":"b"}`, `model: given twice`},
		{"messages twice", ChatCompletions, `{` + hi + `,` + hi + `}`, `messages: given twice`},
		{"stream twice", Completions, `{"stream":true,"stream":false}`, `stream: given twice`},
		{"stream options twice", ChatCompletions, `{"stream_options":{},"stream_options":{}}`, `stream_options: given twice`},
		{"include usage twice", ChatCompletions, `{"stream_options":{"include_usage":true,"include_usage":false}}`, `stream_options.include_usage: given twice`},
		{"max tokens twice", ChatCompletions, `{"max_tokens":1,"max_tokens":1}`, `max_tokens: given twice`},
		{"model in another case", ChatCompletions, `{"model":"a","Model":"b"}`, `model: given as "Model", want it in lower case`},
		{"stream in another case", ChatCompletions, `{"ſtream":true}`, `stream: given as "\u017ftream", want it in lower case`},
		{"include usage in another case", ChatCompletions, `{"stream_options":{"INCLUDE_USAGE":true}}`, `stream_options.include_usage: given as "INCLUDE_USAGE", want it in lower case`},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(c.body, func(chunks ...string) {
				_, _, err := take(c.op, chunks...)
				if err == nil || err.Error() != c.want {
					t.Fatalf("split %q: got %v, want %s", chunks, err, c.want)
				}
			})
		})
	}
}

// Bodies that a stricter reader might refuse, and backends do not.
func TestBodyLetsPass(t *testing.T) {
	for _, c := range []struct{ name, body string }{
		{"unknown members", `{"messages":[{"role":"user","x":[{"y":null}]}],"temperature":0.5,"logit_bias":{"1":2}}`},
		{"an unknown member twice", `{"messages":[{"role":"user"}],"user":"a","user":"b"}`},
		{"a key longer than any", `{"messages":[{"role":"user"}],"` + strings.Repeat("model", 100) + `":1}`},
		{"model further down", `{"messages":[{"role":"user","model":1}],"metadata":{"model":1,"stream":"x"}}`},
		{"both limits, tools and functions", `{"messages":[{"role":"user"}],"max_tokens":1,"max_completion_tokens":1,"tools":[],"functions":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(c.body, func(chunks ...string) {
				if _, _, err := take(ChatCompletions, chunks...); err != nil {
					t.Fatalf("split %q: %v", chunks, err)
				}
			})
		})
	}
}

// An error stays, and a body that was reset knows nothing of the one before.
func TestBodyReset(t *testing.T) {
	var p tape
	b := NewBody(ChatCompletions, &p)
	if err := b.Write([]byte(`{"model":"m\ud83d","stream":true,"n":4,"max_tokens":3,"messages":[{"role":"user","content":[1`)); err != nil {
		t.Fatal(err)
	}
	b.Reset(Completions, nil)
	if err := b.Write([]byte(`{"prompt":[1],"model":1`)); err == nil || err.Error() != "model: want a string, got a number" {
		t.Fatalf("got %v", err)
	}
	if _, err := b.Close(); err == nil || err.Error() != "model: want a string, got a number" {
		t.Fatalf("after the error: got %v", err)
	}
	b.Reset(Completions, nil)
	if err := b.Write([]byte(`{"prompt":"x"}`)); err != nil {
		t.Fatal(err)
	}
	got, err := b.Close()
	want := Request{MaxTokens: -1, N: 1}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Request{})); err != nil || diff != "" {
		t.Errorf("%v, request (-want +got):\n%s", err, diff)
	}
}

func TestForceUsage(t *testing.T) {
	const rest = `"messages":[{"role":"user"}]`
	for _, c := range []struct{ name, body, want string }{
		{"not streamed", `{` + rest + `}`, ""},
		{"streamed false", `{"stream":false,"stream_options":{"include_usage":false},` + rest + `}`, ""},
		{"asked for", `{"stream":true,"stream_options":{"include_usage":true},` + rest + `}`, ""},
		{"absent", `{"stream":true,` + rest + `}`, `{"stream_options":{"include_usage":true},"stream":true,` + rest + `}`},
		{"absent, spaced", " {\n \"stream\":true," + rest + `}`, `{"stream_options":{"include_usage":true},` + "\n \"stream\":true," + rest + `}`},
		{"null", `{"stream":true,"stream_options":null,` + rest + `}`, `{"stream":true,"stream_options":{"include_usage":true},` + rest + `}`},
		{"empty", `{"stream_options":{ },"stream":true,` + rest + `}`, `{"stream_options":{"include_usage":true},"stream":true,` + rest + `}`},
		{"false", `{"stream_options":{"include_usage": false },"stream":true,` + rest + `}`, `{"stream_options":{"include_usage": true },"stream":true,` + rest + `}`},
		{"null inside", `{"stream_options":{"include_usage":null},"stream":true,` + rest + `}`, `{"stream_options":{"include_usage":true},"stream":true,` + rest + `}`},
		{"other options", `{` + rest + `,"stream":true,"stream_options":{"include_obfuscation":false}}`, `{` + rest + `,"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}`},
		{"false among others", `{` + rest + `,"stream":true,"stream_options":{"a":1,"include_usage":false,"b":[2]}}`, `{` + rest + `,"stream":true,"stream_options":{"a":1,"include_usage":true,"b":[2]}}`},
	} {
		for _, model := range []string{`"model":"m1",`, ``} {
			for _, behind := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, model %q, behind %v", c.name, model, behind), func(t *testing.T) {
					with := func(body string) string {
						switch {
						case behind && model != "":
							return strings.TrimSuffix(body, "}") + `,` + strings.TrimSuffix(model, ",") + `}`
						case strings.HasPrefix(body, `{"stream_options":{"include_usage":true},`) && !strings.Contains(c.body, "stream_options"):
							return strings.Replace(body, "},", "},"+model, 1)
						}
						return strings.Replace(body, "{", "{"+model, 1)
					}
					in := with(c.body)
					out, ok := force(t, ChatCompletions, in)
					if want := with(c.want); !ok && c.want != "" || ok && out != want {
						t.Errorf("%s\n got %s\nwant %s", in, out, want)
					}
				})
			}
		}
	}
}

// force applies what ForceUsage wants, and checks that the model is still found.
func force(t *testing.T, op Operation, body string) (string, bool) {
	t.Helper()
	r, _, err := take(op, body)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := r.ForceUsage(func(n int) []byte { return []byte(body[:n]) })
	out := string(s.Insert) + body[s.Drop:]
	front := s.Move(r.Front())
	if with := out[:front.Start] + `"x":1,` + out[front.End:]; !json.Valid([]byte(with)) {
		t.Errorf("a member at the front makes %s", with)
	}
	was, is := r.ModelSpan, s.Move(r.ModelSpan)
	if got, want := out[is.Start:is.End], body[was.Start:was.End]; got != want {
		t.Errorf("the model's value is %s after the splice, want %s", got, want)
	}
	return out, ok
}

func FuzzBody(f *testing.F) {
	for _, c := range bodies {
		f.Add(uint8(c.op), []byte(c.body), uint16(5), uint16(9))
	}
	f.Add(uint8(1), []byte(`{"messages":[{"role":"user"}],"stream":true,"stream_options":{"a":{},"include_usage":false}}`), uint16(1), uint16(1))
	f.Fuzz(func(t *testing.T, o uint8, in []byte, a, b uint16) {
		op := Operation(o % 4)
		body := string(in)
		i := min(int(a), len(body))
		j := min(i+int(b), len(body))

		got, prompt, err := take(op, body[:i], body[i:j], body[j:])
		again, same, whole := take(op, body)
		if fmt.Sprint(err) != fmt.Sprint(whole) || got != again || !slices.Equal(prompt, same) {
			t.Fatalf("split: %+v %q %v\nwhole: %+v %q %v", got, prompt, err, again, same, whole)
		}
		if !json.Valid(in) {
			if err == nil {
				t.Fatal("accepted what is not JSON")
			}
			return
		}
		if err != nil {
			var bad *BadRequest
			if !errors.As(err, &bad) || bad.Field == "" && !strings.Contains(err.Error(), "want an object") && !strings.Contains(err.Error(), "deep") {
				t.Fatalf("%v, but it is JSON", err)
			}
			return
		}
		compare(t, op, in, got, prompt)
		if op != ChatCompletions && op != Completions {
			return
		}
		if out, ok := force(t, op, body); ok {
			forced(t, in, []byte(out))
		}
	})
}

// compare reads an accepted body again with encoding/json.
func compare(t *testing.T, op Operation, in []byte, got Request, prompt []string) {
	t.Helper()
	var top map[string]any
	d := json.NewDecoder(bytes.NewReader(in))
	d.UseNumber()
	if err := d.Decode(&top); err != nil {
		t.Fatal(err)
	}
	model, _ := top["model"].(string)
	if string([]rune(got.Model)) != model {
		t.Errorf("model is %q, want %q", got.Model, model)
	}
	if model != "" {
		var value string
		if err := json.Unmarshal(in[got.ModelSpan.Start:got.ModelSpan.End], &value); err != nil || value != model {
			t.Errorf("model span holds %q, %v, want %q", value, err, model)
		}
	}
	stream, _ := top["stream"].(bool)
	options, _ := top["stream_options"].(map[string]any)
	usage, _ := options["include_usage"].(bool)
	limit := int64(-1)
	for _, name := range []string{"max_completion_tokens", "max_tokens"} {
		if n, ok := top[name].(json.Number); ok && limit < 0 {
			f, _ := n.Float64()
			limit = int64(f)
		}
	}
	switch op {
	case Embeddings:
		stream, usage, limit = false, false, -1
	case Unknown:
		usage, limit = false, -1
	case Completions:
		limit = -1
		if n, ok := top["max_tokens"].(json.Number); ok {
			f, _ := n.Float64()
			limit = int64(f)
		}
	}
	if got.Stream != stream || got.IncludeUsage != usage || got.MaxTokens != limit {
		t.Errorf("got stream %v, usage %v, limit %d, want %v, %v, %d", got.Stream, got.IncludeUsage, got.MaxTokens, stream, usage, limit)
	}
	if op != ChatCompletions {
		return
	}
	list, _ := top["messages"].([]any)
	n := 0
	for _, p := range prompt {
		if p == "message" {
			n++
		}
	}
	if n != len(list) {
		t.Errorf("%d messages, want %d", n, len(list))
	}
	for _, m := range list {
		for _, key := range []string{"role", "content", "name", "refusal"} {
			s, ok := m.(map[string]any)[key].(string)
			if ok && !slices.ContainsFunc(prompt, func(p string) bool { return string([]rune(p)) == `"`+s+`"` }) {
				t.Errorf("%s %q is not among %q", key, s, prompt)
			}
		}
	}
}

// forced checks that out is in with usage asked for.
func forced(t *testing.T, in, out []byte) {
	t.Helper()
	var was, is map[string]json.RawMessage
	if err := json.Unmarshal(in, &was); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &is); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	var old, new map[string]json.RawMessage
	if raw := was["stream_options"]; raw != nil {
		if err := json.Unmarshal(raw, &old); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal(is["stream_options"], &new); err != nil {
		t.Fatal(err)
	}
	if string(new["include_usage"]) != "true" {
		t.Fatalf("usage is not asked for: %s", is["stream_options"])
	}
	delete(was, "stream_options")
	delete(is, "stream_options")
	delete(old, "include_usage")
	delete(new, "include_usage")
	equal := func(a, b json.RawMessage) bool { return string(a) == string(b) }
	if !maps.EqualFunc(was, is, equal) || !maps.EqualFunc(old, new, equal) {
		t.Errorf("more than the usage changed:\n%q\n%q", in, out)
	}
}

func TestBodyAllocations(t *testing.T) {
	body := []byte(`{"model":"gpt-4o","max_tokens":16,"stream":true,"messages":[{"role":"user","content":"` + strings.Repeat(`some text \n \u00e9 `, 500) + `"}],"tools":[{"a":1}]}`)
	var p silent
	b := NewBody(ChatCompletions, &p)
	n := testing.AllocsPerRun(100, func() {
		b.Reset(ChatCompletions, &p)
		for at := 0; at < len(body); at += 1000 {
			if err := b.Write(body[at:min(at+1000, len(body))]); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if n > 1 {
		t.Errorf("%v allocations, want one: the model's name", n)
	}
}

type silent struct{ n int }

func (s *silent) Message()      {}
func (s *silent) Text(p []byte) { s.n += len(p) }
func (s *silent) End()          {}
func (s *silent) IDs(int)       {}
func (s *silent) Image()        {}
