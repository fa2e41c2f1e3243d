package strict

import (
	"encoding/binary"
	"net"
	"strconv"
	"strings"
	"time"
)

// filterStatePrefix is what Envoy puts before the name of a property that a
// module sets (CelStateKeyPrefix).
const filterStatePrefix = "wasm."

// setProperty writes filter state of the request, seen by all filters of both
// chains and by the route's matcher.
func setProperty(v *vm, a args) status {
	path, inside := v.string(a.u32(0), a.u32(1))
	value, insideToo := v.bytes(a.u32(2), a.u32(3))
	if !inside || !insideToo {
		return invalidMemoryAccess
	}
	f := v.active()
	if f == nil {
		return notFound
	}
	f.stream.setState(filterStatePrefix+path, value)
	return ok
}

func getProperty(v *vm, a args) status {
	path, inside := v.string(a.u32(0), a.u32(1))
	if !inside {
		return invalidMemoryAccess
	}
	value, found := v.property(strings.Split(path, "\x00"))
	if !found {
		return notFound
	}
	return v.give(value, a.u32(2), a.u32(3))
}

// property resolves an attribute (Envoy, arch_overview/advanced/attributes) or,
// with a path of one element, filter state.
func (v *vm) property(path []string) ([]byte, bool) {
	if v.root != nil && len(path) == 1 {
		switch path[0] {
		case "plugin_name":
			return []byte(v.root.name), true
		case "plugin_root_id":
			return []byte(v.root.rootID), true
		case "plugin_vm_id":
			return []byte(v.root.vmID), true
		}
	}
	f := v.active()
	if f == nil {
		return nil, false
	}
	if len(path) == 1 {
		if path[0] == "connection_id" {
			return number(int64(f.stream.conn.id)), true
		}
		return f.stream.state(filterStatePrefix + path[0])
	}
	switch path[0] {
	case "request":
		return f.requestAttribute(path[1:])
	case "response":
		return f.responseAttribute(path[1:])
	case "source":
		return addressAttribute(f.stream.conn.remote, path[1])
	case "destination":
		return addressAttribute(f.stream.conn.local, path[1])
	case "connection":
		return f.connectionAttribute(path[1])
	case "upstream":
		return f.upstreamAttribute(path[1])
	case "xds":
		return f.xdsAttribute(path[1])
	}
	return nil, false
}

// number is an integer as the module sees it: 8 bytes, little endian. Times are
// nanoseconds.
func number(n int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }

func optional(h *headers, name string) ([]byte, bool) {
	if h == nil {
		return nil, false
	}
	value, found := h.get(name)
	return []byte(value), found
}

func (f *filter) requestAttribute(path []string) ([]byte, bool) {
	s := f.stream
	// Envoy shows the headers that the context may see at the moment.
	h := f.request.headers
	if f.logging {
		h = s.headers
	} else if !f.request.readable {
		h = nil
	}
	if len(path) == 2 && path[0] == "headers" {
		return optional(h, strings.ToLower(path[1]))
	}
	if len(path) != 1 {
		return nil, false
	}
	names := map[string]string{
		"path": ":path", "host": ":authority", "scheme": ":scheme", "method": ":method",
		"referer": "referer", "useragent": "user-agent", "id": "x-request-id",
	}
	if name, known := names[path[0]]; known {
		return optional(h, name)
	}
	switch path[0] {
	case "url_path", "query":
		target, found := optional(h, ":path")
		before, after, _ := strings.Cut(string(target), "?")
		if path[0] == "query" {
			return []byte(after), found
		}
		return []byte(before), found
	case "protocol":
		return []byte("HTTP/1.1"), true
	case "time":
		return number(s.began.UnixNano()), true
	case "duration":
		if !f.logging {
			return nil, false
		}
		return number(int64(time.Since(s.began))), true
	case "size":
		return number(s.received), true
	}
	return nil, false
}

func (f *filter) responseAttribute(path []string) ([]byte, bool) {
	s := f.stream
	h := f.response.headers
	if f.logging {
		h = s.answered
	} else if !f.response.readable {
		h = nil
	}
	if len(path) == 2 && path[0] == "headers" {
		return optional(h, strings.ToLower(path[1]))
	}
	if len(path) != 1 {
		return nil, false
	}
	switch path[0] {
	case "code":
		if s.code == 0 {
			return nil, false
		}
		return number(int64(s.code)), true
	case "code_details":
		return []byte(s.details), s.details != ""
	case "flags":
		return number(s.flags), true
	case "size":
		return number(s.sent), true
	}
	return nil, false
}

func addressAttribute(address, attribute string) ([]byte, bool) {
	switch attribute {
	case "address":
		return []byte(address), address != ""
	case "port":
		_, port, err := net.SplitHostPort(address)
		n, nErr := strconv.Atoi(port)
		return number(int64(n)), err == nil && nErr == nil
	}
	return nil, false
}

func (f *filter) connectionAttribute(attribute string) ([]byte, bool) {
	switch attribute {
	case "id":
		return number(int64(f.stream.conn.id)), true
	case "mtls":
		return []byte{0}, true
	}
	return nil, false
}

func (f *filter) upstreamAttribute(attribute string) ([]byte, bool) {
	t := f.stream.router.current
	if t == nil {
		return nil, false
	}
	if attribute == "request_attempt_count" {
		return number(int64(f.stream.router.attempts)), true
	}
	return addressAttribute(t.address, attribute)
}

func (f *filter) xdsAttribute(attribute string) ([]byte, bool) {
	s := f.stream
	switch attribute {
	case "cluster_name":
		if s.router.current == nil {
			return nil, false
		}
		return []byte(s.router.current.cluster.name), true
	case "route_name":
		if s.route == nil {
			return nil, false
		}
		return []byte(s.route.name), true
	case "virtual_host_name":
		return []byte(s.config.virtualHost), true
	}
	return nil, false
}
