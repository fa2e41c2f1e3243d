package strict

import (
	"slices"
	"strings"
)

// headers is an ordered map of lower-case names to values; a name may occur
// several times. Pseudo-headers stand first, as Envoy keeps them.
type headers struct{ pairs [][2]string }

func (h *headers) len() int { return len(h.pairs) }

// get returns the first value.
func (h *headers) get(name string) (string, bool) {
	for _, p := range h.pairs {
		if p[0] == name {
			return p[1], true
		}
	}
	return "", false
}

func (h *headers) value(name string) string {
	v, _ := h.get(name)
	return v
}

func (h *headers) add(name, value string) {
	pair := [2]string{strings.ToLower(name), value}
	if !strings.HasPrefix(name, ":") {
		h.pairs = append(h.pairs, pair)
		return
	}
	// A pseudo-header has one value.
	h.remove(name)
	first := slices.IndexFunc(h.pairs, func(p [2]string) bool { return p[0][0] != ':' })
	if first < 0 {
		first = len(h.pairs)
	}
	h.pairs = slices.Insert(h.pairs, first, pair)
}

// set replaces all values by one, in the place of the first.
func (h *headers) set(name, value string) {
	name = strings.ToLower(name)
	for i, p := range h.pairs {
		if p[0] == name {
			h.pairs[i][1] = value
			rest := slices.DeleteFunc(h.pairs[i+1:], func(p [2]string) bool { return p[0] == name })
			h.pairs = h.pairs[:i+1+len(rest)]
			return
		}
	}
	h.add(name, value)
}

func (h *headers) remove(names ...string) {
	h.pairs = slices.DeleteFunc(h.pairs, func(p [2]string) bool { return slices.Contains(names, p[0]) })
}

func (h *headers) clone() *headers { return &headers{slices.Clone(h.pairs)} }

// Types of header maps in the ABI.
const (
	requestHeaders  = 0
	requestTrailers = 1
	responseHeaders = 2
	responseTrailer = 3
	lastMap         = 7
)

// readable returns the map for reading, nil when there is none in this phase.
func (v *vm) readable(kind uint32) *headers {
	f := v.active()
	if f == nil || kind != requestHeaders && kind != responseHeaders {
		return nil
	}
	if f.logging {
		if kind == requestHeaders {
			return f.stream.headers
		}
		return f.stream.answered
	}
	l := f.lane(kind == requestHeaders)
	if !l.readable {
		return nil
	}
	return l.headers
}

// writable returns the map for changes. Envoy refuses them when the headers
// phase was left by Continue; a change after the headers have gone on is
// accepted there and lost, so here it is refused too.
func (v *vm) writable(kind uint32, call string) (*headers, status) {
	if kind > lastMap {
		return nil, badArgument
	}
	f := v.active()
	h := v.readable(kind)
	if h == nil || f.logging || f.lane(kind == requestHeaders).went {
		v.violate("%s: the headers of map %d are not held any more", call, kind)
		return nil, badArgument
	}
	if kind == requestHeaders && !f.upstream {
		f.stream.targeted = false // Envoy clears the route cache
	}
	return h, ok
}

func getHeaderMapPairs(v *vm, a args) status {
	if a.u32(0) > lastMap {
		return badArgument
	}
	h := v.readable(a.u32(0))
	if h == nil || h.len() == 0 {
		return v.give(nil, a.u32(1), a.u32(2))
	}
	return v.give(encodePairs(h.pairs), a.u32(1), a.u32(2))
}

func getHeaderMapValue(v *vm, a args) status {
	name, inside := v.string(a.u32(1), a.u32(2))
	if !inside {
		return invalidMemoryAccess
	}
	h := v.readable(a.u32(0))
	if h == nil {
		return badArgument
	}
	value, found := h.get(strings.ToLower(name))
	if !found {
		return notFound
	}
	return v.give([]byte(value), a.u32(3), a.u32(4))
}

func getHeaderMapSize(v *vm, a args) status {
	h := v.readable(a.u32(0))
	if h == nil {
		return badArgument
	}
	var size uint32
	for _, p := range h.pairs {
		size += uint32(len(p[0]) + len(p[1]))
	}
	if !v.put(a.u32(1), size) {
		return invalidMemoryAccess
	}
	return ok
}

func addHeaderMapValue(v *vm, a args) status {
	return v.change(a, "proxy_add_header_map_value", (*headers).add)
}

func replaceHeaderMapValue(v *vm, a args) status {
	return v.change(a, "proxy_replace_header_map_value", (*headers).set)
}

func (v *vm) change(a args, call string, apply func(h *headers, name, value string)) status {
	name, inside := v.string(a.u32(1), a.u32(2))
	value, insideToo := v.string(a.u32(3), a.u32(4))
	if !inside || !insideToo {
		return invalidMemoryAccess
	}
	h, st := v.writable(a.u32(0), call)
	if st == ok {
		apply(h, name, value)
	}
	return st
}

func removeHeaderMapValue(v *vm, a args) status {
	name, inside := v.string(a.u32(1), a.u32(2))
	if !inside {
		return invalidMemoryAccess
	}
	h, st := v.writable(a.u32(0), "proxy_remove_header_map_value")
	if st == ok {
		h.remove(strings.ToLower(name))
	}
	return st
}

func setHeaderMapPairs(v *vm, a args) status {
	pairs, st := v.pairs(a.u32(1), a.u32(2), "proxy_set_header_map_pairs")
	if st != ok {
		return st
	}
	h, st := v.writable(a.u32(0), "proxy_set_header_map_pairs")
	if st == ok {
		h.pairs = nil
		for _, p := range pairs {
			h.add(p[0], p[1])
		}
	}
	return st
}

// pairs reads what the module passes; malformed pairs are a violation.
func (v *vm) pairs(ptr, size uint32, call string) ([][2]string, status) {
	b, inside := v.bytes(ptr, size)
	if !inside {
		return nil, invalidMemoryAccess
	}
	pairs, err := decodePairs(b)
	if err != nil {
		v.violate("%s: %v", call, err)
		return nil, badArgument
	}
	return pairs, ok
}
