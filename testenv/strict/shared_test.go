package strict

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
)

func TestSharedDataAcrossWorkers(t *testing.T) {
	const workers, clients, calls = 4, 16, 25
	h, _ := run(t, layout{}, workers)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for range calls {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL, nil)
				req.Header.Set("X-Probe", "g.reqH=count:n,metric:1,reply:204:")
				res, err := transport.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
			}
		})
	}
	all.Wait()
	if e, _ := h.shared.get("n"); string(e.value) != fmt.Sprint(clients*calls) {
		t.Errorf("counted %s, want %d", e.value, clients*calls)
	}
	stats := h.Stats()
	if stats.Metrics["hits"] != clients*calls {
		t.Errorf("the metric says %d, want %d", stats.Metrics["hits"], clients*calls)
	}
	if len(stats.Memory) != workers || slices.Min(stats.Memory) < 1<<20 {
		t.Errorf("memory %d", stats.Memory)
	}
}

func TestStoreCAS(t *testing.T) {
	var s store
	for _, c := range []struct {
		name string
		key  string
		cas  uint32
		want status
		then uint32 // version afterwards
	}{
		{"created", "a", 0, ok, 1},
		{"any version creates", "b", 0xffffffff, ok, 2},
		{"another's creation is seen", "b", 0xffffffff, casMismatch, 2},
		{"the current one", "b", 2, ok, 3},
		{"an old one", "b", 2, casMismatch, 3},
		{"zero overwrites", "b", 0, ok, 4},
		{"versions are of the store", "a", 1, ok, 5},
	} {
		if got := s.set(c.key, []byte(c.name), c.cas); got != c.want {
			t.Errorf("%s: status %d, want %d", c.name, got, c.want)
		}
		if e, _ := s.get(c.key); e.cas != c.then {
			t.Errorf("%s: version %d, want %d", c.name, e.cas, c.then)
		}
	}
	s.lastCAS = 0xffffffff
	s.set("a", nil, 0)
	if e, _ := s.get("a"); e.cas != 1 {
		t.Errorf("after the last version: %d, want 1, never 0", e.cas)
	}
}
