package mock

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// reply is an answer before it meets the wire.
type reply struct {
	status int
	header http.Header
	stream bool
	parts  [][]byte // the body of a JSON answer; one per event of a stream
}

// whole is an answer of one JSON value.
func whole(status int, body object) reply {
	return reply{
		status: status,
		header: http.Header{"Content-Type": {"application/json"}},
		parts:  [][]byte{encode(body)},
	}
}

// events is an answer of one event per value and the closing one.
func events(chunks []object) reply {
	out := reply{
		status: http.StatusOK,
		header: http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}, "Cache-Control": {"no-cache"}},
		stream: true,
	}
	for _, c := range chunks {
		out.parts = append(out.parts, event(encode(c)))
	}
	out.parts = append(out.parts, event([]byte("[DONE]")))
	return out
}

func event(data []byte) []byte {
	return append(append([]byte("data: "), data...), "\n\n"...)
}

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(m.name))
		b.WriteByte(':')
		b.Write(encode(m.value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode writes a value as the services do, which leave <, > and & alone.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		// The values are this package's own, all of them encodable.
		return []byte("null")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// with is the object with one more member at a place.
func (o object) with(at Place, m member) object {
	i := len(o)
	switch at {
	case First:
		i = 0
	case Middle:
		i /= 2
	}
	out := make(object, 0, len(o)+1)
	return append(append(append(out, o[:i]...), m), o[i:]...)
}
