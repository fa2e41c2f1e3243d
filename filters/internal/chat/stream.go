package chat

import (
	"bytes"

	"github.com/tollgate/tollgate/filters/internal/sse"
)

// Stream reads a streamed answer as it passes, and takes out of it again what is
// there only because the gateway asked for usage and the client did not:
//
//   - the chunk with usage and without choices goes as a whole,
//   - the member "usage":null that the other chunks then have goes with its comma.
//
// All else stays as it is, byte for byte. In particular a chunk with choices and
// usage stays: its backend reports so unasked. Errors in a stream, comments, and
// events over 1 MiB, which are not read, stay too. A backend that writes
// "usage":null unasked cannot be told from one that was asked: it goes.
type Stream struct {
	reader sse.Reader
	answer *Answer
	words  bool // somebody wants the text
	hide   bool
	done   bool
	gone   bool // the last event was taken out
	head   head
	out    []byte // scratch for a changed chunk
}

// NewStream returns a reader that edits if hide is set. deltas, which may be nil,
// gets what the model wrote, as for NewAnswer; with it every chunk is parsed,
// without it only those that mention usage.
func NewStream(hide bool, deltas func(text []byte)) *Stream {
	return &Stream{answer: NewAnswer(deltas), words: deltas != nil, hide: hide}
}

// Write reads the next chunk of the stream, the last one if end is set, and
// returns what the client gets in its place: a slice of chunk where nothing is
// taken out or put together, else one that is valid until the next call. Without
// hide it is always chunk; with it, only whole events leave until the end.
func (s *Stream) Write(chunk []byte, end bool) []byte {
	out, from, at := s.out[:0], 0, 0
	for {
		e, rest, ok := s.reader.Next(chunk[at:])
		if !ok {
			break
		}
		next := len(chunk) - len(rest)
		cut := s.event(&e)
		switch {
		case e.Carried:
			out = append(out, e.Raw[:cut.Start]...)
			out = append(out, e.Raw[cut.End:]...)
			from = next
		case cut.End > 0:
			out = append(out, chunk[from:at+cut.Start]...)
			from = at + cut.End
		}
		at = next
	}
	var tail []byte
	if end {
		// Clients drop an event without an end, so nothing is taken out of it.
		e := s.reader.Rest()
		s.event(&e)
		tail = e.Raw
	}
	switch {
	case !s.hide:
		return chunk
	case len(out)+len(tail) == 0:
		return chunk[from:at]
	}
	s.out = append(append(out, chunk[from:at]...), tail...)
	return s.out
}

// Usage is the last usage the backend reported.
func (s *Stream) Usage() (Usage, bool) { return s.answer.Usage() }

// Done is whether the stream's terminator, [DONE], was seen.
func (s *Stream) Done() bool { return s.done }

// event reads an event and returns the part of its Raw to take out.
func (s *Stream) event(e *sse.Event) (cut Span) {
	if e.Tail && s.gone {
		return Span{0, len(e.Raw)}
	}
	s.gone = false
	switch {
	case bytes.Equal(e.Data, terminator):
		s.done = true
		return Span{}
	case len(e.Data) == 0, !s.words && !bytes.Contains(e.Data, usageName):
		return Span{}
	}

	a := s.answer
	if !s.parse(e.Data) {
		return Span{}
	}
	switch {
	case a.reported == object && a.empty:
		s.gone = true
		return Span{0, len(e.Raw)}
	case a.reported == null:
		cut = lift(e.Data, a.member)
		return Span{e.Offset(cut.Start), e.Offset(cut.End)}
	}
	return Span{}
}

// parse reads a payload. Payloads of one stream are all alike up to the first
// delta, so where one begins as the last one did, reading goes on behind that, as
// it went on then.
func (s *Stream) parse(data []byte) bool {
	a, h := s.answer, &s.head
	switch {
	case len(h.data) == 0 || !bytes.HasPrefix(data, h.data):
		a.reset()
		a.scanner.write(data)
		if h.data, h.read = h.data[:0], false; a.front <= maxHead {
			h.data = append(h.data, data[:a.front]...)
		}
		return a.scanner.close() == nil
	case !h.read:
		a.reset()
		a.scanner.write(h.data)
		h.behind, h.read = a.scanner, true
	default:
		a.scanner, a.facts = h.behind, facts{}
	}
	a.scanner.write(data[len(h.data):])
	return a.scanner.close() == nil
}

// head is how the last payload began.
type head struct {
	data   []byte
	behind scanner // what the scanner is behind data, if read
	read   bool
}

const maxHead = 4 << 10

var (
	terminator = []byte("[DONE]")
	usageName  = []byte(`"usage"`)
)

// lift is what must go of an object for a member to go: the member and the comma
// before it, or if it is the first, the comma behind it and the white space
// between that and the next.
func lift(data []byte, member Span) Span {
	before := bytes.TrimRight(data[:member.Start], space)
	if before[len(before)-1] == ',' {
		return Span{len(before) - 1, member.End}
	}
	after := bytes.TrimLeft(data[member.End:], space)
	if after[0] == ',' {
		member.End = len(data) - len(bytes.TrimLeft(after[1:], space))
	}
	return member
}
