package host

import (
	"fmt"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

// Headers are names in lower case and values, pseudo-headers included, in the
// order in which they came.
type Headers [][2]string

// Get returns the first value of a header, "" where it is absent.
func (h Headers) Get(name string) string {
	for i := range h {
		if h[i][0] == name {
			return h[i][1]
		}
	}
	return ""
}

// RequestHeaders returns the headers of the request, all in one call.
func RequestHeaders() Headers {
	headers, err := proxywasm.GetHttpRequestHeaders()
	check("request headers", err)
	return headers
}

// ResponseHeaders returns the headers of the response, all in one call.
func ResponseHeaders() Headers {
	headers, err := proxywasm.GetHttpResponseHeaders()
	check("response headers", err)
	return headers
}

// ResponseHeader returns one header of the response, "" where it is absent.
func ResponseHeader(name string) string {
	value, err := proxywasm.GetHttpResponseHeader(name)
	if err != nil {
		return ""
	}
	return value
}

// SetRequestHeader replaces a header of the request, until its headers phase has
// been left by Continue.
func SetRequestHeader(name, value string) {
	check("set request header", proxywasm.ReplaceHttpRequestHeader(name, value))
}

// SetResponseHeader replaces a header of the response, under the same rule.
func SetResponseHeader(name, value string) {
	check("set response header", proxywasm.ReplaceHttpResponseHeader(name, value))
}

// RemoveResponseHeader removes a header of the response, under the same rule.
func RemoveResponseHeader(name string) {
	check("remove response header", proxywasm.RemoveHttpResponseHeader(name))
}

// RequestBody returns size bytes of the buffered request body from start.
func RequestBody(start, size int) []byte {
	if size <= 0 {
		return nil
	}
	body, err := proxywasm.GetHttpRequestBody(start, size)
	check("request body", err)
	return body
}

// ResponseBody returns size bytes of the buffered response body, or of the chunk
// that passes, from start.
func ResponseBody(start, size int) []byte {
	if size <= 0 {
		return nil
	}
	body, err := proxywasm.GetHttpResponseBody(start, size)
	check("response body", err)
	return body
}

// SpliceRequestBody puts insert in the place of the first drop bytes of the
// buffered request body. Envoy moves no other byte of it. The caller sets
// content-length, in the headers phase: a wrong one poisons the connection.
func SpliceRequestBody(drop int, insert []byte) {
	check("splice request body", spliceBuffer(httpRequestBody, drop, insert))
}

// ReplaceResponseBody puts body in the place of what passes.
func ReplaceResponseBody(body []byte) {
	check("replace response body", proxywasm.ReplaceHttpResponseBody(body))
}

// Reply answers the client in the backend's stead. The callback must return
// Replied.
func Reply(status int, headers [][2]string, body []byte) {
	check("reply", proxywasm.SendHttpResponse(uint32(status), headers, body, -1))
}

// Property reads filter state that a filter of ours has set on this request, in
// either chain; "" where it is absent.
func Property(name string) string { return getProperty(name) }

// SetProperty sets filter state "wasm."+name on this request, seen by both
// chains and by Envoy's matchers.
func SetProperty(name, value string) { check("set property", setProperty(name, value)) }

// SourceAddress returns the client's address and port as Envoy settled it from
// the connection and the trusted hops of X-Forwarded-For.
func SourceAddress() string { return getProperty("source\x00address") }

// Complain writes a line to Envoy's log, as an error. It never holds a prompt or a
// key.
func Complain(message string) { proxywasm.LogError(message) }

// check panics on a host call that can only fail by a mistake of ours; the
// stream's guard answers it.
func check(what string, err error) {
	if err != nil {
		panic(fmt.Errorf("%s: %w", what, err))
	}
}
