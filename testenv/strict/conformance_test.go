package strict

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// request is one of a client, with what the module shall do with it.
type request struct {
	name   string
	method string // GET, or POST with a body, if not set
	path   string
	header map[string]string // several values of one name apart by |
	probe  string
	body   string // "chunked: " in front leaves out its length
}

// conformance are requests that are made on this host and on a real Envoy: client
// and module must see the same.
var conformance = []request{
	{name: "HEAD", method: "HEAD", probe: "g.reqH=to:a g.respH=respnames"},
	{name: "OPTIONS", method: "OPTIONS", probe: "g.reqH=to:a"},
	{name: "GET of length 0", header: map[string]string{"content-length": "0"}, probe: "g.reqH=to:a,names"},
	{name: "POST without a body", method: "POST", probe: "g.reqH=to:a,names"},
	{name: "DELETE with a body", method: "DELETE", probe: "g.reqH=to:a", body: "hello"},
	{name: "chunked request", probe: "g.reqH=to:a,names", body: "chunked: hello"},
	{name: "chunked request, replaced", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=setbody:other-text,go", body: "chunked: hello"},
	{name: "chunked request with a length", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=set:content-length:5,go", body: "chunked: hello"},
	{name: "a header twice", header: map[string]string{"X-Twice": "1|2"}, probe: "g.reqH=to:a,names,get:x-twice,get:X-TWICE"},
	{name: "a header twice, set", header: map[string]string{"X-Set": "1|2"}, probe: "g.reqH=to:a,set:x-set:3,names a.reqH=get:x-set"},
	{name: "headers of one connection", header: map[string]string{"Te": "trailers", "Keep-Alive": "1", "Proxy-Connection": "x", "Connection": "X-Named", "X-Named": "1"}, probe: "g.reqH=to:a,names"},
	{name: "dot segments", path: "/a/../b/./c/..?q=/../x", probe: "g.reqH=to:a,get:.path"},
	{name: "dot segments above the root", path: "/../../a//b/.", probe: "g.reqH=to:a,get:.path"},
	{name: "dot segments in disguise", path: "/a/%2e%2E/b/%2e", probe: "g.reqH=to:a,get:.path"},
	{name: "an escaped slash", path: "/a%2Fb//c", probe: "g.reqH=to:a,get:.path"},
	{name: "forwarded for", header: map[string]string{"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "https"}, probe: "g.reqH=to:a,is:x-forwarded-for:10.1.2.3,get:x-forwarded-proto"},
	{name: "a request id", header: map[string]string{"X-Request-Id": "mine"}, probe: "g.reqH=to:a,is:x-request-id:mine"},
	{name: "GET passes", probe: "g.reqH=to:a"},
	{name: "decided too late for the cached route", probe: "g.reqH=prop:to:a"},
	{name: "decided, then a header changed", probe: "g.reqH=prop:to:a,set:x-set:1"},
	{name: "a header changed, then decided", probe: "g.reqH=set:x-set:1,prop:to:a"},
	{name: "a header removed, then decided", probe: "g.reqH=del:x-nothing,prop:to:a"},
	{name: "a header changed, the route read, then decided", probe: "g.reqH=set:x-set:1,getprop:xds/route_name,prop:to:a"},
	{name: "route cleared, then decided", probe: "g.reqH=foreign:clear_route_cache,prop:to:a"},
	{name: "decided in the body", probe: "g.reqH=pause g.reqB=pause g.reqB$=set:x-set:1,prop:to:a", body: "hello"},
	{name: "POST passes, headers held", probe: "g.reqH=to:a,pause", body: "hello"},
	{name: "POST held to its end", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=body,go", body: "hello"},
	{name: "body replaced", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=setbody:longer-than-before,set:content-length:18,body,go", body: "hello"},
	{name: "prefix replaced", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=splice:0:2:J,set:content-length:4,body,go", body: "hello"},
	{name: "prefix of everything", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=splice:0:99:J,set:content-length:1,body,go", body: "hello"},
	{name: "inserted in front", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=splice:0:0:J,set:content-length:6,body,go", body: "hello"},
	{name: "appended", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=splice:99:0:!,set:content-length:6,body,go", body: "hello"},
	{name: "appended at the end", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=splice:5:3:!,set:content-length:6,body,go", body: "hello"},
	{name: "spliced in the middle", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=splice:2:1:!,body,go", body: "hello"},
	{name: "request headers", probe: "g.reqH=to:a,names,get:.path,get:.method,get:.scheme,get:content-length,get:absent", body: "hello"},
	{name: "request headers of a try", probe: "g.reqH=to:a a.reqH=names"},
	{name: "response headers", probe: "g.reqH=to:a g.respH=respnames"},
	{name: "request headers in the response, not held", probe: "g.reqH=to:a g.respH=get:.path,names"},
	{name: "request headers in the response, held", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=go g.respH=get:.path", body: "hello"},
	{name: "headers at the end", probe: "g.reqH=to:a g.done=get:.path,getresp:.status"},
	{name: "properties", probe: "g.reqH=to:a,getprop:to,getprop:request/path,getprop:request/url_path,getprop:request/query,getprop:request/method,getprop:request/scheme,getprop:request/protocol,getprop:request/headers/x-absent,getprop:nothing,getprop:plugin_name,getprop:plugin_root_id,getprop:plugin_vm_id,getprop:response/code,getprop:xds/route_name,getprop:xds/virtual_host_name,getprop:connection/mtls,getprop:request/useragent,getprop:request/referer", path: "/p?q=1"},
	{name: "properties of the response", probe: "g.reqH=to:a g.respH=getprop:response/code,getprop:response/code_details,getprop:response/flags,getprop:xds/cluster_name,getprop:upstream/request_attempt_count,getprop:to,getprop:request/path,getprop:response/headers/content-type"},
	{name: "properties at the end", probe: "g.reqH=to:a g.done=getprop:response/code,getprop:response/code_details,getprop:response/flags,getprop:response/size,getprop:request/size,getprop:request/path,prop:late:1,getprop:late", body: "hello"},
	{name: "properties of a try", probe: "g.reqH=to:a a.reqH=getprop:to,getprop:xds/cluster_name,getprop:request/path,prop:from:try,getprop:upstream/request_attempt_count a.respH=getprop:response/code,getprop:xds/cluster_name g.respH=getprop:from"},
	{name: "shared data", probe: "g.reqH=to:a,getshared:none,shared:k:v1:0,shared:k:v2:12345678,shared:n:v:7,getshared:n,shared:k:v3:0xffffffff"},
	{name: "reply in request headers", probe: "g.reqH=reply:401:no", body: "hello"},
	{name: "reply without a body", probe: "g.reqH=reply:403:"},
	{name: "reply in request body", probe: "g.reqH=pause g.reqB=pause g.reqB$=reply:400:bad", body: "hello"},
	{name: "reply in response headers", probe: "g.reqH=to:a g.respH=reply:502:instead,pause"},
	{name: "reply in response headers, continued", probe: "g.reqH=to:a g.respH=reply:502:instead"},
	{name: "reply in response body, headers held", probe: "g.reqH=to:a g.respH=pause g.respB=reply:502:instead,pause"},
	{name: "reply in response body, headers held, continued", probe: "g.reqH=to:a g.respH=pause g.respB=reply:502:instead"},
	{name: "reply of a try", probe: "g.reqH=to:a,set:x-envoy-max-retries:1 a.reqH=reply:503:try"},
	{name: "reply of a try in its body", probe: "g.reqH=to:a,set:x-envoy-max-retries:1,pause g.reqB=pause g.reqB$=go a.reqH=pause a.reqB=reply:503:try", body: "hello"},
	{name: "reply of a try in its response", probe: "g.reqH=to:a,set:x-envoy-max-retries:1 a.respH=reply:503:try,pause"},
	{name: "reply headers changed on the way", probe: "g.reqH=reply:401:no g.respH=set:x-more:1,set:.status:402"},
	{name: "response body replaced", probe: "g.reqH=to:a g.respH=del:content-length g.respB=setbody:X"},
	{name: "response held", probe: "g.reqH=to:a g.respH=pause g.respB=pause g.respB$=body,setbody:held,set:content-length:4,go"},
	{name: "response headers changed", probe: "g.reqH=to:a g.respH=set:x-new:1,del:content-type,set:.status:201"},
	{name: "upstream request changed", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=go a.reqH=set:.path:/other,set:.authority:host.example,set:x-set:1,pause a.reqB=pause a.reqB$=setbody:tried,set:content-length:5,go", body: "hello"},
	{name: "retry elsewhere", probe: "g.reqH=to:busy,set:x-envoy-max-retries:1,pause g.reqB=pause g.reqB$=go a.reqH=pause,get:x-set,set:x-set:1 a.reqB=body,setbody:tried,set:content-length:5,prop:to:a", body: "hello"},
	{name: "retry after the status", probe: "g.reqH=to:busy,set:x-envoy-max-retries:1 a.respH=prop:to:a"},
	{name: "retry of a GET", probe: "g.reqH=to:busy,set:x-envoy-max-retries:2 a.reqH=get:x-envoy-max-retries"},
	{name: "no retry left", probe: "g.reqH=to:busy,set:x-envoy-max-retries:1 g.respH=getprop:response/flags,getprop:response/code_details"},
	{name: "refused", probe: "g.reqH=to:closed g.respH=respnames,getprop:response/flags"},
	{name: "refused, then answered", probe: "g.reqH=to:closed,set:x-envoy-max-retries:1 a.reqH=prop:to:a"},
	{name: "refused twice", probe: "g.reqH=to:closed,set:x-envoy-max-retries:1"},
	{name: "unknown backend", probe: "g.reqH=to:nobody"},
	{name: "undecided", probe: ""},
	{name: "reset before the answer", probe: "g.reqH=to:reset g.respH=getprop:response/flags,getprop:response/code_details"},
	{name: "reset before the answer, then answered", probe: "g.reqH=to:reset,set:x-envoy-max-retries:1 a.reqH=prop:to:a"},
	{name: "reset within the answer", probe: "g.reqH=to:half g.done=getprop:response/flags,getprop:response/code_details"},
	{name: "slow try", probe: "g.reqH=to:slow,set:x-envoy-upstream-rq-per-try-timeout-ms:50 g.respH=respnames,getprop:response/flags,getprop:response/code_details"},
	{name: "slow try, then answered", probe: "g.reqH=to:slow,set:x-envoy-upstream-rq-per-try-timeout-ms:50,set:x-envoy-max-retries:1 a.reqH=prop:to:a"},
	{name: "slow request", probe: "g.reqH=to:slow,set:x-envoy-upstream-rq-timeout-ms:50,set:x-envoy-max-retries:3 g.respH=getprop:response/flags,getprop:response/code_details"},
	{name: "request too large", probe: "g.reqH=to:a,pause g.reqB=pause g.respH=getprop:response/flags,getprop:response/code_details,respnames", body: strings.Repeat("x", 2049)},
	{name: "request as large as may be", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=go", body: strings.Repeat("x", 2048)},
	{name: "request grown too large", probe: "g.reqH=to:a,pause g.reqB=pause g.reqB$=set:content-length:2100,grow:2100,go", body: "hello"},
	{name: "large request not held", probe: "g.reqH=to:a,del:x-probe", body: strings.Repeat("x", 2500)},
	{name: "response too large", probe: "g.reqH=to:large g.respH=pause g.respB=pause g.done=getprop:response/code_details"},
	{name: "large response not held", probe: "g.reqH=to:large g.respB="},
	{name: "no content", probe: "g.reqH=to:nothing"},
	{name: "not modified", probe: "g.reqH=to:unmodified"},
	{name: "empty answer", probe: "g.reqH=to:blank"},
	{name: "chunked answer", probe: "g.reqH=to:chunked g.respH=respnames"},
	{name: "request header removed by the route", probe: "g.reqH=to:a,set:x-removed:1"},
	{name: "foreign functions", probe: "g.reqH=to:a,foreign:clear_route_cache,foreign:nothing"},
	{name: "callout to nowhere", probe: "g.reqH=to:a,call:nowhere"},
	{name: "stream closed by the gateway", probe: "g.reqH=to:a g.respH=close:1"},
	{name: "stream closed by a try", probe: "g.reqH=to:a a.reqH=close:0"},
	{name: "resumed from the body", probe: "g.reqH=to:a,pause g.reqB=resume,pause g.reqB$=get:.path", body: "hello"},
	{name: "panic in request headers", probe: "g.reqH=panic"},
	{name: "panic in a try", probe: "g.reqH=to:a a.reqH=panic"},
	{name: "panic in response headers", probe: "g.reqH=to:a g.respH=panic"},
	{name: "panic at the end", probe: "g.reqH=to:a g.done=panic"},
}

func conformanceBackends(t testing.TB) map[string]string {
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	return map[string]string{
		"a": backend(t, echo),
		"busy": backend(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
			io.WriteString(w, "busy")
		}),
		"reset": backend(t, func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		}),
		"half": backend(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}),
		"slow": backend(t, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-done:
			}
		}),
		"large":      backend(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 2100)) }),
		"nothing":    backend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }),
		"unmodified": backend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }),
		"blank":      backend(t, func(http.ResponseWriter, *http.Request) {}),
		"chunked": backend(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			io.WriteString(w, "chunked")
		}),
	}
}

// engine is where a request of the table is made.
func exchange(t testing.TB, url string, c request) string {
	t.Helper()
	method := http.MethodGet
	var reader io.Reader
	if text, chunked := strings.CutPrefix(c.body, "chunked: "); chunked {
		method, reader = http.MethodPost, io.MultiReader(strings.NewReader(text))
	} else if c.body != "" {
		method, reader = http.MethodPost, strings.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), cmp.Or(c.method, method), url+cmp.Or(c.path, "/"), reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range c.header {
		req.Header[name] = strings.Split(values, "|")
	}
	req.Host = "gateway.example"
	req.Header.Set("X-Probe", c.probe)
	req.Header.Set("X-Envoy-Max-Retries", "9") // is not the client's to say
	req.Header.Set("User-Agent", "test")
	transport := &http.Transport{DisableCompression: true, ResponseHeaderTimeout: 5 * time.Second}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return "no response\n"
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	var out strings.Builder
	fmt.Fprintf(&out, "%d", res.StatusCode)
	for _, name := range []string{"Content-Length", "Content-Type", "X-From", "X-More", "X-New", "Server", "Retry-After", "Connection"} {
		if v := res.Header.Get(name); v != "" {
			fmt.Fprintf(&out, " %s=%s", name, v)
		}
	}
	fmt.Fprintf(&out, " te=%v close=%v\n%s\n", res.TransferEncoding, res.Close, clip(b))
	if err != nil {
		out.WriteString("cut\n")
	}
	return out.String()
}

func trace(t testing.TB, url string) string {
	t.Helper()
	for range 200 { // a VM that has failed is replaced after a while
		res, err := http.Get(url + "/trace")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == 200 {
			return string(b)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return "no trace"
}

func TestConformance(t *testing.T) {
	l := layout{module: probeModule(t), backends: conformanceBackends(t), bodyLimit: 2048, connLimit: 1024}
	envoy := startEnvoy(t, l)
	h, _ := start(t, l, 1)
	for _, c := range conformance {
		t.Run(c.name, func(t *testing.T) {
			known := len(h.Violations())
			want := exchange(t, envoy, c) + trace(t, envoy)
			got := exchange(t, h.URL, c) + trace(t, h.URL)
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("Envoy (-), strict host (+):\n%s\n%s", diff, want)
			}
			for _, v := range h.Violations()[known:] {
				first, _, _ := strings.Cut(v, "\n")
				t.Logf("violation: %s", first)
			}
		})
	}
}

// startEnvoy runs a real Envoy, found where `make test` puts it.
func startEnvoy(t testing.TB, l layout) string {
	t.Helper()
	binary := os.Getenv("ENVOY")
	if binary == "" {
		var err error
		if binary, err = exec.LookPath("envoy"); err != nil {
			binary = filepath.Join("..", "..", ".tools", "envoy", "envoy", "_bin", "envoy")
		}
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("no Envoy at %s: run make test", binary)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.port = listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	dir, err := os.MkdirTemp("", "strict") // a socket's path has room for 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l.write(t, dir)
	var log bytes.Buffer
	cmd := exec.Command(binary, "-c", filepath.Join(dir, "bootstrap.json"), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("Envoy:\n%s", log.String())
		}
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", l.port)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if res, err := http.Get(url + "/trace"); err == nil {
			res.Body.Close()
			if res.StatusCode == 200 {
				return url
			}
		}
	}
	t.Fatal("Envoy does not answer")
	return ""
}
