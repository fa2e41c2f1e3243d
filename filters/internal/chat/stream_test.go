package chat

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tollgate/tollgate/filters/internal/sse"
)

// pass sends a stream through in chunks.
func pass(hide bool, chunks ...string) (out, deltas string, s *Stream) {
	var got, text bytes.Buffer
	s = NewStream(hide, func(p []byte) { text.Write(p) })
	for i, c := range chunks {
		got.Write(s.Write([]byte(c), i == len(chunks)-1))
	}
	return got.String(), text.String(), s
}

const (
	first    = `{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]`
	hello    = `{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello \u6f22"},"finish_reason":null}]`
	finish   = `{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]`
	reported = `{"id":"c","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}`
)

var streams = []struct {
	name   string
	in     string
	out    string // with hide; "=" is the same
	deltas string
	usage  Usage
	known  bool
	done   bool
}{
	{
		name: "openai",
		in: "data: " + first + `,"usage":null,"obfuscation":"xY"}` + "\n\n" +
			"data: " + hello + `,"usage":null}` + "\n\n" +
			"data: " + finish + `,"usage":null}` + "\n\n" +
			"data: " + reported + "\n\ndata: [DONE]\n\n",
		out: "data: " + first + `,"obfuscation":"xY"}` + "\n\n" +
			"data: " + hello + "}\n\n" +
			"data: " + finish + "}\n\n" +
			"data: [DONE]\n\n",
		deltas: "Hello 漢",
		usage:  Usage{Prompt: 9, Completion: 2, Total: 11},
		known:  true,
		done:   true,
	},
	{
		name:   "crlf, spaces",
		in:     "data: {\"choices\": [{\"delta\": {\"content\": \"a\"}}], \"usage\": null}\r\n\r\ndata: {\"usage\": null, \"choices\": []}\r\n\r\ndata: {\"choices\": [ ], \"usage\": {\"total_tokens\": 0}}\r\n\r\ndata: [DONE]\r\n\r\n",
		out:    "data: {\"choices\": [{\"delta\": {\"content\": \"a\"}}]}\r\n\r\ndata: {\"choices\": []}\r\n\r\ndata: [DONE]\r\n\r\n",
		deltas: "a",
		known:  true,
		done:   true,
	},
	{
		name: "the member alone",
		in:   "data: { \"usage\" : null }\n\n",
		out:  "data: {  }\n\n",
	},
	{
		name: "azure's first chunk",
		in:   `data: {"choices":[],"usage":null,"prompt_filter_results":[{"prompt_index":0}]}` + "\n\n",
		out:  `data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}` + "\n\n",
	},
	{
		name:   "usage that is not the chunk's",
		in:     `data: {"choices":[{"delta":{"content":"\"usage\":null"},"usage":null}],"x":{"usage":null}}` + "\n\n",
		out:    "=",
		deltas: `"usage":null`,
	},
	{
		name:   "usage beside choices, the last one counts",
		in:     `data: {"choices":[{"delta":{"content":"a"}}],"usage":{"total_tokens":3}}` + "\n\n" + `data: {"choices":[{"delta":{"content":"b"}}],"usage":{"total_tokens":4}}` + "\n\n",
		out:    "=",
		deltas: "ab",
		usage:  Usage{Total: 4},
		known:  true,
	},
	{
		name:  "usage without choices at all",
		in:    `data: {"usage":{"total_tokens":3}}` + "\n\n",
		out:   "=",
		usage: Usage{Total: 3},
		known: true,
	},
	{
		name:   "usage is never reported",
		in:     `data: {"choices":[{"delta":{"reasoning_content":"Hm. ","content":null}}]}` + "\n\n" + `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{\"a"}}]}},{"delta":{"refusal":"no"}}]}` + "\n\ndata: [DONE]\n\n",
		out:    "=",
		deltas: `Hm. f{"ano`,
		done:   true,
	},
	{
		name:   "completions",
		in:     `data: {"choices":[{"text":"Once","index":0}],"usage":null}` + "\n\n",
		out:    `data: {"choices":[{"text":"Once","index":0}]}` + "\n\n",
		deltas: "Once",
	},
	{
		name: "comments, an error, what is not JSON",
		in:   ": ping\n\nevent: error\ndata: {\"error\":{\"message\":\"overloaded\",\"usage\":null}}\n\ndata: {\"usage\":null\n\ndata: oops \"usage\"\n\n",
		out:  "=",
	},
	{
		name: "several data lines",
		in:   "id: 1\ndata: {\"choices\":[],\ndata: \"usage\":null,\ndata:\"x\":1}\n\ndata: {\"usage\":null,\ndata: \"x\":2}\n\n",
		out:  "id: 1\ndata: {\"choices\":[],\ndata:\"x\":1}\n\ndata: {\"x\":2}\n\n",
	},
	{
		name:  "cut short",
		in:    "data: " + hello + `,"usage":null}` + "\n\ndata: " + reported + "\n",
		out:   "data: " + hello + "}\n\ndata: " + reported + "\n",
		usage: Usage{Prompt: 9, Completion: 2, Total: 11}, known: true,
		deltas: "Hello 漢",
	},
	{
		name: "no end behind the terminator",
		in:   "data: [DONE]",
		out:  "=",
		done: true,
	},
	{name: "nothing", out: "="},
}

func TestStream(t *testing.T) {
	for _, c := range streams {
		t.Run(c.name, func(t *testing.T) {
			each(c.in, func(chunks ...string) {
				if len(chunks) == 0 {
					chunks = []string{""}
				}
				out, deltas, s := pass(true, chunks...)
				want := c.out
				if want == "=" {
					want = c.in
				}
				if out != want {
					t.Fatalf("split %q:\n got %q\nwant %q", chunks, out, want)
				}
				if deltas != c.deltas {
					t.Fatalf("split %q: deltas %q, want %q", chunks, deltas, c.deltas)
				}
				if u, ok := s.Usage(); u != c.usage || ok != c.known || s.Done() != c.done {
					t.Fatalf("split %q: usage %+v, %v, done %v", chunks, u, ok, s.Done())
				}

				out, deltas, s = pass(false, chunks...)
				if u, _ := s.Usage(); out != c.in || deltas != c.deltas || u != c.usage || s.Done() != c.done {
					t.Fatalf("split %q, nothing hidden: %q, deltas %q, usage %+v, done %v", chunks, out, deltas, u, s.Done())
				}
			})
		})
	}
}

// Without deltas, usage is found all the same.
func TestStreamWithoutDeltas(t *testing.T) {
	for _, c := range streams {
		s := NewStream(true, nil)
		out := string(s.Write([]byte(c.in), true))
		if want := strings.TrimPrefix(c.out, "="); want != "" && out != want {
			t.Errorf("%s: got %q, want %q", c.name, out, want)
		}
		if u, ok := s.Usage(); u != c.usage || ok != c.known || s.Done() != c.done {
			t.Errorf("%s: usage %+v, %v, done %v", c.name, u, ok, s.Done())
		}
	}
}

// The LF of a CRLF goes with the chunk that was taken out before it came.
func TestStreamTail(t *testing.T) {
	out, _, _ := pass(true, "data: "+reported+"\r\n\r", "\ndata: [DONE]\r\n\r", "\n")
	if want := "data: [DONE]\r\n\r\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestStreamLarge(t *testing.T) {
	in := "data: " + first + `,"x":"` + strings.Repeat("x", 1<<20) + `","usage":null}` + "\n\ndata: {\"usage\":null}\n\n"
	want := strings.Replace(in, "data: {\"usage\":null}\n", "data: {}\n", 1)
	var chunks []string
	for rest := in; rest != ""; {
		n := min(len(rest), 10_000)
		chunks, rest = append(chunks, rest[:n]), rest[n:]
	}
	if out, _, _ := pass(true, chunks...); out != want {
		t.Errorf("got %d bytes, want %d", len(out), len(want))
	}
}

// What does not change is neither copied nor held.
func TestStreamInPlace(t *testing.T) {
	chunk := []byte("data: " + hello + "}\n\ndata: " + finish + "}\n\n")
	for _, hide := range []bool{true, false} {
		s := NewStream(hide, func([]byte) {})
		s.Write(chunk, false)
		if out := s.Write(chunk, false); len(out) != len(chunk) || &out[0] != &chunk[0] {
			t.Errorf("hide %v: the chunk was copied", hide)
		}
		if n := testing.AllocsPerRun(100, func() { s.Write(chunk, false) }); n != 0 {
			t.Errorf("hide %v: %v allocations, want none", hide, n)
		}
	}
	s := NewStream(true, func([]byte) {})
	dropped := []byte("data: " + reported + "\n\n" + string(chunk))
	if out := s.Write(dropped, true); string(out) != string(chunk) || &out[0] != &dropped[len(dropped)-len(chunk)] {
		t.Errorf("what is behind a dropped event was copied: %q", out)
	}
}

// Editing costs no memory either, once there is a buffer.
func TestStreamAllocations(t *testing.T) {
	chunk := []byte("data: " + hello + `,"usage":null}` + "\n\ndata: " + finish + `,"usage":null}` + "\n\n")
	s := NewStream(true, func([]byte) {})
	n := testing.AllocsPerRun(100, func() {
		s.Write(chunk[:200], false)
		s.Write(chunk[200:], false)
	})
	if n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// apart sends each event through a stream of its own.
func apart(in string) (out, deltas string) {
	var r sse.Reader
	for chunk := []byte(in); ; {
		e, rest, ok := r.Next(chunk)
		if !ok {
			break
		}
		o, d, _ := pass(true, string(e.Raw))
		out, deltas, chunk = out+o, deltas+d, rest
	}
	o, d, _ := pass(true, string(r.Rest().Raw))
	return out + o, deltas + d
}

// What was learnt from one event must not be believed of the next.
func TestStreamHead(t *testing.T) {
	event := func(s string) string { return "data: " + s + "\n\n" }
	a := event(`{"id":"a","choices":[{"index":0,"delta":{"content":"x"}}],"usage":null}`)
	b := event(`{"id":"a","choices":[{"index":1,"delta":{"content":"y"}}],"usage":null}`)
	for _, c := range []struct{ name, in string }{
		{"alike", a + a + a + a},
		{"two choices in turn", a + b + a + b + b + b + a},
		{"other members in front", a + a + event(`{"id":"b","usage":null,"choices":[{"delta":{"content":"z"}}]}`) + a + a},
		{"usage in front", strings.Repeat(event(`{"usage":null,"choices":[{"delta":{"content":"z"}}]}`), 4)},
		{"report in front", strings.Repeat(event(`{"usage":{"total_tokens":1},"choices":[{"delta":{"content":"z"}}]}`), 4)},
		{"text", strings.Repeat(event(`{"choices":[{"text":"a","index":0}],"usage":null}`), 4)},
		{"the same front, then no delta", a + a + event(`{"id":"a","choices":[{"index":0,"delta":null}],"usage":null}`) + a},
		{"the same front, then an end", a + a + event(`{"id":"a","choices":[{"index":0,"delta":`) + a},
		{"the same front, then not JSON", a + a + event(`{"id":"a","choices":[{"index":0,"delta":{"content":"x"}}],"usage":nil}`) + a},
		{"the report at the end", a + a + event(reported)},
		{"a long front", strings.Repeat(event(`{"id":"`+strings.Repeat("x", 5000)+`","choices":[{"delta":{"content":"z"}}],"usage":null}`), 3)},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, text := apart(c.in)
			for _, chunks := range [][]string{{c.in}, strings.SplitAfter(c.in, "\n"), {c.in[:len(c.in)/2], c.in[len(c.in)/2:]}} {
				out, deltas, _ := pass(true, chunks...)
				if out != want || deltas != text {
					t.Errorf("in %d chunks:\n got %q, deltas %q\nwant %q, deltas %q", len(chunks), out, deltas, want, text)
				}
			}
		})
	}
}

func FuzzStream(f *testing.F) {
	for _, c := range streams {
		f.Add([]byte(c.in), uint16(7), uint16(30))
	}
	like := "data: " + hello + ",\"usage\":null}\n\n"
	f.Add([]byte(like+like+like+like), uint16(50), uint16(300))
	f.Fuzz(func(t *testing.T, in []byte, a, b uint16) {
		in = in[:min(len(in), 4096)]
		i := min(int(a), len(in))
		j := min(i+int(b), len(in))
		want, text, s := pass(true, string(in))
		usage, known := s.Usage()
		check := func(chunks ...string) {
			out, deltas, r := pass(true, chunks...)
			u, ok := r.Usage()
			if out != want || deltas != text || u != usage || ok != known || r.Done() != s.Done() {
				t.Fatalf("split %q: %q, deltas %q, usage %+v\nwhole: %q, deltas %q, usage %+v", chunks, out, deltas, u, want, text, usage)
			}
			if out, _, _ := pass(false, chunks...); out != string(in) {
				t.Fatalf("nothing hidden, split %q: %q", chunks, out)
			}
		}
		check(string(in[:i]), string(in[i:j]), string(in[j:]))
		if out, deltas := apart(string(in)); !bytes.Contains(in, []byte("\xEF\xBB\xBF")) && (out != want || deltas != text) {
			t.Fatalf("each event by itself: %q, deltas %q\ntogether: %q, deltas %q", out, deltas, want, text)
		}
		each(string(in[:min(len(in), 64)]), func(chunks ...string) {
			check(append(chunks, string(in[min(len(in), 64):]))...)
		})
	})
}

// An edited chunk is the chunk without its usage, to any reader of JSON.
func FuzzLift(f *testing.F) {
	f.Add([]byte(`{"a":1,"usage":null,"b":[{"usage":null}]}`))
	f.Add([]byte(`{"usage" : null , "b":2}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var was map[string]json.RawMessage
		if bytes.ContainsAny(in, "\r\n") || json.Unmarshal(in, &was) != nil || was == nil || in[0] != '{' {
			return
		}
		out := NewStream(true, nil).Write([]byte("data:"+string(in)+"\n\n"), true)
		if len(out) == 0 {
			return
		}
		var is map[string]json.RawMessage
		if err := json.Unmarshal(out[len("data:"):], &is); err != nil {
			t.Fatalf("%q became %q: %v", in, out, err)
		}
		if string(was["usage"]) == "null" && is["usage"] == nil {
			delete(was, "usage")
		}
		if len(was) != len(is) {
			t.Fatalf("%q became %q", in, out)
		}
		for k, v := range was {
			if string(is[k]) != string(v) {
				t.Fatalf("%q became %q", in, out)
			}
		}
	})
}
