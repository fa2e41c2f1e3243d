package limit

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// workers runs do on n tables over s, each on a goroutine of its own as each
// worker of Envoy has a VM of its own.
func workers(t *testing.T, s Store, n, groups int, do func(table *Table)) {
	var wait sync.WaitGroup
	for range n {
		table := newTable(t, s, groups)
		wait.Go(func() { do(table) })
	}
	wait.Wait()
}

func TestWorkersShareOneBucket(t *testing.T) {
	for _, tc := range []struct{ limit, tokens int64 }{
		{1000, 7}, {1000, 1}, {60, 60}, {7, 2}, {999_983, 313}, {700_000_000, 123_457},
	} {
		t.Run(fmt.Sprintf("%d of %d", tc.tokens, tc.limit), func(t *testing.T) {
			s := newShared()
			var passed atomic.Int64
			var mu sync.Mutex
			var all []Held
			workers(t, s, 8, 1, func(table *Table) {
				charges := []Charge{{key(table, "a"), tc.limit, tc.tokens}}
				var held []Held
				for v := (Verdict{}); v.Outcome != Exhausted; {
					if held, v = table.Reserve(1e9, charges, held); v.Outcome == Passed {
						passed.Add(1)
					}
				}
				mu.Lock()
				all = append(all, held...)
				mu.Unlock()
			})
			if got, want := passed.Load(), tc.limit/tc.tokens; got != want {
				t.Errorf("%d passed, want %d", got, want)
			}

			var next atomic.Int64
			workers(t, s, 8, 1, func(table *Table) {
				for i := next.Add(1); i <= int64(len(all)); i = next.Add(1) {
					table.Settle(1e9, &all[i-1], 0)
				}
				if c := table.Take(); c.Lost != 0 {
					t.Errorf("%d settlements lost", c.Lost)
				}
			})
			table := newTable(t, s, 1)
			want := Standing{Remaining: tc.limit}
			if got := table.Standing(1e9, key(table, "a"), tc.limit); got != want {
				t.Errorf("after all refunds: %v, want %v", got, want)
			}
		})
	}
}

// The second limit lets ten pass; the others have to leave the first as it was.
func TestWorkersRollBack(t *testing.T) {
	s := newShared()
	var passed atomic.Int64
	workers(t, s, 8, 1, func(table *Table) {
		charges := []Charge{
			{key(table, "wide"), 1_000_000, 3},
			{key(table, "narrow"), 10, 1},
		}
		for range 500 {
			if _, v := table.Reserve(1e9, charges, nil); v.Outcome == Passed {
				passed.Add(1)
			}
		}
		if c := table.Take(); c != (Counts{}) {
			t.Errorf("counted %+v, want nothing", c)
		}
	})
	if passed.Load() != 10 {
		t.Errorf("%d passed, want 10", passed.Load())
	}
	table := newTable(t, s, 1)
	want := Standing{Remaining: 1_000_000 - 30, Reset: 1_800_000}
	if got := table.Standing(1e9, key(table, "wide"), 1_000_000); got != want {
		t.Errorf("wide: %v, want %v", got, want)
	}
}

func TestLostSwaps(t *testing.T) {
	s := newShared()
	seeded := newTable(t, s, 1)
	a, b := key(seeded, "a"), key(seeded, "b")
	held, _ := seeded.Reserve(0, []Charge{{a, 100, 50}, {b, 100, 100}}, nil)

	losses := 0
	table := newTable(t, &rival{Store: s, write: func(key string) bool {
		losses--
		return losses >= 0 && touch(s)(key)
	}}, 1)

	losses = tries - 1
	got, v := table.Reserve(0, []Charge{{a, 100, 10}}, held)
	if v.Outcome != Passed || len(got) != 3 {
		t.Errorf("63 lost: %+v, %d held, want passed and 3", v, len(got))
	}
	losses = tries
	got, v = table.Reserve(0, []Charge{{a, 100, 10}}, held)
	if want := (Verdict{Outcome: Contended, Wait: time.Millisecond, Standing: Standing{40, 36 * time.Second}}); v != want || len(got) != 2 {
		t.Errorf("64 lost: %+v, %d held, want %+v and 2", v, len(got), want)
	}
	losses = tries
	table.Settle(0, &held[0], 0)
	if c, want := table.Take(), (Counts{Contended: 1, Lost: 1}); c != want {
		t.Errorf("counted %+v, want %+v", c, want)
	}
	if c := table.Take(); c != (Counts{}) {
		t.Errorf("counted %+v after that, want nothing", c)
	}
	if got := table.Standing(0, a, 100).Remaining; got != 40 {
		t.Errorf("%d left, want 40", got)
	}

	// Each write of a rollback may be overtaken by charges of others.
	others := 0
	table = newTable(t, &rival{Store: s, write: func(string) bool {
		if others < 10 {
			others++
			seeded.Reserve(0, []Charge{{a, 100, 1}}, nil)
		}
		return true
	}}, 1)
	if _, v = table.Reserve(0, []Charge{{a, 100, 20}, {b, 100, 1}}, nil); v.Outcome != Exhausted || v.Charge != 1 {
		t.Errorf("%+v, want exhausted by 1", v)
	}
	if got, want := table.Standing(0, a, 100).Remaining, int64(30); got != want {
		t.Errorf("%d left after a rollback and ten charges of others, want %d", got, want)
	}
}

// A caller that keeps its bucket busy and reserves k times what it uses gets
// what its limit says, as long as its requests take less than 60 s ÷ k.
func TestRefundsReachABusyCaller(t *testing.T) {
	for _, tc := range []struct {
		reserved, used int64
		takes          time.Duration
	}{
		{300, 100, 5 * time.Second},
		{300, 100, 18 * time.Second},
		{200, 100, 28 * time.Second},
		{125, 100, 45 * time.Second},
	} {
		table := newTable(t, newShared(), 1)
		charges := []Charge{{key(table, "a"), 6000, tc.reserved}}
		var held []Held
		var due []time.Duration
		used := int64(0)
		const minutes = 10
		for now := time.Duration(0); now < minutes*time.Minute; now += 50 * time.Millisecond {
			for ; len(due) > 0 && due[0] <= now; due, held = due[1:], held[1:] {
				table.Settle(int64(now), &held[0], tc.used)
			}
			for v := (Verdict{}); v.Outcome != Exhausted; {
				if held, v = table.Reserve(int64(now), charges, held); v.Outcome == Passed {
					due = append(due, now+tc.takes)
					used += tc.used
				}
			}
		}
		if used < minutes*6000*95/100 || used > (minutes+1)*6000 {
			t.Errorf("%d of %d for %s: %d tokens in %d minutes of 6000", tc.used, tc.reserved, tc.takes, used, minutes)
		}
	}
}

func TestManyKeys(t *testing.T) {
	const (
		groups  = 16
		holders = 10
		keys    = 100_000
	)
	s := newShared()
	table := newTable(t, s, groups)
	random := rand.New(rand.NewPCG(1, 2))

	// Every ten seconds a holder takes what has flowed back: never full, never
	// exhausted.
	hold := func(now int64, tokens int64) {
		for i := range holders {
			if _, v := table.Reserve(now, []Charge{{key(table, fmt.Sprint("holder", i)), 6000, tokens}}, nil); v.Outcome != Passed {
				t.Fatalf("at %s holder %d: %+v", time.Duration(now), i, v)
			}
		}
	}
	now := int64(0)
	hold(now, 4000)
	refused := 0
	for i := range keys {
		if now += 1e7; now%1e10 == 0 {
			hold(now, 1000)
		}
		tokens := 1 + random.Int64N(100)
		held, v := table.Reserve(now, []Charge{{key(table, fmt.Sprint(i)), 1000, tokens}}, nil)
		if v.Outcome != Passed {
			refused++
		} else if i%3 == 0 {
			table.Settle(now, &held[0], random.Int64N(2*tokens))
		}
	}
	if c := table.Take(); c.Overflow == 0 || refused == 0 || c.Lost+c.Contended > 0 {
		t.Errorf("counted %+v and %d newcomers refused, want the table to have been too small", c, refused)
	}
	if len(s.values) != groups+1 {
		t.Errorf("%d values in the store, want %d groups and the seed", len(s.values), groups)
	}
	for name, e := range s.values {
		if name != seedName && len(e.value) != groupSize {
			t.Errorf("%s has %d bytes, want %d", name, len(e.value), groupSize)
		}
	}
}

// No key gets more than its bucket and what flows into it, however often it
// changes between the shared slot and one of its own.
func TestTheoremInACrowd(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var overflows uint64
	for range 200 {
		type open struct {
			Held
			tokens int64
			entry  *spending
		}
		var (
			table = newTable(t, newShared(), 1)
			spent [24][]*spending
			held  []open
			now   int64
		)
		for range 150 {
			now += random.Int64N(2e9)
			if n := len(held); n > 0 && random.IntN(2) == 0 {
				h := &held[random.IntN(n)]
				used := random.Int64N(h.tokens + 1)
				h.entry.tokens = exact(used, 1000)
				table.Settle(now, &h.Held, used)
				*h, held = held[n-1], held[:n-1]
				continue
			}
			k, tokens := random.IntN(len(spent)), 1+random.Int64N(1000)
			got, v := table.Reserve(now, []Charge{{key(table, fmt.Sprint(k)), 1000, tokens}}, nil)
			if v.Outcome == Passed {
				entry := &spending{now, exact(tokens, 1000)}
				spent[k] = append(spent[k], entry)
				held = append(held, open{got[0], tokens, entry})
				bounded(t, spent[k], now)
			}
		}
		overflows += table.Take().Overflow
	}
	if overflows < 1000 {
		t.Errorf("%d charges in the shared slot, want the crowd to be one", overflows)
	}
}

func TestFind(t *testing.T) {
	busy := func(key Key, tat int64) bucket { return bucket{key: key, tat: span{ns: tat}} }
	all := []bucket{busy(1, 90), busy(2, 70), busy(3, 101), busy(4, 60), busy(5, 80), busy(6, 100), busy(7, 500)}
	for _, tc := range []struct {
		name  string
		slots []bucket
		key   Key
		want  int
	}{
		{"first of an empty group", nil, 9, 0},
		{"its own", all, 2, 1},
		{"its own before an empty one", []bucket{{}, busy(9, 500)}, 9, 1},
		{"an empty one before one full again", []bucket{busy(1, 10), {}, {}}, 9, 1},
		{"the one full for longest", all, 9, 3},
		{"full this instant", []bucket{busy(1, 101), busy(2, 100), busy(3, 101), busy(4, 101), busy(5, 101), busy(6, 101), busy(7, 101)}, 9, 1},
		{"a fraction of a nanosecond short of full", []bucket{
			busy(1, 101), {key: 2, tat: span{100, 1}}, busy(3, 101), busy(4, 101), busy(5, 101), busy(6, 101), busy(7, 101),
		}, 9, overflow},
	} {
		var g group
		for i, b := range tc.slots {
			g.put(i, b)
		}
		if got, _ := g.find(100, tc.key); got != tc.want {
			t.Errorf("%s: slot %d, want %d", tc.name, got, tc.want)
		}
	}
}
