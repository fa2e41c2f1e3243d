package strict

import (
	"slices"
	"strings"
	"testing"
)

func TestViolations(t *testing.T) {
	for _, c := range []struct {
		name, probe, body string
		want              []string // prefixes
	}{
		{"none", "g.reqH=to:a,pause g.reqB=pause g.reqB$=setbody:HELLO,set:x-set:1,go g.respH=set:x-new:1", "hello", nil},
		{"headers after they have gone on", "g.reqH=to:a,pause g.reqB=pause g.reqB$=go g.respH=setreq:x-late:1", "hello",
			[]string{"proxy_replace_header_map_value: the headers of map 0 are not held any more"}},
		{"headers after Continue", "g.reqH=to:a g.reqB$=set:x-late:1", "hello",
			[]string{"proxy_replace_header_map_value: the headers of map 0 are not held any more"}},
		{"a header removed after Continue", "g.reqH=to:a g.reqB$=del:x-probe", "hello",
			[]string{"proxy_remove_header_map_value: the headers of map 0 are not held any more"}},
		{"headers of a try after Continue", "g.reqH=to:a a.reqB$=set:x-late:1", "hello",
			[]string{"proxy_replace_header_map_value: the headers of map 0 are not held any more"}},
		{"response headers in the body", "g.reqH=to:a g.respB$=set:x-late:1", "",
			[]string{"proxy_replace_header_map_value: the headers of map 2 are not held any more"}},
		{"headers at the end", "g.reqH=to:a g.done=set:x-late:1", "",
			[]string{"proxy_replace_header_map_value: the headers of map 2 are not held any more"}},
		{"a body that does not pass", "g.reqH=to:a,setbody:no", "hello",
			[]string{"proxy_set_buffer_bytes: no body passes that could be changed (buffer 0)"}},
		{"content-length of a changed request", "g.reqH=to:a,pause g.reqB=pause g.reqB$=setbody:longer,go", "hello",
			[]string{"request body of 6 bytes under content-length 5"}},
		{"content-length of a request changed by a try", "g.reqH=to:a,pause g.reqB=pause g.reqB$=go a.reqH=pause a.reqB=setbody:no", "hello",
			[]string{"request body of 2 bytes under content-length 5"}},
		{"content-length of a changed response", "g.reqH=to:a g.respB=setbody:no", "",
			[]string{"response body of 4 bytes under content-length "}},
		{"a counter by zero", "g.reqH=to:a,metric:0", "",
			[]string{"proxy_increment_metric: a counter by 0", "trap in proxy_on_request_headers: panic: increment 0 by 0"}},
		{"a sleep", "g.reqH=to:a,sleep", "",
			[]string{"wasi_snapshot_preview1.poll_oneoff called in proxy_on_request_headers: a timer or a sleep is in use"}},
		{"a panic", "g.reqH=panic", "", []string{"trap in proxy_on_request_headers: panic: asked for"}},
		{"a reply at the end", "g.reqH=to:a g.done=reply:200:late", "", []string{"proxy_send_local_response: outside a stream"}},
		{"a callout", "g.reqH=to:a,call:a", "", []string{"proxy_http_call: not supported by the strict host"}},
		{"a shared queue", "g.reqH=to:a,queue:q", "", []string{"proxy_register_shared_queue: not supported by the strict host"}},
		{"too many pairs", "g.reqH=to:a,pairs:1025", "", []string{"proxy_set_header_map_pairs: 1025 pairs, the limit is 1024"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := start(t, layout{backends: map[string]string{"a": backend(t, echo)}}, 1)
			exchange(t, h.URL, request{probe: c.probe, body: c.body})
			got := h.Violations()
			if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
