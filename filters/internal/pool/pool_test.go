package pool

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tollgate/tollgate/filters/policy"
)

var names = []string{"a", "b", "c", "d"}

func index(name string) int { return slices.Index(names, name) }

func member3(a, b, c policy.Member) []policy.Member {
	a.Backend, b.Backend, c.Backend = "a", "b", "c"
	return []policy.Member{a, b, c}
}

func one(priority, weight int) policy.Member {
	return policy.Member{Priority: priority, Weight: weight}
}

// How often each backend is first says what a strategy does to the load.
func TestShareOfFirstTries(t *testing.T) {
	const draws = 60000
	cases := []struct {
		name string
		pool policy.Pool
		want [3]float64
	}{
		{"round-robin ignores weights",
			policy.Pool{Strategy: policy.RoundRobin, Members: member3(one(1, 5), one(2, 1), one(1, 1))}, [3]float64{1. / 3, 1. / 3, 1. / 3}},
		{"weighted ignores priorities",
			policy.Pool{Strategy: policy.Weighted, Members: member3(one(9, 3), one(1, 2), one(1, 1))}, [3]float64{3. / 6, 2. / 6, 1. / 6}},
		{"priority uses the lowest number alone",
			policy.Pool{Strategy: policy.Priority, Members: member3(one(2, 1), one(1, 1), one(2, 100))}, [3]float64{0, 1, 0}},
		{"priority draws by weight inside a group",
			policy.Pool{Strategy: policy.Priority, Members: member3(one(1, 1), one(2, 9), one(1, 3))}, [3]float64{1. / 4, 0, 3. / 4}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			c.pool.Retry.Attempts = 10
			p := New(&c.pool, index, 7)
			var first [3]int
			for range draws {
				order := p.Order(nil, random.IntN)
				if len(order) != 3 {
					t.Fatalf("order %v: want each backend once", order)
				}
				sorted := slices.Sorted(slices.Values(order))
				if !slices.Equal(sorted, []int{0, 1, 2}) {
					t.Fatalf("order %v: want each backend once", order)
				}
				first[order[0]]++
			}
			for i, want := range c.want {
				if got := float64(first[i]) / draws; got < want-0.01 || got > want+0.01 {
					t.Errorf("%s is first in %.3f of the orders, want %.3f", names[i], got, want)
				}
			}
		})
	}
}

func TestPriorityGroupsFollowEachOther(t *testing.T) {
	pool := policy.Pool{Strategy: policy.Priority, Members: member3(one(3, 1), one(1, 1), one(2, 1)), Retry: policy.Retry{Attempts: 3}}
	if got := New(&pool, index, 0).Order(nil, rand.IntN); !slices.Equal(got, []int{1, 2, 0}) {
		t.Errorf("order %v, want b, c, a", got)
	}
}

func TestAttemptsBoundTheOrder(t *testing.T) {
	pool := policy.Pool{Strategy: policy.RoundRobin, Members: member3(one(1, 1), one(1, 1), one(1, 1)), Retry: policy.Retry{Attempts: 2}}
	if got := New(&pool, index, 0).Order([]int{9}, rand.IntN); !slices.Equal(got, []int{9, 0, 1}) {
		t.Errorf("order %v, want two backends after what was there", got)
	}
}

func BenchmarkOrder(b *testing.B) {
	pool := policy.Pool{Strategy: policy.Priority, Members: member3(one(1, 1), one(1, 2), one(2, 1)), Retry: policy.Retry{Attempts: 3}}
	p, dst := New(&pool, index, 0), make([]int, 0, 3)
	b.ReportAllocs()
	for b.Loop() {
		dst = p.Order(dst[:0], rand.IntN)
	}
}
