package sse

import (
	"bytes"
	"strings"
	"testing"
)

// want is an event with what Tail brought added to the event before it.
type want struct {
	raw, data string
	none      bool // no data at all
}

var streams = []struct {
	name, in string
	events   []want
	rest     string
}{
	{name: "nothing"},
	{name: "one", in: "data: a\n\n", events: []want{{raw: "data: a\n\n", data: "a"}}},
	{name: "two", in: "data: a\n\ndata: b\n\n", events: []want{{raw: "data: a\n\n", data: "a"}, {raw: "data: b\n\n", data: "b"}}},
	{name: "crlf", in: "data: a\r\n\r\ndata: b\r\n\r\n", events: []want{{raw: "data: a\r\n\r\n", data: "a"}, {raw: "data: b\r\n\r\n", data: "b"}}},
	{name: "cr", in: "data: a\r\rdata: b\r\r", events: []want{{raw: "data: a\r\r", data: "a"}, {raw: "data: b\r\r", data: "b"}}},
	{name: "mixed ends", in: "data: a\n\r\ndata: b\r\ndata: c\n\r", events: []want{{raw: "data: a\n\r\n", data: "a"}, {raw: "data: b\r\ndata: c\n\r", data: "b\nc"}}},
	{name: "no space", in: "data:a\n\n", events: []want{{raw: "data:a\n\n", data: "a"}}},
	{name: "two spaces", in: "data:  a\n\n", events: []want{{raw: "data:  a\n\n", data: " a"}}},
	{name: "empty value", in: "data:\n\n", events: []want{{raw: "data:\n\n"}}},
	{name: "no colon", in: "data\n\n", events: []want{{raw: "data\n\n"}}},
	{name: "longer name", in: "datas: a\n\n", events: []want{{raw: "datas: a\n\n", none: true}}},
	{name: "comment", in: ": ping\n\n", events: []want{{raw: ": ping\n\n", none: true}}},
	{name: "fields around", in: "event: x\nid: 1\ndata: a\nretry: 3\n: c\n\n", events: []want{{raw: "event: x\nid: 1\ndata: a\nretry: 3\n: c\n\n", data: "a"}}},
	{name: "lines", in: "data: a\n: c\ndata:b\ndata\n\n", events: []want{{raw: "data: a\n: c\ndata:b\ndata\n\n", data: "a\nb\n"}}},
	{name: "empty lines", in: "\n\r\n\ndata: a\n\n", events: []want{{raw: "\n", none: true}, {raw: "\r\n", none: true}, {raw: "\n", none: true}, {raw: "data: a\n\n", data: "a"}}},
	{name: "byte order mark", in: "\xEF\xBB\xBFdata: a\n\n", events: []want{{raw: "\xEF\xBB\xBFdata: a\n\n", data: "a"}}},
	{name: "byte order mark later", in: "data: a\n\n\xEF\xBB\xBFdata: b\n\n", events: []want{{raw: "data: a\n\n", data: "a"}, {raw: "\xEF\xBB\xBFdata: b\n\n", none: true}}},
	{name: "unfinished", in: "data: a\n\ndata: b\n", events: []want{{raw: "data: a\n\n", data: "a"}}, rest: "data: b\n"},
	{name: "text", in: "data: é漢😀\n\n", events: []want{{raw: "data: é漢😀\n\n", data: "é漢😀"}}},
}

func TestReader(t *testing.T) {
	for _, c := range streams {
		t.Run(c.name, func(t *testing.T) {
			for cut := range len(c.in) + 1 {
				check(t, c.events, c.rest, c.in[:cut], c.in[cut:])
			}
			check(t, c.events, c.rest, strings.Split(c.in, "")...)
		})
	}
}

func check(t *testing.T, events []want, rest string, chunks ...string) {
	t.Helper()
	got, left := read(t, chunks...)
	if len(got) != len(events) {
		t.Fatalf("split %q: got %d events, want %d: %+v", chunks, len(got), len(events), got)
	}
	for i, w := range events {
		if g := got[i]; g != w {
			t.Errorf("split %q: event %d is %+v, want %+v", chunks, i, g, w)
		}
	}
	if left != rest {
		t.Errorf("split %q: rest is %q, want %q", chunks, left, rest)
	}
}

// read is what a reader makes of the chunks; the pieces of a large event are one.
func read(t testing.TB, chunks ...string) (events []want, rest string) {
	var r Reader
	large := false
	for _, chunk := range chunks {
		in := []byte(chunk)
		for {
			e, after, ok := r.Next(in)
			if !ok {
				break
			}
			if !e.Carried && &e.Raw[0] != &in[0] {
				t.Fatalf("raw %q is neither carried nor the front of the chunk", e.Raw)
			}
			offsets(t, &e)
			w := want{raw: string(e.Raw), data: string(e.Data), none: e.Data == nil}
			if e.Tail || e.Large && large {
				events[len(events)-1].raw += w.raw
			} else {
				events = append(events, w)
			}
			large = e.Large
			in = after
		}
	}
	return events, string(r.Rest().Raw)
}

// offsets checks that each byte of Data stands in Raw where Offset says.
func offsets(t testing.TB, e *Event) {
	for i, c := range e.Data {
		if at := e.Offset(i); e.Raw[at] != c && c != '\n' {
			t.Fatalf("event %q: Offset(%d) is %d, where %q stands, want %q", e.Raw, i, at, e.Raw[at], c)
		}
	}
	if e.Data != nil && e.Offset(len(e.Data)) > len(e.Raw) {
		t.Fatalf("event %q: the end of its data is at %d", e.Raw, e.Offset(len(e.Data)))
	}
}

// A complete event is there as soon as its last byte is, and in place.
func TestReaderHoldsNothingBack(t *testing.T) {
	in := []byte("data: a\r\n\r\ndata: b")
	var r Reader
	e, rest, ok := r.Next(in)
	if !ok || string(e.Raw) != "data: a\r\n\r\n" || e.Carried || &e.Raw[0] != &in[0] {
		t.Fatalf("first event: %q, carried %v, ok %v", e.Raw, e.Carried, ok)
	}
	if e, _, ok := r.Next(rest); ok {
		t.Fatalf("an event %q before its end", e.Raw)
	}
	e, rest, ok = r.Next([]byte("\n\r"))
	if !ok || string(e.Raw) != "data: b\n\r" || !e.Carried || len(rest) != 0 {
		t.Fatalf("second event: %q, carried %v, ok %v, rest %q", e.Raw, e.Carried, ok, rest)
	}
	e, rest, ok = r.Next([]byte("\ndata: c\n\n"))
	if !ok || string(e.Raw) != "\n" || !e.Tail {
		t.Fatalf("tail: %q %v %v", e.Raw, e.Tail, ok)
	}
	if e, _, ok = r.Next(rest); !ok || string(e.Data) != "c" {
		t.Fatalf("third event: %q %v", e.Data, ok)
	}
}

func TestReaderLarge(t *testing.T) {
	fits := "data: " + strings.Repeat("x", Limit-7) + "\n"
	for _, c := range []struct {
		name  string
		event string
		large bool
	}{
		{"at the limit", fits + "\n", false},
		{"at the limit, crlf", fits + "\r\n", false},
		{"one beyond", "data: x" + fits[6:] + "\n", true},
		{"far beyond", strings.Repeat(fits, 3) + "\r\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{len(c.event) + 9, len(c.event) - 1, 16 << 10, 4093} {
				var chunks []string
				for in := c.event + "data: b\n\n"; in != ""; {
					n := min(size, len(in))
					chunks, in = append(chunks, in[:n]), in[n:]
				}
				got, rest := read(t, chunks...)
				if len(got) != 2 || got[0].raw != c.event || got[0].none != c.large || got[1].data != "b" || rest != "" {
					t.Errorf("chunks of %d: %d events, the first of %d bytes with data %v, rest %d",
						size, len(got), len(got[0].raw), !got[0].none, len(rest))
				}
			}
		})
	}
}

func TestReaderAllocations(t *testing.T) {
	chunk := bytes.Repeat([]byte("data: {\"choices\":[]}\n\n"), 40)
	var r Reader
	pass := func() {
		for in, cut := chunk, 7; len(in) > 0; cut += 5 {
			n := min(cut, len(in))
			for piece := in[:n]; ; {
				_, rest, ok := r.Next(piece)
				if !ok {
					break
				}
				piece = rest
			}
			in = in[n:]
		}
	}
	pass()
	if n := testing.AllocsPerRun(100, pass); n != 0 {
		t.Errorf("%v allocations per pass, want none", n)
	}
}

func FuzzReader(f *testing.F) {
	for _, c := range streams {
		f.Add([]byte(c.in), uint16(1), uint16(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, a, b uint16) {
		in = in[:min(len(in), 4096)]
		whole, rest := read(t, string(in))
		var raw strings.Builder
		for _, e := range whole {
			raw.WriteString(e.raw)
		}
		if raw.WriteString(rest); raw.String() != string(in) {
			t.Fatalf("raw is %q, want %q", raw.String(), in)
		}
		i := min(int(a), len(in))
		j := min(i+int(b), len(in))
		check(t, whole, rest, string(in[:i]), string(in[i:j]), string(in[j:]))
		check(t, whole, rest, strings.Split(string(in), "")...)
	})
}

func BenchmarkReader(b *testing.B) {
	event := "data: " + strings.Repeat("x", 280) + "\n\n"
	for _, c := range []struct {
		name  string
		chunk int
	}{{"whole events", 8 * len(event)}, {"cut events", 1000}} {
		b.Run(c.name, func(b *testing.B) {
			in := bytes.Repeat([]byte(event), 400)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				var r Reader
				for at := 0; at < len(in); at += c.chunk {
					piece := in[at:min(at+c.chunk, len(in))]
					for {
						_, rest, ok := r.Next(piece)
						if !ok {
							break
						}
						piece = rest
					}
				}
			}
		})
	}
}
