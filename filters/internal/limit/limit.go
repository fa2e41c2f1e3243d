package limit

import (
	"fmt"
	"time"
)

// Store is Envoy's shared data: one map for all workers, with compare-and-swap,
// without deletion.
type Store interface {
	// Get returns the value of key and the version to hand to Set. The value is
	// not kept beyond the next call.
	Get(key string) (value []byte, cas uint32, ok bool)

	// Set writes value, which the store copies, if the version of key is still
	// cas; false: somebody else wrote first. Envoy creates an absent key
	// whatever cas says, and overwrites unconditionally if it is 0, so creation
	// asks for Absent.
	Set(key string, value []byte, cas uint32) (ok bool)
}

// Absent is the version that creates a key: Envoy refuses it if somebody else
// has created the key in the meantime.
const Absent = 0xFFFFFFFF

// Groups is the usual size of a table: 28,672 keys with a slot of their own,
// 1.6 MB of shared data once all of them have been used.
const Groups = 4096

const (
	// tries bounds a compare-and-swap loop. With four workers on one key, one
	// swap in fifty fails.
	tries = 64

	// pause is the wait told to a request refused because tries ran out.
	pause = time.Millisecond
)

// Table is the limits of one Envoy as one VM sees them: any number of tables
// over one store with one seed are one table. It is for one goroutine.
type Table struct {
	store  Store
	names  string // of all groups, each nameSize long
	k0, k1 uint64
	now    int64
	counts Counts

	// The group that is being worked on.
	group group
	name  string
	cas   uint32
}

const nameSize = len("limit/0000")

// New returns a table of groups values in store, a power of two from 1 to
// 65,536 that never changes during the life of the store; seed is that of [Seed].
func New(store Store, seed uint64, groups int) (*Table, error) {
	if groups < 1 || groups > 1<<16 || groups&(groups-1) != 0 {
		return nil, fmt.Errorf("limit groups: want a power of two from 1 to 65536, got %d", groups)
	}
	const hex = "0123456789abcdef"
	names := make([]byte, 0, groups*nameSize)
	for i := range groups {
		names = append(names, "limit/"...)
		names = append(names, hex[i>>12], hex[i>>8&15], hex[i>>4&15], hex[i&15])
	}
	return &Table{store: store, names: string(names), k0: mix(seed), k1: mix(^seed)}, nil
}

// Charge is what a request takes from one limit.
type Charge struct {
	Key    Key
	Limit  int64 // tokens per minute, and the size of the bucket; 1 to 1e9
	Tokens int64 // 0: passes unless the bucket is empty
}

// Held is a reservation until it is settled. The zero value holds nothing.
type Held struct {
	// Standing is the bucket's right after the reservation.
	Standing Standing

	key      Key
	limit    int64
	taken    span  // from the bucket
	at       int64 // when, ns
	full     int64 // the bucket's then
	end      span  // the bucket's right behind it
	overflow bool  // taken from the overflow slot
}

// Standing is what a bucket holds.
type Standing struct {
	Remaining int64         // whole tokens, 0 if it is in debt
	Reset     time.Duration // until it is full, rounded up
}

// Outcome says how a reservation ended.
type Outcome int

const (
	// Passed means that every charge is reserved.
	Passed Outcome = iota + 1
	// Exhausted means that a bucket holds too little now.
	Exhausted
	// Never means that a charge is larger than its bucket.
	Never
	// Contended means that other workers kept getting in first. Refused, since a
	// limit that opens under load is none; counted.
	Contended
)

// Verdict is the answer to a request that wants to pass several limits.
type Verdict struct {
	Outcome Outcome

	// Charge is the index of the charge that refused; of several that refuse
	// now, the one that does so longest.
	Charge int

	// Wait is how long until the request would pass if nothing else happened,
	// exact; 0 for Passed and Never.
	Wait time.Duration

	// Standing is that of the bucket that refused.
	Standing Standing
}

// Counts is what an operator should know about.
type Counts struct {
	Overflow  uint64 // charges judged in an overflow slot: the table is too small
	Contended uint64 // reservations refused after 64 lost swaps
	Lost      uint64 // settlements given up after 64 lost swaps
}

// Take returns what has been counted since it was last called.
func (t *Table) Take() Counts {
	c := t.counts
	t.counts = Counts{}
	return c
}

// Reserve takes every charge from its bucket, or none. Passed, it returns held
// extended by one reservation per charge, in their order; otherwise held as it
// was. now is a monotonic clock that all workers share, ns; where it goes
// backwards it counts as standing still. One read and one write of the store
// per charge.
func (t *Table) Reserve(now int64, charges []Charge, held []Held) ([]Held, Verdict) {
	now = t.clock(now)
	for i, c := range charges {
		if c.Limit < 1 || c.Tokens > c.Limit {
			return held, Verdict{Outcome: Never, Charge: i, Standing: t.Standing(now, c.Key, c.Limit)}
		}
	}
	passed := len(held)
	for i, c := range charges {
		h, v := t.reserve(now, c)
		if v.Outcome == Passed {
			held = append(held, h)
			continue
		}
		for j := range held[passed:] {
			t.Settle(now, &held[passed+j], 0)
		}
		v.Charge = i
		return held[:passed], t.longest(now, charges, v)
	}
	return held, Verdict{Outcome: Passed}
}

// longest returns v, or the verdict of a later charge that refuses longer.
func (t *Table) longest(now int64, charges []Charge, v Verdict) Verdict {
	for i := v.Charge + 1; i < len(charges) && v.Outcome == Exhausted; i++ {
		c := charges[i]
		_, b := t.open(now, c.Key)
		if wait := b.wait(now, cost(c.Tokens, c.Limit)); wait > v.Wait {
			v = Verdict{Exhausted, i, wait, b.standing(now, c.Limit)}
		}
	}
	return v
}

func (t *Table) reserve(now int64, c Charge) (Held, Verdict) {
	need := cost(c.Tokens, c.Limit)
	for try := range tries {
		i, b := t.open(now, c.Key)
		if i == overflow && try == 0 {
			t.counts.Overflow++
		}
		if wait := b.wait(now, need); wait > 0 {
			return Held{}, Verdict{Outcome: Exhausted, Wait: wait, Standing: b.standing(now, c.Limit)}
		}
		b = b.charge(now, need, horizon)
		if c.Tokens <= 0 || t.swap(i, b) {
			return Held{
				Standing: b.standing(now, c.Limit),
				key:      c.Key,
				limit:    c.Limit,
				taken:    need,
				at:       now,
				full:     b.full,
				end:      b.end(),
				overflow: i == overflow,
			}, Verdict{Outcome: Passed}
		}
	}
	t.counts.Contended++
	return Held{}, Verdict{Outcome: Contended, Wait: pause, Standing: t.Standing(now, c.Key, c.Limit)}
}

// Settle corrects a reservation to the tokens used, at the rate it was made at,
// and returns the new standing. What was used beyond it is charged now, as debt
// if need be; what was not used goes back as far as time has not given it back
// already (see the package's description); used = 0 gives back all of it. It
// empties h, so that a second settlement does nothing. One read and at most one
// write of the store.
func (t *Table) Settle(now int64, h *Held, used int64) Standing {
	was := *h
	*h = Held{}
	if was.limit < 1 {
		return Standing{}
	}
	now = max(t.clock(now), was.at)
	spent := cost(used, was.limit)
	more := was.taken.less(spent)
	for range tries {
		i, b := t.open(now, was.key)
		if was.overflow && !more {
			i, b = overflow, t.group.bucket(overflow).at(now)
		}
		var settled bucket
		switch {
		case !more:
			settled = b.refund(now, &was, was.taken.minus(spent))
		case i == overflow: // nobody's debt keeps strangers out for longer
			settled = b.charge(now, spent.minus(was.taken), period)
		default:
			settled = b.charge(now, spent.minus(was.taken), horizon)
		}
		if settled == b || t.swap(i, settled) {
			return settled.standing(now, was.limit)
		}
	}
	t.counts.Lost++
	return t.Standing(now, was.key, was.limit)
}

// Standing returns what the bucket of key holds and changes nothing. limit is as
// in [Charge].
func (t *Table) Standing(now int64, key Key, limit int64) Standing {
	if limit < 1 {
		return Standing{}
	}
	now = t.clock(now)
	_, b := t.open(now, key)
	return b.standing(now, limit)
}

// clock is now, or the latest time seen if that is later.
func (t *Table) clock(now int64) int64 {
	t.now = max(t.now, now)
	return t.now
}

// open reads the group of key and returns the slot and the bucket to charge.
func (t *Table) open(now int64, key Key) (int, bucket) {
	n := int(key) & (len(t.names)/nameSize - 1)
	t.name = t.names[n*nameSize : (n+1)*nameSize]
	value, cas, ok := t.store.Get(t.name)
	if t.cas = cas; !ok {
		t.cas = Absent
	}
	if len(value) != groupSize {
		value = empty[:]
	}
	copy(t.group[:], value)
	i, b := t.group.find(now, key)
	return i, b.at(now)
}

// swap writes the opened group with b in slot i; false: somebody else was first.
func (t *Table) swap(i int, b bucket) bool {
	t.group.put(i, b)
	return t.store.Set(t.name, t.group[:], t.cas)
}

var empty group
