package limit

import (
	"math/bits"
	"time"
)

const (
	// period is the time in which an empty bucket fills, ns.
	period = int64(time.Minute)

	// horizon bounds a debt, ns: 36 years, so that no sum of instants
	// overflows.
	horizon = int64(1) << 60

	// slack is how much of a nanosecond (in units of 2^-64) is forgiven when a
	// charge is compared with the room it needs. Costs are rounded up, so that
	// n equal charges come to at most n units more than they should; 2^32
	// units forgive that for 2^32 charges. A token is never less than 60 ns.
	slack = uint64(1) << 32
)

// span is a length of time, or an instant, in nanoseconds with 64 binary
// places. Whole nanoseconds will not do: a token of a limit of 700 million is
// 85.7 ns, and a bucket full of them would be out by five million.
type span struct {
	ns   int64
	frac uint64
}

var (
	// least is the smallest span.
	least = span{frac: 1}

	// something is the least room that is more than rounding.
	something = span{frac: slack + 1}
)

func (a span) plus(b span) span {
	frac, carry := bits.Add64(a.frac, b.frac, 0)
	return span{ns: a.ns + b.ns + int64(carry), frac: frac}
}

func (a span) minus(b span) span {
	frac, borrow := bits.Sub64(a.frac, b.frac, 0)
	return span{ns: a.ns - b.ns - int64(borrow), frac: frac}
}

func (a span) less(b span) bool {
	return a.ns < b.ns || a.ns == b.ns && a.frac < b.frac
}

func (a span) min(b span) span {
	if b.less(a) {
		return b
	}
	return a
}

func (a span) max(b span) span {
	if a.less(b) {
		return b
	}
	return a
}

// ceil is the span in whole nanoseconds, rounded up.
func (a span) ceil() int64 {
	if a.frac > 0 {
		return a.ns + 1
	}
	return a.ns
}

// cost is the time that tokens take to flow back at limit tokens per minute,
// rounded up. Limit must be at least 1; the result is at most horizon.
func cost(tokens, limit int64) span {
	if tokens <= 0 {
		return span{}
	}
	hi, lo := bits.Mul64(uint64(tokens), uint64(period))
	if hi >= uint64(limit) {
		return span{ns: horizon}
	}
	ns, rest := bits.Div64(hi, lo, uint64(limit))
	if ns >= uint64(horizon) {
		return span{ns: horizon}
	}
	frac, rest := bits.Div64(rest, 0, uint64(limit))
	c := span{ns: int64(ns), frac: frac}
	if rest > 0 {
		c = c.plus(least)
	}
	return c
}

// tokens is how many whole tokens at limit per minute flow in a, which must not
// exceed the period by more than the slack; 0 if it is negative.
func (a span) tokens(limit int64) int64 {
	if a.ns < 0 {
		return 0
	}
	part, _ := bits.Mul64(a.frac, uint64(limit))
	hi, lo := bits.Mul64(uint64(a.ns), uint64(limit))
	lo, carry := bits.Add64(lo, part, 0)
	n, _ := bits.Div64(hi+carry, lo, uint64(period))
	return int64(n)
}
