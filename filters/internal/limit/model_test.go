package limit

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// history is the literal model of one bucket: everything ever charged, in exact
// numbers, replayed from the beginning for each question. A settlement rewrites
// the past: the reservation shrinks where it was made.
type history struct {
	charges []*past
	given   *big.Rat // refunds so far, but for those at the end of the queue
}

type past struct {
	at     int64
	amount *big.Rat // ns
}

// depth is how far the bucket is from full, and shallowest the least that it was
// since the charge numbered from.
func (h *history) depth(now int64, from int) (depth, shallowest *big.Rat) {
	tat := ns(0)
	for i, c := range h.charges {
		d := above(tat, c.at)
		if i > from && (shallowest == nil || d.Cmp(shallowest) < 0) {
			shallowest = d
		}
		tat = new(big.Rat).Add(new(big.Rat).Add(d, ns(c.at)), c.amount)
	}
	depth = above(tat, now)
	if shallowest == nil || depth.Cmp(shallowest) < 0 {
		shallowest = depth
	}
	return depth, shallowest
}

func (h *history) standing(now, limit int64) Standing {
	depth, _ := h.depth(now, 0)
	room := new(big.Rat).Sub(ns(period), depth)
	tokens := room.Mul(room, big.NewRat(limit, period))
	if tokens.Sign() < 0 {
		tokens.SetInt64(0)
	}
	return Standing{
		Remaining: new(big.Int).Quo(tokens.Num(), tokens.Denom()).Int64(),
		Reset:     time.Duration(ceil(depth)),
	}
}

// wait is how long c has to wait, 0 if it passes.
func (h *history) wait(now int64, c Charge) time.Duration {
	depth, _ := h.depth(now, 0)
	over := depth.Add(depth, exact(c.Tokens, c.Limit))
	over.Sub(over, ns(period))
	switch {
	case over.Sign() > 0:
		wait := ceil(over)
		if c.Tokens == 0 && over.IsInt() {
			wait++
		}
		return time.Duration(wait)
	case over.Sign() == 0 && c.Tokens == 0:
		return 1
	}
	return 0
}

// ticket is a reservation in the model.
type ticket struct {
	Held
	Charge
	of    *history
	index int
	end   *big.Rat // of the queue behind it
}

// end is how far the queue of charges would reach without the refunds.
func (h *history) end(now int64) *big.Rat {
	depth, _ := h.depth(now, 0)
	return depth.Add(depth.Add(depth, ns(now)), h.given)
}

func (h *history) charge(now int64, amount *big.Rat) {
	h.charges = append(h.charges, &past{now, amount})
}

func (h *history) reserve(now int64, held Held, c Charge) *ticket {
	h.charge(now, exact(c.Tokens, c.Limit))
	return &ticket{Held: held, Charge: c, of: h, index: len(h.charges) - 1, end: h.end(now)}
}

// settle rewrites the past, and checks that it was possible: with less charged
// at the time of the reservation, the bucket must not have filled up since, or
// some of its tokens would never have existed.
func (k *ticket) settle(t *testing.T, now, used int64) {
	h, c := k.of, k.Charge
	change := exact(used, c.Limit)
	change.Sub(change, exact(c.Tokens, c.Limit))
	if change.Sign() > 0 {
		h.charge(now, change)
		return
	}
	_, shallowest := h.depth(now, k.index)
	back := change.Neg(change)

	left := new(big.Rat).Sub(k.end, h.given)
	own := exact(c.Tokens, c.Limit)
	if own.Add(own, ns(k.at)); left.Cmp(own) < 0 {
		left = own
	}
	if left = above(left, now); left.Cmp(back) < 0 {
		back = left
	}
	if back.Cmp(shallowest) > 0 {
		t.Fatalf("a refund of %s ns, but the bucket has been as close as %s ns to full",
			back.FloatString(3), shallowest.FloatString(3))
	}
	if h.end(now).Cmp(k.end) != 0 {
		h.given.Add(h.given, back)
	}
	p := h.charges[k.index]
	p.amount = new(big.Rat).Sub(p.amount, back)
}

func ns(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

// above is a - b, at least 0.
func above(a *big.Rat, b int64) *big.Rat {
	if d := new(big.Rat).Sub(a, ns(b)); d.Sign() > 0 {
		return d
	}
	return new(big.Rat)
}

func ceil(a *big.Rat) int64 {
	n, rest := new(big.Int).QuoRem(a.Num(), a.Denom(), new(big.Int))
	return n.Int64() + int64(rest.Sign())
}

// spending is what one key was really charged, for the theorem.
type spending struct {
	at     int64
	tokens *big.Rat // ns
}

// bounded checks the theorem of the package: in every window that ends with
// the passing of a request, no more was used than what flows in the window and
// a full bucket.
func bounded(t *testing.T, spent []*spending, now int64) {
	sum := new(big.Rat)
	for i := len(spent) - 1; i >= 0; i-- {
		sum.Add(sum, spent[i].tokens)
		if most := ns(now - spent[i].at + period); sum.Cmp(most) > 0 {
			t.Fatalf("tokens of %s ns were used within %d ns", sum.FloatString(3), now-spent[i].at)
		}
	}
}

var (
	paces  = []int64{0, 0, 0, 0, 1, 17, 1e3, 1e9, 2e9, 3e9, 5e9, 9e9, 29e9 + 1, period - 1, period, 3600e9}
	limits = []int64{1, 7, 1000, 100_000, 999_983, 1e9}
)

// play runs the operations that script encodes, four bytes each, on a table and
// on the model, and compares everything a caller sees.
func play(t *testing.T, script []byte) {
	table := newTable(t, newShared(), 1)
	var (
		now     int64
		keys    [3]Key
		models  [3]history
		spent   [3][]*spending
		tickets []*ticket
		entries []*spending
	)
	for i := range keys {
		keys[i] = key(table, fmt.Sprint(i))
		models[i].given = new(big.Rat)
	}
	for ; len(script) >= 4; script = script[4:] {
		op, which, amount := script[0], int(script[2]), int64(script[3])
		now += paces[int(script[1])%len(paces)]
		k := which % len(keys)
		limit := limits[which/len(keys)%len(limits)]

		if op%2 == 0 && len(tickets) > 0 { // settle
			n := int(op/2) % len(tickets)
			k, entry := tickets[n], entries[n]
			limit, reserved := k.Limit, k.Tokens
			used := reserved * amount / 128
			if amount == 255 {
				used = reserved + limit
			}
			i := index(models[:], k.of)
			k.settle(t, now, used)
			if got, want := table.Settle(now, &k.Held, used), k.of.standing(now, limit); got != want {
				t.Fatalf("at %d settled %d of %d/%d: %v, want %v", now, used, reserved, limit, got, want)
			}
			entry.tokens = exact(min(used, reserved), limit)
			if used > reserved {
				spent[i] = append(spent[i], &spending{now, exact(used-reserved, limit)})
			}
			tickets = append(tickets[:n], tickets[n+1:]...)
			entries = append(entries[:n], entries[n+1:]...)
			continue
		}

		charges := []Charge{{keys[k], limit, limit * amount / 255}}
		if op%4 == 1 { // reserve in two limits
			charges = append(charges, Charge{keys[(k+1)%len(keys)], 1000, 1000 * amount / 255})
		}
		want := Verdict{Outcome: Passed}
		for i, c := range charges {
			m := &models[(k+i)%len(keys)]
			if wait := m.wait(now, c); wait > want.Wait {
				want = Verdict{Exhausted, i, wait, m.standing(now, c.Limit)}
			}
		}
		held, got := table.Reserve(now, charges, nil)
		if got != want {
			t.Fatalf("at %d reserved %v: %+v, want %+v", now, charges, got, want)
		}
		for i, h := range held {
			n := (k + i) % len(keys)
			entry := &spending{now, exact(charges[i].Tokens, charges[i].Limit)}
			spent[n] = append(spent[n], entry)
			entries = append(entries, entry)
			tickets = append(tickets, models[n].reserve(now, h, charges[i]))
			if want := models[n].standing(now, charges[i].Limit); h.Standing != want {
				t.Fatalf("at %d reserved %v: %v, want %v", now, charges[i], h.Standing, want)
			}
			bounded(t, spent[n], now)
		}
		if s := table.Standing(now, keys[k], limit); s != models[k].standing(now, limit) {
			t.Fatalf("at %d: %v, want %v", now, s, models[k].standing(now, limit))
		}
	}
	if c := table.Take(); c != (Counts{}) {
		t.Fatalf("counted %+v, want nothing", c)
	}
}

func index(models []history, h *history) int {
	for i := range models {
		if &models[i] == h {
			return i
		}
	}
	return -1
}

func TestModel(t *testing.T) {
	for seed := range uint64(600) {
		random := rand.New(rand.NewPCG(seed, 0))
		script := make([]byte, 4*60)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { play(t, script) })
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte{3, 0, 6, 255, 3, 10, 6, 250, 0, 0, 6, 0, 3, 0, 6, 255}) // all but full, then a refund
	f.Add([]byte{3, 0, 7, 255, 1, 0, 6, 40, 2, 3, 0, 90})                // a rollback
	f.Add([]byte{3, 0, 3, 36, 3, 0, 3, 36, 3, 0, 3, 36, 0, 0, 3, 255})   // fractions, a debt
	f.Fuzz(func(t *testing.T, script []byte) {
		play(t, script[:min(len(script), 4*200)])
	})
}
