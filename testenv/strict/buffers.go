package strict

import "slices"

// Types of buffers in the ABI.
const (
	requestBody         = 0
	responseBody        = 1
	vmConfiguration     = 6
	pluginConfiguration = 7
	lastBuffer          = 8
)

// body returns what the module sees of a body: all that is buffered after a
// Pause, else the chunk that passes; nil when nothing does.
func (v *vm) body(kind uint32) *[]byte {
	f := v.active()
	if f == nil || kind > responseBody {
		return nil
	}
	l := f.lane(kind == requestBody)
	switch {
	case l.whole:
		return &l.buffer
	case l.inBody:
		return &l.chunk
	}
	return nil
}

func getBufferBytes(v *vm, a args) status {
	kind, start, length := a.u32(0), a.u32(1), a.u32(2)
	if kind > lastBuffer || start+length < start {
		return badArgument
	}
	data, st := v.readBuffer(kind)
	if st != ok || uint64(start) >= uint64(len(data)) {
		return st
	}
	data = data[start:]
	if uint64(length) < uint64(len(data)) {
		data = data[:length]
	}
	if len(data) == 0 {
		return ok // Envoy writes no pointer for nothing
	}
	return v.give(data, a.u32(3), a.u32(4))
}

func (v *vm) readBuffer(kind uint32) ([]byte, status) {
	switch kind {
	case requestBody, responseBody:
		if data := v.body(kind); data != nil {
			return *data, ok
		}
		return nil, ok
	case vmConfiguration:
		return nil, ok
	case pluginConfiguration:
		if v.root != nil && v.root.configuring {
			return []byte(v.root.configuration), ok
		}
	}
	return nil, notFound
}

func getBufferStatus(v *vm, a args) status {
	data, st := v.readBuffer(a.u32(0))
	if st != ok {
		return st
	}
	if !v.put(a.u32(1), uint32(len(data))) || !v.put(a.u32(2), 0) {
		return invalidMemoryAccess
	}
	return ok
}

// setBufferBytes changes a body: from 0, length bytes make room for data; from
// the end or beyond, data is appended; anything between is refused (Envoy,
// Buffer::copyFrom).
func setBufferBytes(v *vm, a args) status {
	kind, start, length := a.u32(0), a.u32(1), a.u32(2)
	if kind > lastBuffer {
		return badArgument
	}
	insert, inside := v.bytes(a.u32(3), a.u32(4))
	if !inside {
		return invalidMemoryAccess
	}
	body := v.body(kind)
	if body == nil {
		v.violate("proxy_set_buffer_bytes: no body passes that could be changed (buffer %d)", kind)
		return badArgument
	}
	switch size := uint64(len(*body)); {
	case start == 0:
		*body = slices.Concat(insert, (*body)[min(uint64(length), size):])
	case uint64(start) >= size:
		*body = append(slices.Clip(*body), insert...)
	default:
		return badArgument
	}
	return ok
}
