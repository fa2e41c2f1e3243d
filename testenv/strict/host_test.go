package strict

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestReload(t *testing.T) {
	more := make(chan struct{})
	l := layout{module: probeModule(t), gateway: "gateway tag 1", backends: map[string]string{"a": backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-more
	})}}
	h, dir := run(t, l, 1)
	old := send(t, h.URL, "g.reqH=to:a", nil)
	defer old.Body.Close()

	l.gateway, l.backends["b"] = "gateway tag 2", backend(t, echo)
	l.write(t, dir)
	if err := h.Reload(); err != nil {
		t.Fatal(err)
	}
	if status, _ := call(t, h.URL, "g.reqH=to:b", nil); status != 200 {
		t.Errorf("a backend that was added: %d", status)
	}
	seen := trace(t, h.URL)
	if !strings.Contains(seen, "gateway2: done") || strings.Contains(seen, "gateway1: done") {
		t.Errorf("saw\n%s", seen)
	}
	close(more)
	io.Copy(io.Discard, old.Body)
	if seen := until(t, h.URL, "gateway1: plugin done"); !strings.Contains(seen, "gateway1: done\ngateway1: plugin done") {
		t.Errorf("the old stream:\n%s", seen)
	}
}

func TestReloadRefused(t *testing.T) {
	l := layout{module: probeModule(t), gateway: "gateway tag 1", backends: map[string]string{"a": backend(t, echo)}}
	h, dir := run(t, l, 2)
	for _, c := range []struct{ name, gateway, want string }{
		{"by the module", "gateway, refuse it", "plugin probe refused its configuration"},
		{"missing module", "", "open /nowhere: no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := l
			changed.gateway = c.gateway
			if c.gateway == "" {
				changed.module = "/nowhere"
			}
			changed.write(t, dir)
			if err := h.Reload(); message(err) != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if status, _ := call(t, h.URL, "g.reqH=to:a", nil); status != 200 {
				t.Errorf("under the old configuration: %d", status)
			}
		})
	}
	l.gateway = "gateway tag 3"
	l.write(t, dir)
	if err := h.Reload(); err != nil {
		t.Errorf("a good one afterwards: %v", err)
	}
}

func TestTrap(t *testing.T) {
	reached, more := make(chan struct{}), make(chan struct{})
	h, _ := start(t, layout{backends: map[string]string{"slow": backend(t, func(http.ResponseWriter, *http.Request) {
		close(reached)
		<-more
	}), "a": backend(t, echo)}}, 1)
	var slow int
	done := make(chan struct{})
	go func() { defer close(done); slow, _ = call(t, h.URL, "g.reqH=to:slow,shared:k:v:0", nil) }()
	<-reached
	if status, body := call(t, h.URL, "g.reqH=panic", nil); status != 503 || body != "" {
		t.Errorf("the stream that trapped: %d %q", status, body)
	}
	close(more)
	<-done
	if slow != 503 {
		t.Errorf("another stream of the worker: %d", slow)
	}
	if status, body := call(t, h.URL, "g.reqH=to:a", nil); status != 200 {
		t.Errorf("afterwards: %d %s", status, body)
	}
	if _, kept := h.shared.get("k"); !kept {
		t.Error("shared data is gone")
	}
	h.Kill(0)
	if status, body := call(t, h.URL, "g.reqH=to:a", nil); status != 200 {
		t.Errorf("after a kill: %d %s", status, body)
	}
	if got := len(h.Violations()); got != 1 {
		t.Errorf("%d violations, want the trap only", got)
	}
}

func TestTick(t *testing.T) {
	h, _ := run(t, layout{gateway: "gateway with ticks"}, 1)
	h.Tick()
	h.Tick()
	if got := trace(t, h.URL); got != "tick\ntick\n" {
		t.Errorf("got %q", got)
	}
}

func TestClose(t *testing.T) {
	reached := make(chan struct{})
	h, _ := start(t, layout{backends: map[string]string{"slow": backend(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	})}}, 2)
	failed := make(chan error)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL, nil)
		req.Header.Set("X-Probe", "g.reqH=to:slow")
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
			err = errors.New("answered")
		}
		failed <- err
	}()
	<-reached
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; message(err) == "answered" {
		t.Error(err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("a second time: %v", err)
	}
}
