// Package sse cuts an event stream into its events, at any split of its bytes.
//
// It follows the WHATWG HTML standard, section 9.2 "Server-sent events": lines
// end in LF, CRLF or CR, a byte order mark may precede the first, an empty line
// completes an event. What it yields is the event's own bytes, so that writing
// every Raw in order gives the stream again, byte for byte.
package sse

import "bytes"

// Limit is the size in bytes, without the empty line that ends it, beyond which
// an event is passed on in pieces and not read.
const Limit = 1 << 20

// Event is one event, or a piece of one that is not read. Its bytes are valid
// until the next call of Next.
type Event struct {
	// Raw is every byte of the event, the empty line that ends it included.
	Raw []byte

	// Data is the payload: the values of its data lines, joined by LF. nil if
	// it has none.
	Data []byte

	// Carried is set if Raw is the reader's own copy, because the event came in
	// several chunks. Otherwise Raw is the front of the chunk.
	Carried bool

	// Large is set on each piece of an event beyond Limit. It has no Data.
	Large bool

	// Tail is set if Raw is the LF of a CRLF whose CR was the last byte of the
	// chunk before: it belongs to the event before.
	Tail bool

	skip, start, lines int // of the byte order mark; of Data in Raw if lines is 1; data lines
}

// Reader cuts one stream. The zero value is ready.
type Reader struct {
	carry   []byte // the beginning of an event whose end has not come
	joined  []byte // scratch for payloads of several lines
	started bool   // an event was completed: no byte order mark can follow
	large   bool   // in an event beyond Limit
	cr      bool   // the last byte seen was the CR that ended an event
	line    line
}

// line is where the search for the empty line stands between chunks.
type line struct {
	filled bool // the current line has a byte
	cr     bool // the last byte was a CR, which ended a line
}

// Next takes the next event off the front of chunk and returns what follows it.
// ok is false if no event is complete; the reader has then kept a copy of all
// that was left of chunk, and wants the next.
func (r *Reader) Next(chunk []byte) (e Event, rest []byte, ok bool) {
	if len(chunk) == 0 {
		return Event{}, nil, false
	}
	if r.cr {
		r.cr = false
		if chunk[0] == '\n' {
			return Event{Raw: chunk[:1], Tail: true}, chunk[1:], true
		}
	}
	if cap(r.carry) > Limit/16 && len(r.carry) == 0 {
		r.carry = nil // one huge event does not set the price of every stream
	}

	body, end := r.line.scan(chunk)
	if !r.large && len(r.carry)+body > Limit {
		r.large = true
	}
	if r.large {
		return r.piece(chunk, end)
	}
	if end < 0 {
		r.carry = append(r.carry, chunk...)
		return Event{}, nil, false
	}

	e.Raw = chunk[:end]
	if len(r.carry) > 0 {
		r.carry = append(r.carry, e.Raw...)
		e.Raw, e.Carried = r.carry, true
		r.carry = r.carry[:0]
	}
	r.read(&e)
	r.ended(chunk, end)
	return e, chunk[end:], true
}

// Rest returns the event that the stream's end left unfinished, and forgets it.
// A client discards such an event; its bytes are part of the stream all the same.
func (r *Reader) Rest() Event {
	e := Event{Raw: r.carry, Carried: true}
	r.read(&e)
	r.carry = r.carry[:0]
	return e
}

// piece passes on what chunk holds of a large event, after what was carried.
func (r *Reader) piece(chunk []byte, end int) (Event, []byte, bool) {
	e := Event{Raw: chunk, Large: true}
	if end >= 0 {
		e.Raw = chunk[:end]
		r.large = false
		r.ended(chunk, end)
	}
	rest := chunk[len(e.Raw):]
	if len(r.carry) > 0 {
		r.carry = append(r.carry, e.Raw...)
		e.Raw, e.Carried = r.carry, true
		r.carry = r.carry[:0]
	}
	return e, rest, true
}

// ended notes that an event ended with chunk[:end].
func (r *Reader) ended(chunk []byte, end int) {
	r.started = true
	r.line = line{}
	r.cr = end == len(chunk) && chunk[end-1] == '\r'
}

// scan looks for the end of the empty line. It returns the number of bytes of
// the event before that line, and the index behind it, or len(chunk) and -1.
func (l *line) scan(chunk []byte) (body, end int) {
	for i := 0; i < len(chunk); {
		if l.cr && chunk[i] == '\n' {
			l.cr = false
			i++
			continue
		}
		stop := lineEnd(chunk, i)
		l.filled = l.filled || stop > i
		l.cr = stop < len(chunk) && chunk[stop] == '\r'
		if stop == len(chunk) {
			break
		}
		i = stop + 1
		if l.filled {
			l.filled = false
			continue
		}
		if l.cr && i < len(chunk) && chunk[i] == '\n' {
			i++
		}
		return stop, i
	}
	return len(chunk), -1
}

// lineEnd is the index of the first CR or LF in b from i on, or len(b). It looks
// a window at a time, so that the search for the one which does not occur passes
// over no more than a window per line.
func lineEnd(b []byte, i int) int {
	for i < len(b) {
		window := b[i:min(i+1024, len(b))]
		if lf := bytes.IndexByte(window, '\n'); lf >= 0 {
			window = window[:lf]
		}
		if cr := bytes.IndexByte(window, '\r'); cr >= 0 {
			window = window[:cr]
		}
		i += len(window)
		if len(window) < 1024 {
			break
		}
	}
	return i
}

// read sets e.Data.
func (r *Reader) read(e *Event) {
	e.skip = 0
	if !r.started && bytes.HasPrefix(e.Raw, mark) {
		e.skip = len(mark)
	}
	for at := e.skip; at < len(e.Raw); {
		start, end, next := data(e.Raw, at)
		at = next
		if start < 0 {
			continue
		}
		switch e.lines++; e.lines {
		case 1:
			e.Data = e.Raw[start:end:end]
			e.start = start
		case 2:
			r.joined = append(r.joined[:0], e.Data...)
			fallthrough
		default:
			r.joined = append(r.joined, '\n')
			r.joined = append(r.joined, e.Raw[start:end]...)
			e.Data = r.joined
		}
	}
}

// Offset is where in Raw the byte Data[at] stands, for cutting from Raw what was
// found in Data. at may be len(Data). The LF between two data lines stands for
// the end of the first of them.
func (e *Event) Offset(at int) int {
	if e.lines <= 1 {
		return e.start + at
	}
	for i := e.skip; ; {
		start, end, next := data(e.Raw, i)
		i = next
		switch {
		case start < 0:
		case at <= end-start:
			return start + at
		default:
			at -= end - start + 1
		}
	}
}

var (
	mark = []byte("\xEF\xBB\xBF") // byte order mark
	crlf = []byte("\r\n")
	name = []byte("data")
)

// data reads the line of raw that begins at at. If it is a data line, its value
// is raw[start:end], else start is negative. next is where the next line begins.
func data(raw []byte, at int) (start, end, next int) {
	end = lineEnd(raw, at)
	next = end + 1
	if bytes.HasPrefix(raw[end:], crlf) {
		next++
	}
	rest, ok := bytes.CutPrefix(raw[at:end], name)
	switch {
	case !ok:
		return -1, end, next
	case len(rest) == 0:
		return end, end, next
	case rest[0] != ':':
		return -1, end, next
	}
	start = at + len(name) + 1
	if start < end && raw[start] == ' ' {
		start++
	}
	return start, end, next
}
