package strict

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCredentials(t *testing.T) {
	busy := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }
	l := layout{
		backends: map[string]string{"busy": backend(t, busy), "a": backend(t, echo), "open": backend(t, echo)},
		secrets:  map[string]string{"busy": "key-busy", "a": "key-a"},
		strip:    []string{"authorization"},
	}
	h, dir := run(t, l, 1)
	for _, c := range []struct{ name, probe, want string }{
		{"its own", "g.reqH=to:a", `auth="Bearer key-a"`},
		{"none", "g.reqH=to:open", `auth=""`},
		{"the client's", "g.reqH=to:open,set:authorization:client", `auth=""`},
		{"of the try before", "g.reqH=to:busy,set:x-envoy-max-retries:1 a.respH=to:open", `auth=""`},
		{"of the next try", "g.reqH=to:busy,set:x-envoy-max-retries:1 a.respH=to:a", `auth="Bearer key-a"`},
	} {
		if _, body := call(t, h.URL, c.probe, nil); !strings.Contains(body, c.want) {
			t.Errorf("%s: %s", c.name, body)
		}
	}
	l.secrets["a"] = "rotated"
	l.module = probeModule(t)
	l.write(t, dir)
	if _, body := call(t, h.URL, "g.reqH=to:a", nil); !strings.Contains(body, `auth="Bearer rotated"`) {
		t.Errorf("after the rotation: %s", body)
	}
	put(t, dir, "sds/a/secret.json", response())
	if status, _ := call(t, h.URL, "g.reqH=to:a,set:x-envoy-max-retries:1 a.respH=to:open", nil); status != 401 {
		t.Errorf("without a secret: %d", status)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	context := func(validation object) object {
		return object{
			"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
			"sni":   "example.com", "common_tls_context": object{"validation_context": validation},
		}
	}
	ca := object{"inline_string": string(pemOf(s.Certificate()))}
	san := func(name string) []any {
		return []any{object{"san_type": "DNS", "matcher": object{"exact": name}}}
	}
	for _, c := range []struct {
		name       string
		validation object
		want       int
	}{
		{"trusted", object{"trusted_ca": ca, "match_typed_subject_alt_names": san("example.com")}, 200},
		{"another name", object{"trusted_ca": ca, "match_typed_subject_alt_names": san("other.org")}, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := run(t, layout{
				backends: map[string]string{"a": s.URL},
				tls:      map[string]object{"a": context(c.validation)},
			}, 1)
			if status, body := call(t, h.URL, "g.reqH=to:a", strings.NewReader("hello")); status != c.want {
				t.Errorf("%d %s, want %d", status, body, c.want)
			}
		})
	}
}

func TestRouteTimeout(t *testing.T) {
	h, _ := run(t, layout{timeout: "0.05s", backends: map[string]string{"slow": backend(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	})}}, 1)
	status, body := call(t, h.URL, "g.reqH=to:slow,set:x-envoy-max-retries:9", nil)
	if status != 504 || body != "upstream request timeout" {
		t.Errorf("%d %s", status, body)
	}
}

func TestLargeBodyTwice(t *testing.T) {
	const size = 8 << 20
	got := make(chan int64, 2)
	count := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			got <- n
			w.WriteHeader(status)
		}
	}
	h, _ := run(t, layout{bodyLimit: size, backends: map[string]string{"busy": backend(t, count(429)), "a": backend(t, count(200))}}, 1)
	status, _ := call(t, h.URL, "g.reqH=to:busy,set:x-envoy-max-retries:1,pause g.reqB=pause g.reqB$=go a.reqH=pause a.respH=to:a", strings.NewReader(strings.Repeat("x", size)))
	if first, second := <-got, <-got; status != 200 || first != size || second != size {
		t.Errorf("%d, %d and %d bytes", status, first, second)
	}
}
