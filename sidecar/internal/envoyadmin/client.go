// Package envoyadmin speaks with the administration interface of an Envoy over
// its Unix socket.
package envoyadmin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Client speaks with one Envoy. It needs none to be there until it is used, and
// survives its restarts.
type Client struct {
	http *http.Client
}

// answerTime bounds one call. The interface is served by Envoy's main thread,
// which compiles modules too.
const answerTime = 5 * time.Second

// New is a client for the socket at path.
func New(path string) *Client {
	var dialer net.Dialer
	return &Client{http: &http.Client{
		Timeout: answerTime,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", path)
			},
			// A kept connection would be a broken one after a restart of Envoy.
			DisableKeepAlives: true,
		},
	}}
}

// Ready is nil when Envoy's workers have started and it is not draining.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodGet, "/ready")
	return err
}

// Stats reads the named statistics: gauges and counters as decimal numbers, text
// readouts as they are. One that Envoy does not know is absent.
func (c *Client) Stats(ctx context.Context, names ...string) (map[string]string, error) {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	query := url.Values{"format": {"json"}, "filter": {"^(" + strings.Join(quoted, "|") + ")$"}}
	body, err := c.call(ctx, http.MethodGet, "/stats?"+query.Encode())
	if err != nil {
		return nil, err
	}
	var answer struct {
		Stats []struct {
			Name  string          `json:"name"`
			Value json.RawMessage `json:"value"`
		} `json:"stats"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("envoy's statistics: %w", err)
	}
	stats := make(map[string]string, len(names))
	for _, s := range answer.Stats {
		if s.Name == "" { // the histograms, which are no statistic of their own
			continue
		}
		var text string
		if json.Unmarshal(s.Value, &text) != nil {
			text = string(s.Value)
		}
		stats[s.Name] = text
	}
	return stats, nil
}

// Address is where the gateway's listener accepts connections, as "host:port",
// which differs from the configured one where that has port 0.
func (c *Client) Address(ctx context.Context) (string, error) {
	body, err := c.call(ctx, http.MethodGet, "/listeners?format=json")
	if err != nil {
		return "", err
	}
	var answer struct {
		Listeners []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("envoy's listeners: %w", err)
	}
	for _, l := range answer.Listeners {
		if l.Name == "tollgate" {
			return net.JoinHostPort(l.Local.Socket.Address, strconv.Itoa(l.Local.Socket.Port)), nil
		}
	}
	return "", errors.New("envoy's listeners: no listener named tollgate")
}

// The statistics of the gateway's listener.
const (
	requestsActive    = "http.tollgate.downstream_rq_active"
	connectionsActive = "http.tollgate.downstream_cx_active"
)

// Pauses of a drain.
const (
	pollEvery = 50 * time.Millisecond
	// quiet is how long no request must have been seen before connections that
	// are merely kept open are given up: time for one that is just arriving.
	quiet = 250 * time.Millisecond
)

// Drain closes the listeners, makes every further answer close its connection,
// and waits until no request is active. When ctx ends before, the error is its
// own, and active is how many requests were last seen.
//
// Of Envoy's ways to drain, failing the health check is the one that makes every
// answer carry connection: close (HTTP/2: GOAWAY) without a delay, and
// /drain_listeners alone the one that closes the sockets without a delay.
func (c *Client) Drain(ctx context.Context) (active int, err error) {
	for _, path := range []string{"/healthcheck/fail", "/drain_listeners"} {
		if _, err := c.call(ctx, http.MethodPost, path); err != nil {
			return 0, err
		}
	}
	var idle time.Time
	for {
		stats, err := c.Stats(ctx, requestsActive, connectionsActive)
		if err != nil {
			return active, err
		}
		// A gauge that was never created is that of no connection.
		active, _ = strconv.Atoi(stats[requestsActive])
		connections, _ := strconv.Atoi(stats[connectionsActive])
		switch {
		case connections == 0:
			return 0, nil
		case active > 0:
			idle = time.Time{}
		case idle.IsZero():
			idle = time.Now()
		case time.Since(idle) >= quiet:
			return 0, nil
		}
		select {
		case <-ctx.Done():
			return active, ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

func (c *Client) call(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		// The wrapping names a URL that leads nowhere.
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("envoy's admin socket: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("envoy's admin socket: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		name, _, _ := strings.Cut(path, "?")
		return nil, fmt.Errorf("envoy's admin: %s: %d %s", name, res.StatusCode, strings.TrimSpace(string(body)))
	}
	return body, nil
}
