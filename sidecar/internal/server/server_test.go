package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serve is a running server, with how to stop it and what it then returned.
func serve(t *testing.T, o Options) (address string, stop context.CancelFunc, served <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, o, slog.New(slog.DiscardHandler)) }()
	return l.Addr().String(), stop, done
}

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestServe(t *testing.T) {
	o := DefaultOptions()
	o.Version = "v1.2.3"
	address, stop, served := serve(t, o)
	for _, test := range []struct {
		path string
		code int
		has  []string
	}{
		{path: "/healthz", code: 200, has: []string{"ok\n"}},
		{path: "/metrics", code: 200, has: []string{`tollgate_build_info{goversion="go`, `version="v1.2.3"} 1`, "go_goroutines ", "process_start_time_seconds "}},
		{path: "/", code: 404},
	} {
		code, body := get(t, "http://"+address+test.path)
		if code != test.code {
			t.Errorf("%s: %d, want %d", test.path, code, test.code)
		}
		for _, want := range test.has {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %q in %s", test.path, want, body)
			}
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("still listening")
	}
}

func TestStopIsBounded(t *testing.T) {
	o := DefaultOptions()
	o.Grace = 10 * time.Millisecond
	address, stop, served := serve(t, o)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	get(t, "http://"+address+"/healthz") // the connection before it has been accepted too
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	stop()
	err = <-served
	if want := "sidecar: requests still active after 10ms were cut"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
