package chat

import "bytes"

// Splice replaces the front of a body, which Envoy can do without copying the
// rest: the first Drop bytes by Insert. The zero Splice changes nothing.
type Splice struct {
	Drop   int
	Insert []byte

	at, delta int // from the offset at on, what stays moves by delta
}

// Move is where a span of the original body lies after the splice. The span must
// not reach into the value that the splice changes.
func (s Splice) Move(p Span) Span {
	if p.Start < s.at {
		return p
	}
	return Span{p.Start + s.delta, p.End + s.delta}
}

// ForceUsage says how the body must change for the backend to report the usage
// of a stream: stream_options.include_usage true, the other stream options kept.
// head returns the first n bytes of the body. ok is false if nothing must change,
// because the answer is not streamed or the client asked for it itself.
//
// Where the client sent no stream_options, an opening brace is all that is
// replaced. Where it did, all that stands before them is copied.
func (r *Request) ForceUsage(head func(n int) []byte) (s Splice, ok bool) {
	if !r.Stream || r.IncludeUsage {
		return Splice{}, false
	}
	const member = `"include_usage":true`
	if r.options == (Span{}) {
		insert := []byte(`{"stream_options":{` + member + `},`)
		return Splice{r.top, insert, r.top, len(insert) - r.top}, true
	}

	front := head(r.options.End)
	old := front[r.options.Start:]
	insert := append(make([]byte, 0, len(front)+len(member)+2), front[:r.options.Start]...)
	switch {
	case r.null:
		insert = append(insert, `{`+member+`}`...)
	case r.include != (Span{}):
		insert = append(insert, front[r.options.Start:r.include.Start]...)
		insert = append(insert, "true"...)
		insert = append(insert, front[r.include.End:]...)
	case bytes.HasPrefix(bytes.TrimLeft(old[1:], space), []byte("}")):
		insert = append(insert, `{`+member+`}`...)
	default:
		insert = append(insert, `{`+member+`,`...)
		insert = append(insert, old[1:]...)
	}
	return Splice{r.options.End, insert, r.options.End, len(insert) - r.options.End}, true
}

// Front is the empty span behind the body's opening brace, where a member can be
// put in.
func (r *Request) Front() Span { return Span{r.top, r.top} }

const space = " \t\r\n"
