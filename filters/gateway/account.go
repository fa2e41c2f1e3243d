package gateway

import (
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/filters/internal/caller"
	"github.com/tollgate/tollgate/filters/internal/chat"
	"github.com/tollgate/tollgate/filters/internal/host"
	"github.com/tollgate/tollgate/filters/internal/limit"
	"github.com/tollgate/tollgate/filters/policy"
)

// account is what a request holds in its limits, from the reservation to the one
// settlement.
type account struct {
	open     bool             // reserved and not settled
	held     []limit.Held     // per limit of the engine
	rates    []int64          // per limit, tokens per minute
	standing []limit.Standing // per limit, as of the last change
	charged  int64            // tokens: the reservation, then the settlement
	clamped  []string         // headers that asked for more or less than they may
}

// reserve takes the prompt's estimate from every limit or from none. refused is
// the limit that has no room.
func (s *stream) reserve(m *model) (refused *tokenLimit, verdict limit.Verdict) {
	limits := s.engine.limits
	if len(limits) == 0 {
		return nil, limit.Verdict{Outcome: limit.Passed}
	}
	a, facts, estimate := &s.account, s.facts(m), s.prompt.Tokens()
	charges := make([]limit.Charge, len(limits))
	for i := range limits {
		l := &limits[i]
		rate, clamped := l.rate(s.headers.Get)
		if clamped {
			a.clamped = append(a.clamped, l.TokensPerMinute.Header+"="+strconv.FormatInt(rate, 10))
		}
		charges[i] = limit.Charge{Key: s.limits.Key(l.key(s.scratch[:0], facts)), Limit: rate}
		if l.Estimate != policy.Off {
			charges[i].Tokens = estimate
			a.charged = estimate
		}
		a.rates = append(a.rates, rate)
	}
	a.held, verdict = s.limits.Reserve(host.Monotonic(), charges, make([]limit.Held, 0, len(limits)))
	s.count()
	if verdict.Outcome != limit.Passed {
		a.charged = 0
		return &limits[verdict.Charge], verdict
	}
	a.open = true
	for _, h := range a.held {
		a.standing = append(a.standing, h.Standing)
	}
	return nil, verdict
}

// key appends the limit's counter key for a request.
func (l *tokenLimit) key(dst []byte, facts *caller.Facts) []byte {
	dst = limit.Append(dst, l.Name)
	for _, selector := range l.selectors {
		value := selector.Value(facts)
		if value == caller.Absent {
			absent.Add(1)
		}
		dst = limit.Append(dst, value)
	}
	return dst
}

// refuseLimit says which limit, and how long until the same request would pass.
func (s *stream) refuseLimit(l *tokenLimit, v limit.Verdict) host.Action {
	rate := s.account.rates[v.Charge]
	headers := [][2]string{
		{l.Headers.Consumed, "0"},
		{l.Headers.Remaining, strconv.FormatInt(v.Standing.Remaining, 10)},
	}
	headers = append(headers, s.account.rateHeaders(rate, v.Standing)...)
	if v.Outcome == limit.Never {
		// A client that waits and tries again would do so for ever.
		headers = append(headers, [2]string{"x-should-retry", "false"})
		return s.refuse(chat.NeverFits(l.Name, s.prompt.Tokens(), rate), headers...)
	}
	headers = append(headers, retryAfter(v.Wait)...)
	return s.refuse(chat.RateLimited(l.Name, v.Wait), headers...)
}

// retryAfter is a wait as clients read it: OpenAI's SDKs the milliseconds, all
// others the seconds, both rounded up. None where it is 0.
func retryAfter(wait time.Duration) [][2]string {
	if wait <= 0 {
		return nil
	}
	ms := (wait + time.Millisecond - 1) / time.Millisecond
	return [][2]string{
		{"retry-after", strconv.FormatInt(chat.Seconds(wait), 10)},
		{"retry-after-ms", strconv.FormatInt(int64(ms), 10)},
	}
}

// settle replaces the reservation by the tokens used, once.
func (s *stream) settle(used int64) {
	a := &s.account
	if !a.open {
		return
	}
	a.open, a.charged = false, used
	now := host.Monotonic()
	for i := range a.held {
		a.standing[i] = s.limits.Settle(now, &a.held[i], used)
	}
	s.count()
}

// clampedHeader marks a rate that was not what its header asked for.
const clampedHeader = "x-tollgate-clamped"

// writeHeaders tells the client what it was charged and what is left. Of several
// limits with the same header the tightest is told.
func (s *stream) writeHeaders() {
	a := &s.account
	if len(a.standing) == 0 {
		return
	}
	charged, tightest := strconv.FormatInt(a.charged, 10), 0
	for i := range a.standing {
		left := a.standing[i].Remaining
		if left < a.standing[tightest].Remaining {
			tightest = i
		}
		if names := &s.engine.limits[i].Headers; s.tells(i) {
			host.SetResponseHeader(names.Consumed, charged)
			host.SetResponseHeader(names.Remaining, strconv.FormatInt(left, 10))
		}
	}
	for _, h := range a.rateHeaders(a.rates[tightest], a.standing[tightest]) {
		host.SetResponseHeader(h[0], h[1])
	}
}

// rateHeaders tell of one limit what OpenAI's own clients read, in its notation,
// and mark a rate that was clamped.
func (a *account) rateHeaders(rate int64, standing limit.Standing) [][2]string {
	headers := [][2]string{
		{"x-ratelimit-limit-tokens", strconv.FormatInt(rate, 10)},
		{"x-ratelimit-remaining-tokens", strconv.FormatInt(standing.Remaining, 10)},
		{"x-ratelimit-reset-tokens", reset(standing.Reset)},
	}
	if len(a.clamped) > 0 {
		headers = append(headers, [2]string{clampedHeader, strings.Join(a.clamped, ", ")})
	}
	return headers
}

// tells reports whether limit i is the tightest of those that share its header.
func (s *stream) tells(i int) bool {
	limits, standing := s.engine.limits, s.account.standing
	for j := range limits {
		if limits[j].Headers.Remaining == limits[i].Headers.Remaining &&
			(standing[j].Remaining < standing[i].Remaining || j < i && standing[j].Remaining == standing[i].Remaining) {
			return false
		}
	}
	return true
}

// reset is a duration as OpenAI writes it: 6m0s, 1.5s, 12ms.
func reset(d time.Duration) string {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond).String()
}

// What counting keys and limits count on the side, as metrics.
var (
	overflowed = host.Counter{Name: "tollgate_limit_overflow_total"}
	contended  = host.Counter{Name: "tollgate_limit_contended_total"}
	absent     = host.Counter{Name: "tollgate_selector_absent_total"}
	lost       = host.Counter{Name: "tollgate_limit_lost_settlements_total"}
)

func (s *stream) count() {
	c := s.limits.Take()
	overflowed.Add(c.Overflow)
	contended.Add(c.Contended)
	lost.Add(c.Lost)
}
