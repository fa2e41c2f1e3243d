package strict

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// router is the last filter of the listener's chain: it tries clusters until one
// answers for good (Envoy, source/common/router).
type router struct {
	stream   *stream
	route    *route
	headers  *headers
	body     []byte // kept for the next try
	eos      bool
	attempts int
	left     int // retries
	on       []string
	codes    []int
	perTry   time.Duration
	timer    *time.Timer // of the route
	current  *try
	answered bool // response headers have been passed on: no retry any more
	ended    bool
}

func (r *router) onHeaders(h *headers, eos bool) {
	s := r.stream
	r.route, r.headers, r.eos = s.route, h, eos
	if r.route == nil {
		s.flags |= flagNoRoute
		s.reply(reply{status: http.StatusNotFound, details: "route_not_found"})
		return
	}
	h.remove(r.route.remove...)
	timeout := r.readSettings(h)
	if timeout > 0 {
		r.timer = time.AfterFunc(timeout, func() { s.post(r.expire) })
	}
	r.try()
}

func (r *router) onData(data []byte, eos bool) {
	if r.ended {
		return
	}
	r.body, r.eos = append(r.body, data...), eos
	if r.current != nil {
		r.current.request.onData(slices.Clone(data), eos)
	}
}

// readSettings takes the headers by which a request steers the router; they go
// no further (RetryStateImpl, FilterUtility::finalTimeout).
func (r *router) readSettings(h *headers) (timeout time.Duration) {
	r.left, r.on, r.codes = r.route.retries, r.route.retryOn, slices.Clone(r.route.retryCodes)
	r.perTry, timeout = r.route.tryTimeout, r.route.timeout
	if on := h.value("x-envoy-retry-on"); on != "" {
		r.on = append(slices.Clone(r.on), strings.Split(on, ",")...)
		r.left = max(r.left, 1)
	}
	if n, err := strconv.Atoi(h.value("x-envoy-max-retries")); err == nil && len(r.on) > 0 {
		r.left = n
	}
	for _, code := range strings.Split(h.value("x-envoy-retriable-status-codes"), ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(code)); err == nil {
			r.codes = append(r.codes, n)
		}
	}
	if ms, err := strconv.Atoi(h.value("x-envoy-upstream-rq-timeout-ms")); err == nil {
		timeout = time.Duration(ms) * time.Millisecond
	}
	if ms, err := strconv.Atoi(h.value("x-envoy-upstream-rq-per-try-timeout-ms")); err == nil {
		r.perTry = time.Duration(ms) * time.Millisecond
	}
	h.remove("x-envoy-retry-on", "x-envoy-max-retries", "x-envoy-retriable-status-codes",
		"x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms")
	if expected := max(r.perTry, 0); !r.stream.config.suppressHeaders {
		if expected == 0 {
			expected = timeout
		}
		if expected > 0 {
			h.set("x-envoy-expected-rq-timeout-ms", strconv.FormatInt(expected.Milliseconds(), 10))
		}
	}
	return timeout
}

// try sends the request to the cluster that the route names now.
func (r *router) try() {
	s := r.stream
	if !s.targeted || r.attempts > 0 && r.route.refresh {
		s.stateMu.Lock()
		s.target, s.targeted = r.route.cluster(s.filterState), true
		s.stateMu.Unlock()
	}
	c := s.host.cluster(s.target)
	switch {
	case c == nil && r.attempts > 0:
		c = r.current.cluster // Envoy keeps the last one
	case c == nil:
		s.reply(reply{status: http.StatusServiceUnavailable, details: "cluster_not_found"})
		return
	}
	r.attempts++
	if s.config.attemptCount {
		r.headers.set("x-envoy-attempt-count", strconv.Itoa(r.attempts))
	}
	t := &try{router: r, cluster: c, address: c.address}
	r.current = t
	t.start(r.headers, r.eos && len(r.body) == 0)
	if len(r.body) > 0 {
		t.request.onData(slices.Clone(r.body), r.eos)
	}
}

// again starts the next try after the back-off, if one is left.
func (r *router) again() bool {
	if r.left == 0 || r.answered || r.ended {
		if r.left == 0 && !r.answered {
			r.stream.flags |= flagRetryLimitExceeded
		}
		return false
	}
	r.left--
	r.current.end()
	time.AfterFunc(r.route.backOff, func() {
		r.stream.post(func() {
			if !r.ended {
				r.try()
			}
		})
	})
	return true
}

// retriable says whether a status is worth another try.
func (r *router) retriable(status int) bool {
	return slices.Contains(r.on, "retriable-status-codes") && slices.Contains(r.codes, status) ||
		slices.Contains(r.on, "5xx") && status >= 500 ||
		slices.Contains(r.on, "gateway-error") && status >= 502 && status <= 504 ||
		slices.Contains(r.on, "retriable-4xx") && status == http.StatusConflict
}

// failure is why a try got no answer.
type failure struct {
	connect bool // no connection came about
	timeout bool // of the try
	started bool // the response had begun
	err     error
}

// onFailure retries, or answers as Envoy does.
func (r *router) onFailure(f failure) {
	s := r.stream
	if f.started {
		s.flags |= flagUpstreamProtocol
		s.reset("upstream_reset_after_response_started{protocol_error}")
		return
	}
	retriable := slices.Contains(r.on, "reset") || slices.Contains(r.on, "5xx") ||
		slices.Contains(r.on, "gateway-error") || f.connect && slices.Contains(r.on, "connect-failure")
	if retriable && r.again() {
		return
	}
	r.current.end()
	latest := ""
	if r.attempts > 1 {
		latest = "retried and the latest "
	}
	out := reply{status: http.StatusServiceUnavailable}
	reason := "connection termination"
	switch {
	case f.timeout:
		s.flags |= flagUpstreamTimeout
		out = reply{status: http.StatusGatewayTimeout, body: []byte("upstream request timeout"), details: "upstream_per_try_timeout"}
	case f.connect:
		s.flags |= flagConnectFailure
		reason = "remote connection failure"
		out.details = "upstream_reset_before_response_started{remote_connection_failure}"
	default:
		s.flags |= flagConnectionEnd
		out.details = "upstream_reset_before_response_started{connection_termination}"
	}
	if out.body == nil {
		out.body = []byte("upstream connect error or disconnect/reset before headers. " + latest + "reset reason: " + reason)
	}
	s.reply(out)
}

// expire ends the request at the route's timeout.
func (r *router) expire() {
	if r.ended {
		return
	}
	s := r.stream
	s.flags |= flagUpstreamTimeout
	if r.answered {
		s.reset("response_timeout")
		return
	}
	s.reply(reply{status: http.StatusGatewayTimeout, body: []byte("upstream request timeout"), details: "response_timeout"})
}

// onAnswer takes the headers of a try's answer, after its filters. One of the
// chain itself is final.
func (r *router) onAnswer(t *try, h *headers, eos bool) {
	s := r.stream
	status, _ := strconv.Atoi(h.value(":status"))
	if !t.local && r.retriable(status) && r.again() {
		return
	}
	r.answered = true
	t.stopTimer()
	if !t.local {
		s.details = "via_upstream"
		if !s.config.suppressHeaders {
			h.set("x-envoy-upstream-service-time", strconv.FormatInt(time.Since(t.began).Milliseconds(), 10))
		}
	}
	s.code = status
	s.gateway.response.onHeaders(h, eos)
}

// cancel ends the try that runs, and any that is to come.
func (r *router) cancel() {
	if r.ended {
		return
	}
	r.ended = true
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.current != nil {
		r.current.end()
	}
}
