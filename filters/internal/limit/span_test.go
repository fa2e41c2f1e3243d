package limit

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// rat is a in nanoseconds.
func (a span) rat() *big.Rat {
	frac := new(big.Rat).SetFrac(new(big.Int).SetUint64(a.frac), new(big.Int).Lsh(big.NewInt(1), 64))
	return frac.Add(frac, new(big.Rat).SetInt64(a.ns))
}

// exact is tokens × 60 s ÷ limit in nanoseconds.
func exact(tokens, limit int64) *big.Rat {
	r := new(big.Rat).SetFrac64(tokens, limit)
	return r.Mul(r, new(big.Rat).SetInt64(period))
}

func TestCost(t *testing.T) {
	unit := least.rat()
	for range 20_000 {
		tokens, limit := spread(1e18), spread(1e18)
		got, want := cost(tokens, limit), exact(tokens, limit)
		if want.Cmp(new(big.Rat).SetInt64(horizon)) >= 0 {
			if got != (span{ns: horizon}) {
				t.Fatalf("cost(%d, %d) = %v, want the horizon", tokens, limit, got)
			}
			continue
		}
		over := new(big.Rat).Sub(got.rat(), want)
		if over.Sign() < 0 || over.Cmp(unit) >= 0 {
			t.Fatalf("cost(%d, %d) = %v, is %s off", tokens, limit, got, over.FloatString(25))
		}
	}
}

func TestTokens(t *testing.T) {
	for range 20_000 {
		limit := spread(math.MaxInt64)
		a := span{ns: rand.Int64N(period), frac: rand.Uint64()}
		want := new(big.Rat).Mul(a.rat(), big.NewRat(limit, period))
		floor := new(big.Int).Quo(want.Num(), want.Denom())
		if got := a.tokens(limit); got != floor.Int64() {
			t.Fatalf("%v.tokens(%d) = %d, want %s", a, limit, got, floor)
		}
	}
}

func TestSpanArithmetic(t *testing.T) {
	for range 20_000 {
		a := span{ns: rand.Int64N(100) - 50, frac: rand.Uint64() >> rand.IntN(64)}
		b := span{ns: rand.Int64N(100) - 50, frac: rand.Uint64() >> rand.IntN(64)}
		if got, want := a.plus(b).rat(), new(big.Rat).Add(a.rat(), b.rat()); got.Cmp(want) != 0 {
			t.Fatalf("%v + %v = %s, want %s", a, b, got, want)
		}
		if got, want := a.minus(b).rat(), new(big.Rat).Sub(a.rat(), b.rat()); got.Cmp(want) != 0 {
			t.Fatalf("%v - %v = %s, want %s", a, b, got, want)
		}
		if got, want := a.less(b), a.rat().Cmp(b.rat()) < 0; got != want {
			t.Fatalf("%v < %v = %v", a, b, got)
		}
		if a.min(b).less(a.max(b)) == (a == b) {
			t.Fatalf("min and max of %v and %v are %v and %v", a, b, a.min(b), a.max(b))
		}
	}
}

// A full bucket passes exactly ⌊limit ÷ tokens⌋ charges at one instant, and what
// is left is exact after each.
func TestWholeBucketAtOneInstant(t *testing.T) {
	for range 20_000 {
		limit := spread(1e9)
		tokens := 1 + rand.Int64N(min(limit, spread(1e9)))
		now := rand.Int64N(1 << 60)
		need := cost(tokens, limit)
		n := limit / tokens

		after := func(k int64) bucket {
			return bucket{tat: span{ns: now}.plus(times(need, k))}
		}
		if after(n-1).wait(now, need) > 0 {
			t.Fatalf("%d of %d tokens: charge %d of %d refused", tokens, limit, n, n)
		}
		if after(n).wait(now, need) <= 0 {
			t.Fatalf("%d of %d tokens: charge %d passed, want %d", tokens, limit, n+1, n)
		}
		for _, k := range []int64{0, 1, n / 2, n - 1, n} {
			if got := after(k).standing(now, limit).Remaining; got != limit-k*tokens {
				t.Fatalf("%d of %d tokens: %d left after %d, want %d", tokens, limit, got, k, limit-k*tokens)
			}
		}
	}
}

// times is k × a.
func times(a span, k int64) (sum span) {
	for ; k > 0; k >>= 1 {
		if k&1 == 1 {
			sum = sum.plus(a)
		}
		a = a.plus(a)
	}
	return sum
}

// spread is a random number from 1 to most, all magnitudes alike.
func spread(most int64) int64 {
	return min(max(int64(math.Exp(rand.Float64()*math.Log(float64(most)))), 1), most)
}
