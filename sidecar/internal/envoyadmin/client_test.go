package envoyadmin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// socket serves handler on a Unix socket as Envoy's admin interface does.
func socket(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return New(path)
}

func TestReady(t *testing.T) {
	code, text := http.StatusOK, "LIVE"
	c := socket(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprintln(w, text)
	})
	if err := c.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	code, text = http.StatusServiceUnavailable, "DRAINING"
	if err := c.Ready(t.Context()); err == nil || err.Error() != "envoy's admin: /ready: 503 DRAINING" {
		t.Errorf("error %v", err)
	}
}

func TestNoEnvoy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	err := New(path).Ready(t.Context())
	want := "envoy's admin socket: dial unix " + path + ": connect: no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestStats(t *testing.T) {
	var filter string
	c := socket(t, func(w http.ResponseWriter, r *http.Request) {
		filter = r.URL.Query().Get("filter")
		fmt.Fprint(w, `{"stats":[{"name":"a.version_text","value":"1 \"x\""},{"name":"a.version","value":13237225503670494420},{"histograms":{}}]}`)
	})
	stats, err := c.Stats(t.Context(), "a.version_text", "a.version")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a.version_text": `1 "x"`, "a.version": "13237225503670494420"}
	if !maps.Equal(stats, want) {
		t.Errorf("%v, want %v", stats, want)
	}
	if filter != `^(a\.version_text|a\.version)$` {
		t.Errorf("filter %s", filter)
	}
}

func TestAddress(t *testing.T) {
	answer := `{"listener_statuses":[{"name":"other"},{"name":"tollgate","local_address":{"socket_address":{"address":"::1","port_value":8080}}}]}`
	c := socket(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
	if address, err := c.Address(t.Context()); address != "[::1]:8080" || err != nil {
		t.Errorf("%q, %v", address, err)
	}
	answer = `{}`
	if _, err := c.Address(t.Context()); err == nil || err.Error() != "envoy's listeners: no listener named tollgate" {
		t.Errorf("error %v", err)
	}
}

// gateway answers a drain with the gauges it is given, the last for ever.
type gateway struct {
	mu     sync.Mutex
	calls  []string
	gauges [][2]int // requests, connections
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Method == http.MethodPost {
		g.calls = append(g.calls, r.URL.Path)
		return
	}
	now := g.gauges[0]
	if len(g.gauges) > 1 {
		g.gauges = g.gauges[1:]
	}
	fmt.Fprintf(w, `{"stats":[{"name":%q,"value":%d},{"name":%q,"value":%d}]}`, requestsActive, now[0], connectionsActive, now[1])
}

func TestDrain(t *testing.T) {
	for _, test := range []struct {
		name   string
		gauges [][2]int
		active int
		err    error
		bound  time.Duration
	}{
		{name: "until no connection is left", gauges: [][2]int{{2, 2}, {1, 2}, {0, 0}}},
		{name: "a kept connection without a request is not waited for", gauges: [][2]int{{1, 2}, {0, 1}}},
		{name: "bounded", gauges: [][2]int{{3, 3}}, active: 3, err: context.DeadlineExceeded, bound: 200 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := &gateway{gauges: test.gauges}
			c := socket(t, g.ServeHTTP)
			ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(test.bound, time.Minute))
			defer cancel()
			active, err := c.Drain(ctx)
			if active != test.active || !errors.Is(err, test.err) {
				t.Errorf("active %d, %v; want %d, %v", active, err, test.active, test.err)
			}
			if want := []string{"/healthcheck/fail", "/drain_listeners"}; !slices.Equal(g.calls, want) {
				t.Errorf("calls %v, want %v", g.calls, want)
			}
		})
	}
}

func TestDrainWithoutEnvoy(t *testing.T) {
	if _, err := New(filepath.Join(t.TempDir(), "admin.sock")).Drain(t.Context()); err == nil {
		t.Error("no error")
	}
}
